"""JSON, manifest and keys."""

from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

import orjson
import pytest

from tests.support.factories import an_origin
from tests.support.genesys import NOW, OTHER_QUEUE, QUEUE, a_day, a_row
from worker.clients.genesys.filters import Condition
from worker.jobs.reports.figures import Aggregate
from worker.jobs.reports.files import Manifest, files_of, folder, json_text
from worker.jobs.reports.report import ids_of, report_of, span_before

AGENT = "05000000-0000-4000-8000-000000000001"
CODE = "3a000000-0000-4000-8000-000000000001"


def a_report(*rows, **due):
    due = a_day(**due)
    aggregate = Aggregate(due.group_by)
    for row in rows:
        aggregate.add(row)
    return report_of(due, aggregate, NOW)


def test_the_header_says_what_the_figures_are_of():
    live = a_row(duration_ms=None)
    report = a_report(a_row(), a_row(), live, media_type="voice", queue_ids=(QUEUE,))

    header = orjson.loads(json_text(report))["header"]

    assert header["interval"] == "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"
    assert header["asOf"] == "2026-03-20T09:00:00Z"
    assert header["filters"] == {"mediaType": "voice", "queueIds": [QUEUE], "further": []}
    assert (header["rowCount"], header["conversationCount"]) == (1, 2)
    assert header["leftOut"] == {"live": 1, "unreadable": 0}


def test_each_group_is_an_object_with_the_columns_of_the_csv():
    (row,) = orjson.loads(json_text(a_report(a_row())))["rows"]

    assert row["mediaType"] == "voice"
    assert row["queueId"] == QUEUE
    assert row["conversation_count"] == 1
    assert row["hold_ratio"] == 0.1
    assert row["unique_wrapup_codes"] == ["resolved"]


def test_a_group_has_ids_and_names():
    row = a_row(wrapup_codes=(CODE, "ININ-WRAP-UP-TIMEOUT"))
    report = a_report(row, a_row(wrapup_codes=row.wrapup_codes), a_row(queue_id=None))
    names = {QUEUE: 'A "<b>', CODE: "Resolved"}

    first, second = orjson.loads(json_text(report, names))["rows"]

    assert (first["queueId"], first["queueName"]) == (QUEUE, 'A "<b>')
    assert first["unique_wrapup_codes"] == [CODE, "ININ-WRAP-UP-TIMEOUT"]
    assert first["wrapup_names"] == ["Resolved", "ININ-WRAP-UP-TIMEOUT"]
    assert (second["queueId"], second["queueName"]) == (None, None)


def test_ids_are_those_of_the_groups_and_of_the_filters():
    row = a_row(user_id=AGENT, wrapup_codes=(CODE, "ININ-WRAP-UP-TIMEOUT"))
    filters = (Condition("wrapUpCode", ("other",), "eq"), Condition("tTalk", ("5",), "gt"))
    group_by = ("mediaType", "queueId", "userId")
    report = a_report(row, group_by=group_by, queue_ids=(OTHER_QUEUE,), filters=filters)

    assert ids_of(report) == {
        "queueId": [QUEUE, OTHER_QUEUE],
        "userId": [AGENT],
        "wrapUpCode": [CODE, "ININ-WRAP-UP-TIMEOUT", "other"],
    }


def test_the_same_event_gives_the_same_bytes():
    origin, row = an_origin(), a_row()

    first, second = (files_of(a_report(row, origin=origin)) for _ in range(2))

    assert first == second


def test_a_report_has_a_place_by_its_name_and_start_in_utc():
    start = datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert folder("daily", start) == "reports/daily/20260301T000000Z/"
    assert folder("daily", datetime(2026, 3, 1, tzinfo=UTC)) == folder("daily", start)


def test_the_manifest_names_every_file_with_its_digest():
    report = a_report(a_row())
    files = files_of(report)

    manifest = Manifest.of(report, files)

    assert [entry.name for entry in manifest.files] == ["report.csv", "report.json", "report.html"]
    assert [entry.sha256 for entry in manifest.files] == [
        sha256(file.body).hexdigest() for file in files
    ]


def test_a_manifest_reads_back_to_itself():
    report = a_report(a_row())
    manifest = Manifest.of(report, files_of(report))

    assert Manifest.read(manifest.file().body) == manifest


@pytest.mark.parametrize("body", [None, b"", b"{}", b"no json", b'{"files":[{"name":"../x"}]}'])
def test_what_is_no_manifest_is_none(body):
    assert Manifest.read(body) is None


def test_a_report_that_lacks_something_is_degraded():
    report = a_report(a_row())
    report.tally.unsettled = 1

    assert Manifest.of(report, files_of(report)).is_degraded


@pytest.mark.parametrize(
    ("zone", "start", "end", "before"),
    [
        ("UTC", "2026-03-02T00:00Z", "2026-03-03T00:00Z", "2026-03-01T00:00Z"),
        ("UTC", "2026-03-02T00:00Z", "2026-03-09T00:00Z", "2026-02-23T00:00Z"),
        # A month is compared with a month, whatever their days.
        ("UTC", "2026-03-01T00:00Z", "2026-04-01T00:00Z", "2026-02-01T00:00Z"),
        ("UTC", "2026-01-01T00:00Z", "2026-04-01T00:00Z", "2025-10-01T00:00Z"),
        ("UTC", "2026-03-02T08:00Z", "2026-03-02T09:00Z", "2026-03-02T07:00Z"),
        # The day of 23 hours, and the one after it.
        ("Europe/Berlin", "2026-03-28T23:00Z", "2026-03-29T22:00Z", "2026-03-27T23:00Z"),
        ("Europe/Berlin", "2026-03-29T22:00Z", "2026-03-30T22:00Z", "2026-03-28T23:00Z"),
    ],
    ids=["day", "week", "month", "quarter", "hour", "short-day", "after-it"],
)
def test_the_period_before_is_one_of_the_calendar(zone, start, end, before):
    start, end, before = map(datetime.fromisoformat, (start, end, before))

    assert span_before(a_day(start=start, end=end, timezone=zone)) == (before, start)

"""`worker report`: the same report by hand, to a folder or to S3, and its links anew."""

import json
from uuid import uuid4

import httpx
import pytest

from tests.cli.in_thread import in_thread
from tests.support.genesys import OTHER_QUEUE, QUEUE, a_past, pasts
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.history import History

DAY = ("report", "--from", "2026-03-01", "--to", "2026-03-02")
FOLDER = "reports/by-hand/20260301T000000Z"
NEXT = "reports/by-hand/20260302T000000Z"
BERLIN = "reports/by-hand/20260228T230000Z"


@pytest.fixture
def cloud():
    known = History([*pasts(150), a_past(23.5, queue_id=OTHER_QUEUE, media_type="message")])
    with in_thread(lambda: GenesysServer(GenesysCloud(history=known))) as (cloud,):
        yield cloud


@pytest.fixture
def report(worker, cloud):
    """Run a command against the emulator."""

    def run(*arguments, **environ):
        reach = {
            "GENESYS_API_URL": cloud.url,
            "GENESYS_LOGIN_URL": cloud.url,
            "GENESYS_CLIENT_ID": cloud.client_id,
            "GENESYS_CLIENT_SECRET": cloud.client_secret,
        }
        return worker(*arguments, **{**reach, **environ})

    return run


@pytest.fixture
def bucket(aws):
    name = f"reports-{uuid4().hex}"
    aws("s3", "create_bucket", Bucket=name)
    return name


def test_a_report_is_written_to_a_folder(report, tmp_path):
    done = report(*DAY, "--out", str(tmp_path))

    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == [
        "manifest.json",
        "report.csv",
        "report.html",
        "report.json",
    ]
    assert "151 conversations" in done.out


def test_the_reference_dialect_gives_the_same_report(report, tmp_path):
    done = report(*DAY, "--out", str(tmp_path), "--json", GENESYS_DIALECT="reference")

    assert done.json["conversationCount"] == 151


def test_options_pick_and_group(report, tmp_path):
    done = report(
        *DAY, "--out", str(tmp_path), "--media-type", "voice", "--queue-id", QUEUE,
        "--group-by", "queueId", "--name", "voice",
    )  # fmt: skip

    text = (tmp_path / FOLDER.replace("by-hand", "voice") / "report.json").read_text()
    (row,) = json.loads(text)["rows"]
    assert done.code == 0
    assert (row["queueId"], row["conversation_count"]) == (QUEUE, 150)
    assert "mediaType" not in row


def test_dates_are_those_of_the_time_zone(report, tmp_path):
    options = (*DAY, "--out", str(tmp_path), "--timezone", "Europe/Berlin", "--json")
    done = report(*options)

    header = json.loads((tmp_path / BERLIN / "report.json").read_text())["header"]
    assert done.code == 0
    assert header["interval"] == "2026-02-28T23:00:00Z/2026-03-01T23:00:00Z"
    assert header["timezone"] == "Europe/Berlin"
    assert done.json["conversationCount"] == 144  # of 151: others began after 23:00 UTC


def test_a_time_in_utc_is_in_utc_whatever_the_zone(report, tmp_path):
    span = ("--from", "2026-03-01T00:00:00Z", "--to", "2026-03-02T00:00:00Z")
    done = report("report", *span, "--out", str(tmp_path), "--timezone", "Asia/Tokyo", "--json")

    assert done.json["interval"] == "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"


def test_the_period_before_is_that_of_its_report_or_is_read_for_comparison(report, tmp_path):
    after = ("report", "--from", "2026-03-02", "--to", "2026-03-03", "--out", str(tmp_path))

    alone, compared = report(*after), report(*after, "--compare")
    stored = previous(tmp_path)
    assert (alone.code, compared.code) == (0, 0)
    report(*DAY, "--out", str(tmp_path), "--media-type", "message")
    report(*after, "--media-type", "message")

    assert stored["interval"] == "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"
    assert stored["total"]["conversation_count"] == 151
    assert previous(tmp_path)["total"]["conversation_count"] == 1


def test_a_report_of_other_conversations_is_no_period_before(report, tmp_path):
    report(*DAY, "--out", str(tmp_path), "--media-type", "message")
    report("report", "--from", "2026-03-02", "--to", "2026-03-03", "--out", str(tmp_path))

    assert previous(tmp_path) is None


def previous(folder):
    return json.loads((folder / NEXT / "report.json").read_text())["previous"]


def test_json_names_the_files_and_the_count(report, tmp_path):
    done = report(*DAY, "--out", str(tmp_path), "--json")

    assert done.json["conversationCount"] == 151
    assert done.json["files"][0]["path"].endswith(f"{FOLDER}/report.csv")


def test_a_report_in_the_bucket_comes_with_links_that_download(report, bucket):
    done = report(*DAY, "--json", REPORT_BUCKET=bucket)

    assert done.code == 0
    reply = httpx.get(done.json["files"][0]["url"])
    assert reply.text.startswith('"mediaType","queueId","queueName","conversation_count"')


@pytest.mark.parametrize("start", ["2026-03-01", "2026-03-01T00:00:00Z", "20260301T000000Z"])
def test_links_are_signed_anew(report, worker, bucket, start):
    report(*DAY, REPORT_BUCKET=bucket)

    done = worker("report", "url", "by-hand", start, "--json", REPORT_BUCKET=bucket)

    assert done.code == 0
    assert [httpx.get(file["url"]).status_code for file in done.json["files"]] == [200] * 3


def test_a_report_that_is_not_there_is_said_to_be_missing(worker, bucket):
    done = worker("report", "url", "nothing", "2026-03-01", REPORT_BUCKET=bucket)

    assert done.code == 1
    assert "no report nothing from 2026-03-01" in done.err


def test_without_bucket_and_folder_the_setting_is_named(report):
    done = report(*DAY)

    assert done.code == 2
    assert "REPORT_BUCKET" in done.err


def test_without_credentials_the_settings_are_named(worker, tmp_path):
    done = worker(*DAY, "--out", str(tmp_path))

    assert done.code == 2
    assert "GENESYS_CLIENT_ID" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("report",),
        ("report", "--from", "2026-03-01"),
        ("report", "--from", "soon", "--to", "2026-03-02"),
        (*DAY, "--name", "../x"),
    ],
)
def test_a_wrong_option_is_a_usage_error(report, arguments):
    assert report(*arguments).code == 2


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--group-by", "colour", "--group-by: entry 1 is none of mediaType, queueId"),
        ("--to", "2026-02-01", "--from, --to: start not before end"),
        ("--to", "2028-03-02", "--from, --to: longer than 400 days"),
        ("--media-type", "bogus", "--media-type: none of callback, chat, cobrowse, email"),
        ("--media-type", "", "--media-type: none of callback"),
        ("--queue-id", "../../x", "--queue-id: entry 1 is not a UUID; GET /api/v2/routing/queues"),
    ],
)
def test_what_cannot_be_reported_is_a_bad_argument_and_nothing_is_asked(
    report, cloud, tmp_path, option, value, said
):
    done = report(*DAY, "--out", str(tmp_path), option, value)

    assert done.code == 2
    assert done.err.startswith(said)
    assert list(cloud.arrivals) == []


def test_all_bad_arguments_are_named_at_once(report, tmp_path):
    wrong = ("--media-type", "fax", "--queue-id", QUEUE, "--queue-id", "q", "--group-by", "colour")

    done = report(*DAY, "--out", str(tmp_path), *wrong)

    assert [line.split(",")[0].split(";")[0] for line in done.err.splitlines()] == [
        "--group-by: entry 1 is none of mediaType",
        "--media-type: none of callback",
        "--queue-id: entry 2 is not a UUID",
    ]


def test_a_media_type_is_taken_in_capitals(report, tmp_path):
    done = report(*DAY, "--out", str(tmp_path), "--media-type", "MESSAGE", "--json")

    assert done.json["conversationCount"] == 1


def test_a_file_in_place_of_the_folder_is_a_usage_error_and_nothing_is_asked(
    report, cloud, tmp_path
):
    place = tmp_path / "taken"
    place.touch()

    done = report(*DAY, "--out", str(place))

    assert done.code == 2
    assert "--out" in done.err
    assert list(cloud.arrivals) == []


def test_a_genesys_that_refuses_us_is_a_clean_failure(report, tmp_path, cloud):
    cloud.reject_client = True

    done = report(*DAY, "--out", str(tmp_path))

    assert done.code == 1
    assert "invalid_client" in done.err


def test_a_login_host_that_is_not_reached_is_exit_code_3_at_once(report, tmp_path, closed_port):
    nowhere = f"http://127.0.0.1:{closed_port}"

    done = report(*DAY, "--out", str(tmp_path), GENESYS_LOGIN_URL=nowhere)

    assert (done.code, done.err) == (3, "genesys login: ConnectionRefusedError\n")


def test_a_bucket_that_is_not_reached_is_exit_code_3(worker, closed_port):
    nowhere = f"http://127.0.0.1:{closed_port}"

    done = worker(
        "report", "url", "x", "2026-03-01", REPORT_BUCKET="reports", AWS_ENDPOINT_URL=nowhere
    )

    assert (done.code, done.err.count("\n")) == (3, 1)
    assert done.err.startswith("s3: ")


def test_a_report_that_lacks_something_says_so(report, tmp_path, cloud):
    cloud.history.spoil = lambda _, conversations: conversations[1:]

    done = report(*DAY, "--out", str(tmp_path))

    assert done.code == 0
    assert "not complete" in done.err

"""Logs: one line each, nothing personal, nothing secret, cheap when not wanted."""

import io
import logging
import sys
import time
import timeit
import uuid

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from worker.telemetry.logs import (
    audit_logger,
    configure_logging,
    flush_logs,
    log_fields,
    log_sink_problem,
)
from worker.telemetry.scrub import MAX_CHARACTERS, clean, clean_end, escape, scrub

PHONE = "+4915112345678"
TOKEN = "canary-tok3n"
EMAIL = "jane.doe@customer.example"
HOSTILE = "a\r\nb\x1b[31mred\x1b[0m\u2028c\u2029d\x85e\u202ef\u2066g\x00h"


class Sink(io.StringIO):
    def lines(self):
        return [orjson.loads(line) for line in self.getvalue().splitlines()]


class Terminal(Sink):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in ("httpx", "botocore", "asyncio")}
    yield
    root.handlers[:], level, sys.excepthook, logging.raiseExceptions = before
    root.setLevel(level)
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)
    structlog.reset_defaults()


@pytest.fixture
def sink():
    sink = Sink()
    configure_logging("debug", "json", sink)
    return sink


@pytest.fixture
def log():
    return structlog.get_logger()


def test_a_line_is_one_json_object_with_time_level_and_event_first(sink, log):
    log.info("message_done", attempt=2)

    assert list(sink.lines()[0]) == ["timestamp", "level", "event", "attempt"]


def test_what_is_bound_to_the_context_is_on_every_line(sink, log):
    with log_fields(message_id="m-1", job="voice"):
        log.info("message_done")
        logging.getLogger("asyncio").warning("slow")

    assert [(line["message_id"], line["job"]) for line in sink.lines()] == [("m-1", "voice")] * 2


@pytest.mark.parametrize("output", ["json", "console"])
def test_a_line_says_first_what_happened_and_then_to_whom(log, output):
    sink = Terminal()
    configure_logging("info", output, sink)

    with log_fields(job="voice", message_id="m-1"):
        log.warning("event_failed", reason="gone", attempt=2, exc_info=ValueError("x"))

    names = ["event_failed", "error_class", "reason", "attempt", "job", "message_id", ": x"]
    places = [sink.getvalue().index(name) for name in names]
    assert places == sorted(places)


def test_a_field_of_the_line_wins_over_the_one_that_is_bound(sink, log):
    with log_fields(job="voice"):
        log.info("message_done", job="workflow")

    assert sink.lines()[0]["job"] == "workflow"


def test_lines_below_the_level_are_not_written(log):
    sink = Sink()
    configure_logging("warning", "json", sink)

    log.info("message_done")

    assert sink.getvalue() == ""


def test_libraries_log_through_the_same_steps(sink):
    logging.getLogger("asyncio").warning("task failed for %s", PHONE)

    assert sink.lines()[0]["event"] == "task failed for [phone]"
    assert sink.lines()[0]["logger"] == "asyncio"


@pytest.mark.parametrize(
    "name", ["httpx", "httpcore.http11", "botocore.endpoint", "aiobotocore", "aiohttp.access"]
)
def test_talkative_libraries_are_quiet_even_at_debug(sink, name):
    logging.getLogger(name).info("GET https://api.example/?phone=1")

    assert sink.getvalue() == ""


def test_a_library_record_that_cannot_be_formatted_prints_nothing(sink, capsys):
    logging.getLogger("asyncio").warning("%d", PHONE)

    assert PHONE not in capsys.readouterr().err + sink.getvalue()


def fail_with_canaries(number):
    local_secret = TOKEN  # noqa: F841  what a traceback with locals would show
    raise ValueError(f"no customer for {number}, Bearer {TOKEN}, {EMAIL}")


CANARIES = {
    "a value": lambda log: log.info("asked", text=f"call {PHONE}, {EMAIL}, Bearer {TOKEN}"),
    "a key": lambda log: log.info("asked", **{PHONE: 1, EMAIL: 2}),
    "an event name": lambda log: log.info(
        " ".join(["asked", PHONE, EMAIL, "access_token=" + TOKEN])
    ),
    "nested values": lambda log: log.info("asked", a={"b": [f"tel:{PHONE}", (EMAIL,)]}),
    "a header": lambda log: log.info("asked", headers={"Authorization": TOKEN, "x-api-key": TOKEN}),
    "a key named like a secret": lambda log: log.info("asked", client_secret=TOKEN, password=TOKEN),
    "a header deep inside": lambda log: log.info(
        "asked", a={"b": {"c": {"d": {"e": {"f": {"Authorization": TOKEN, "Cookie": TOKEN}}}}}}
    ),
    "a secret": lambda log: log.info("asked", value=SecretStr(TOKEN)),
    "a URL": lambda log: log.info("asked", url=f"https://x/?p=%2B{PHONE[1:]}&token={TOKEN}"),
    "a spaced number": lambda log: log.info("asked", text="+49 (0) 151 1234-5678"),
    "JSON in text": lambda log: log.info("asked", text=f'{{"access_token": "{TOKEN}"}}'),
    "bytes": lambda log: log.info("asked", body=f"{PHONE} {TOKEN}".encode()),
    "an exception as value": lambda log: log.info("asked", error=ValueError(f"{PHONE} {EMAIL}")),
}


@pytest.mark.parametrize("output", ["json", "console"])
@pytest.mark.parametrize("case", CANARIES)
def test_no_canary_reaches_the_log(log, case, output):
    sink = Terminal()
    configure_logging("debug", output, sink)

    CANARIES[case](log)

    assert_no_canary(sink.getvalue())


@pytest.mark.parametrize("output", ["json", "console"])
def test_no_canary_of_an_exception_or_its_locals_reaches_the_log(log, output):
    sink = Terminal()
    configure_logging("debug", output, sink)

    try:
        fail_with_canaries(PHONE)
    except ValueError as error:
        log.exception("handler_failed")
        logging.getLogger("asyncio").exception("task died")
        log.warning("handler_failed", exc_info=error)

    assert sink.getvalue().count("fail_with_canaries") >= 3
    assert_no_canary(sink.getvalue())


def test_an_uncaught_exception_becomes_a_line_without_canaries(sink):
    try:
        fail_with_canaries(PHONE)
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    assert sink.lines()[0]["event"] == "process_crashed"
    assert_no_canary(sink.getvalue())


def assert_no_canary(text):
    assert text
    for canary in (PHONE, PHONE[1:], "1234-5678", TOKEN, EMAIL):
        assert canary not in text


@pytest.mark.parametrize(
    "harmless",
    [
        "0b7b2d0c-93a1-4b6e-a1b4-0d3c3f0f5a11",
        "2026-11-20T10:00:00.123+00:00",
        "2026-11-20 10:00:00 +0000",
        "1763632800000",
        "arn:aws:sqs:eu-west-1:123456789012:work",
        "https://sqs.eu-west-1.amazonaws.com/123456789012/work",
        "v2.detail.events.conversation.{id}.customer.end",
        "basic information, bearer authentication failed, token expired",
        "1.5e+10",
        "HTTP 429, 3 of 10 attempts, 12.5 s",
    ],
)
def test_ids_times_and_prose_are_left_as_they_are(harmless):
    assert clean(harmless) == harmless


@pytest.mark.parametrize(
    "text",
    [
        "0049 151 12345678",
        "004915112345678",
        "call 004915112345678.",
        "number=004915112345678",
        "/customers/00491511234567",
        "\uff10\uff10\uff14\uff19 151 12345678",
        "(0049) 151 12345678",
        "(555) 123-4567",
        "(555)123-4567",
        "555-123-4567",
        "1-555-123-4567",
        "555.123.4567",
        "0151 1234567",
        "(0151) 1234567",
        "030/12345678",
        "01 23 45 67 89",
        "\uff0b49 151 1234567",
        "+49\u2011151\u20111234567",
        "+49\u2013151\u20131234567",
        "+49\u00a0151\u202f1234567",
        "\u202a+49 151 1234567\u202c",
        "+49%20151%201234567",
    ],
)
def test_a_phone_number_is_masked_however_it_is_written(text):
    assert "[phone]" in clean(text)
    assert sum(character.isdigit() for character in clean(text)) == 0
    assert sum(character.isdigit() for character in clean(f"no customer for {text}, 404")) == 3


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://u:pw@h", "https://***@h"),
        ("https://u:pw@h.example.com/x", "https://***@h.example.com/x"),
        ("to postgres://u:p@ss@h:5432/db, 3", "to postgres://***@h:5432/db, 3"),
        ("https://token@h/x", "https://***@h/x"),
        ("https://h/x@y", "https://h/x@y"),
    ],
)
def test_credentials_in_a_url_are_masked(text, masked):
    assert clean(text) == masked


def _nasty(unit):
    return lambda length: (unit * length)[:length]


@pytest.mark.parametrize(
    "unit",
    [
        *("secret", "token-", "a", "0123abcd-", "-eyJ", "+1", "00", "001 ", "(555) ", "a@", "a://"),
        *("1-", "bearer ", "basic a", "a.", "1(", "arn:aws", "tel", "0151 1", "555-123-", "@"),
        *("a:", "%2B1"),
    ],
)
def test_the_search_is_linear_whatever_the_text(unit):
    def seconds(length):
        text = _nasty(unit)(length) + "@"
        clock = time.process_time  # of this process: others share the machine
        return min(timeit.repeat(lambda: clean(text, 10**6), timer=clock, number=1, repeat=9))

    # Sixteen times the text: sixteen times the work, 256 times were it quadratic.
    assert seconds(32_000) < 128 * seconds(2_000)


@given(st.uuids(), st.sampled_from(["{}", "enrich-{}", "id {}, 3", "/items/{}", "({})", "a={}"]))
def test_no_uuid_is_taken_for_a_phone_number_wherever_it_stands(value, place):
    for text in (str(value), value.hex):
        assert clean(place.format(text)) == place.format(text)


@given(st.integers(0, 10**12 - 1))
def test_no_account_in_an_arn_or_a_queue_url_is_taken_for_a_phone_number(account):
    for text in (
        f"arn:aws:sqs:eu-west-1:{account:012}:work",
        f"arn:aws-us-gov:states:us-gov-west-1:{account:012}:execution:machine:enrich-1",
        f"AccessDenied: arn:aws:iam::{account:012}:role/x may not",
        f"https://sqs.eu-west-1.amazonaws.com/{account:012}/work",
    ):
        assert clean(text) == text


@given(st.datetimes(timezones=st.timezones()), st.sampled_from([" ", "T"]))
def test_no_time_is_taken_for_a_phone_number_in_a_text(value, separator):
    assert clean(f"at {value.isoformat(separator)}, 3") == f"at {value.isoformat(separator)}, 3"


@given(st.integers(10**9, 10**17) | st.floats(0, 10**12))
def test_no_count_or_epoch_is_taken_for_a_phone_number(value):
    assert clean(f"{value}") == f"{value}"
    assert clean(f"after {value} s") == f"after {value} s"


@given(st.uuids())
def test_no_uuid_is_ever_taken_for_a_phone_number(value):
    assert scrub(value) == str(value)


@given(st.datetimes(timezones=st.timezones()))
def test_no_time_is_ever_taken_for_a_phone_number(value):
    assert scrub(value.isoformat()) == value.isoformat()


def test_a_status_about_a_token_is_not_masked(sink, log):
    log.info("asked", token_problem="refused", token_expires=300)

    assert sink.lines()[0]["token_problem"] == "refused"
    assert sink.lines()[0]["token_expires"] == 300


def test_a_long_value_is_cut(sink, log):
    log.info("asked", text="x" * 1_000_000)

    assert len(sink.lines()[0]["text"]) < MAX_CHARACTERS + 10


def test_a_number_is_masked_also_where_a_long_value_is_cut(sink, log):
    log.info("asked", text="x" * (MAX_CHARACTERS - 5) + f" {PHONE}")

    assert "+49" not in sink.getvalue()


@given(st.integers(0, 40))
def test_a_number_is_masked_also_where_the_beginning_of_a_text_is_cut(visible):
    text = "x" * 100 + f" call {PHONE} or {EMAIL} " + "y" * (MAX_CHARACTERS - visible)

    assert_no_canary(clean_end(text))
    assert PHONE[6:] not in clean_end(text)


def test_a_long_traceback_keeps_the_end_that_names_the_error(sink, log):
    def deeper(n):
        return deeper(n - 1) if n else fail_with_canaries(PHONE)

    def wider(n):
        try:
            deeper(n)
        except ValueError as error:
            raise KeyError("the last one") from error

    try:
        wider(5)
    except KeyError:
        log.exception("handler_failed", filler="x")

    exception = sink.lines()[0]["exception"]
    assert exception.endswith("KeyError: 'the last one'")
    assert len(exception) < MAX_CHARACTERS + 10


def test_hostile_text_stays_one_json_line(sink, log):
    log.info("asked", text=HOSTILE, **{HOSTILE: 1})

    assert len(sink.lines()) == 1
    assert sink.lines()[0]["text"] == HOSTILE


def test_hostile_text_stays_one_line_and_colourless_on_a_terminal(log, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    sink = Terminal()
    configure_logging("info", "auto", sink)

    log.info("asked", text=HOSTILE, nested={"a": HOSTILE}, **{HOSTILE: 1})

    assert len(sink.getvalue().splitlines()) == 1
    assert not set(HOSTILE) & set(sink.getvalue().rstrip("\n")) - set("abcdefgh[301mred")


def test_a_terminal_that_knows_no_colours_is_sent_none(log, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    sink = Terminal()
    configure_logging("info", "auto", sink)

    log.info("asked")

    assert "\x1b" not in sink.getvalue()


def test_lists_and_what_is_not_set_are_readable_on_a_terminal(log, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    sink = Terminal()
    configure_logging("info", "auto", sink)

    log.info("worker_started", queues=["voice", "workflow"], organization_id=None)

    assert sink.getvalue().rstrip().endswith("queues=voice,workflow organization_id=-")


def test_an_error_text_cannot_fake_a_line_on_a_terminal(log):
    sink = Terminal()
    configure_logging("info", "console", sink)

    log.error("handler_failed", exc_info=ValueError("x\n2026-11-20 [info] all is ok"))

    assert "\n  | 2026-11-20 [info] all is ok" in sink.getvalue()


@pytest.mark.parametrize(
    "awkward", [2**70, float("nan"), "\ud800", {1: 2}, {"a": {"b": {"c": {"d": {"e": {"f": {}}}}}}}]
)
def test_awkward_values_are_still_one_json_line(sink, log, awkward):
    log.info("asked", value=awkward)

    assert len(sink.lines()) == 1


def test_a_value_that_cannot_be_printed_breaks_no_log_call(sink, log):
    class Broken:
        def __str__(self):
            raise RuntimeError

    log.info("asked", value=Broken())

    assert sink.lines()[0]["value"] == "(unprintable Broken)"


@given(st.text())
def test_escaped_text_is_always_one_line(text):
    assert len(escape(text).splitlines()) <= 1


@pytest.mark.parametrize("output", ["json", "console"])
def test_a_line_that_cannot_be_rendered_is_a_line_that_says_so(log, output):
    class Broken:
        @property
        def __class__(self):
            raise RuntimeError(PHONE)

    sink = Sink()
    configure_logging("info", output, sink)

    log.info("asked", value=Broken())
    log.info("asked_again")

    assert "log_line_failed" in sink.getvalue()
    assert "asked_again" in sink.getvalue()


def test_a_library_record_that_cannot_be_formatted_is_a_line_that_says_so(sink):
    logging.getLogger("asyncio").warning("%d", PHONE)

    assert sink.lines()[0]["event"] == "log_line_failed"
    assert (sink.lines()[0]["logger"], sink.lines()[0]["error_class"]) == ("asyncio", "TypeError")


def test_a_stream_that_was_closed_fails_no_log_call(sink, log):
    sink.close()

    log.info("asked")
    logging.getLogger("asyncio").warning("asked")

    assert log_sink_problem() == "log sink gone (EBADF)"


def test_a_process_without_stdout_can_log(log, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    configure_logging()

    log.info("asked")

    assert log_sink_problem() == "log sink gone (EBADF)"
    assert not flush_logs()


def test_logs_are_flushed_at_once_where_there_is_nothing_to_wait_for(sink):
    assert flush_logs()


def test_audit_entries_are_written_whatever_the_level(log):
    sink = Sink()
    configure_logging("error", "json", sink)

    audit_logger().info("attributes_set", success=True)

    assert sink.lines()[0]["logger"] == "audit"
    assert sink.lines()[0]["success"] is True


def test_audit_entries_are_in_console_form_on_a_terminal_too():
    sink = Terminal()
    configure_logging("info", "console", sink)

    audit_logger().info("attributes_set", id=uuid.UUID(int=1))

    assert "attributes_set" in sink.getvalue()
    assert str(uuid.UUID(int=1)) in sink.getvalue()
    assert "{" not in sink.getvalue()

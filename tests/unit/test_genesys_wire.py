"""What replies of Genesys Cloud mean: success, failure, and the text that may be logged."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.clients.genesys import wire
from worker.clients.genesys.actions import action_id_in_path
from worker.clients.genesys.conversations import halvable
from worker.clients.http_types import Reply
from worker.errors import (
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    Rejected,
    RequestTooLarge,
    Transient,
    Unauthorized,
    Unavailable,
    Unreadable,
    WorkerError,
)

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
NOW = datetime(2026, 3, 2, 10, 0, 0, tzinfo=UTC)
HTML = b"<html><body>502 Bad Gateway</body></html>"


def a_reply(status=200, body=b"", **headers):
    if not isinstance(body, bytes):
        body = orjson.dumps(body)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=headers, body=body, received_at=NOW)


def a_sample(name, status, **headers):
    return a_reply(status, (SAMPLES / name).read_bytes(), **headers)


def failure(reply):
    with pytest.raises(WorkerError) as caught:
        wire.parse(reply)
    return caught.value


def test_a_success_is_its_json_value():
    assert wire.parse(a_reply(200, {"tier": "gold"})) == {"tier": "gold"}


def test_a_success_without_body_is_none():
    assert wire.parse(a_reply(202)) is None


def test_a_429_is_rate_limited_with_the_seconds_of_its_header():
    error = failure(a_sample("platform/error_429.json", 429, retry_after="42"))

    assert isinstance(error, RateLimited)
    assert error.retry_after == 42


def test_a_429_with_an_http_date_waits_from_the_time_the_reply_came():
    error = failure(a_reply(429, retry_after="Mon, 02 Mar 2026 10:24:00 GMT"))

    assert error.retry_after == 24 * 60


def test_a_429_with_a_long_wait_is_not_clipped():
    assert failure(a_reply(429, retry_after="86400")).retry_after == 86_400


@pytest.mark.parametrize("value", ["-1", "abc", ""])
def test_a_429_with_an_unreadable_wait_leaves_it_to_the_backoff(value):
    assert failure(a_reply(429, retry_after=value)).retry_after is None


def test_a_429_without_retry_after_waits_for_the_reset_of_the_budget():
    assert failure(a_reply(429, inin_ratelimit_reset="17")).retry_after == 17


def test_the_budget_headers_are_read_when_present():
    reply = a_reply(
        200, {}, inin_ratelimit_count="280", inin_ratelimit_allowed="300", inin_ratelimit_reset="12"
    )

    assert wire.budget_of(reply) == wire.Budget(280, 300, 12)


def test_half_of_the_budget_headers_are_no_budget():
    assert wire.budget_of(a_reply(200, {}, inin_ratelimit_count="280")) is None


@pytest.mark.parametrize("status", [300, 302, 408, 425, 500, 501, 502, 503, 504])
def test_the_other_side_failed_when_the_status_says_so(status):
    assert isinstance(failure(a_reply(status, HTML)), Unavailable)


def test_an_unavailable_reply_keeps_the_wait_it_asks_for():
    assert failure(a_reply(503, retry_after="9")).retry_after == 9


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 415, 422])
def test_a_refusal_is_permanent_and_keeps_status_and_code(status):
    error = failure(a_reply(status, {"code": "bad.request", "status": status}))

    assert isinstance(error, Rejected)
    assert (error.status, error.code) == (status, "bad.request")


@pytest.mark.parametrize("body", [HTML, b"", {"message": "Forbidden"}, {"code": "not.authorized"}])
def test_a_403_that_names_no_missing_permission_is_of_its_message_alone(body):
    """A conversation of another division, say: held up by it, the whole job would wait."""
    assert isinstance(failure(a_reply(403, body)), Rejected)


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf{"a": 1}', b'{"a": 1, "b": NaN}', '{"a": 1}'.encode("utf-16")]
)
def test_a_reply_is_read_as_clients_in_the_field_read_it(body):
    assert wire.object_of(a_reply(200, body))["a"] == 1


def test_the_code_of_an_error_is_read_as_leniently():
    body = b"\xef\xbb\xbf" + orjson.dumps({"code": "missing.permissions"})

    assert wire.error_body_of(a_reply(403, body)).code == "missing.permissions"


@pytest.mark.parametrize("status", [202, 204])
def test_an_answer_without_content_is_none_yet(status):
    with pytest.raises(NotYet) as caught:
        wire.object_of(a_reply(status, retry_after="7"))

    assert caught.value.retry_after == 7


def test_a_429_whose_header_was_taken_off_waits_as_long_as_its_words_say():
    assert failure(a_sample("platform/error_429.json", 429)).retry_after == 42


def test_a_missing_permission_is_a_problem_of_the_client_that_names_it():
    error = failure(a_sample("platform/error_403.json", 403))

    assert isinstance(error, Misconfigured)
    assert error.setting == "GENESYS_CLIENT_ID"
    assert "analytics:conversationDetail:view" in error.reason
    assert error.remedy == "give the OAuth client's role analytics:conversationDetail:view"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"code": "missing.any.permissions"}, ()),
        (
            {
                "code": "missing.division.permissions",
                "messageParams": {"permissionsOrDivisions": "conversation:call:attributes:edit"},
            },
            ("conversation:call:attributes:edit",),
        ),
        (
            {"error": "insufficient_scope", "error_description": "needs data:actions:execute, now"},
            ("data:actions:execute",),
        ),
        ({"error": "insufficient_scope", "description": "flow:read, flow:read"}, ("flow:read",)),
        (
            {"code": "missing.permissions", "message": "Ann +15550100001 (a:b) may not: x@y:z"},
            (),
        ),
        (
            {
                "code": "missing.permissions",
                "messageParams": {"permissions": "[a_b:c, xy:z1, qq:rr]"},
            },
            ("qq:rr",),
        ),
        ({"code": "missing.permissions", "message": 7, "messageParams": [1]}, ()),
    ],
)
def test_of_a_403_only_what_looks_like_a_permission_is_read(body, names):
    reply = a_reply(403, body)

    assert wire.error_body_of(reply).permissions == names
    assert isinstance(failure(reply), Misconfigured)
    assert "555" not in failure(reply).reason


ACTION = {"errorCode": "ACTION.REMOTE_ENDPOINT", "fieldName": "x"}


@pytest.mark.parametrize("status", [400, 401, 403, 409, 429, 500, 502, 504])
def test_what_the_system_behind_a_data_action_did_is_no_word_of_genesys(status):
    reply = a_reply(status, {"code": "x", "details": [ACTION]}, retry_after="7")

    error = failure(reply)

    assert type(error) is Unavailable
    assert error.retry_after == 7
    assert not wire.refuses_token(reply)


@pytest.mark.parametrize(
    "body",
    [
        {"code": "INVALID_CREDENTIALS", "details": [{"errorCode": "ACTION.AUTHENTICATION"}]},
        {"code": "INVALID_CREDENTIALS"},
        {"code": "invalid.credentials", "details": []},
    ],
)
@pytest.mark.parametrize("status", [400, 401])
def test_refused_credentials_of_a_data_action_are_transient_and_known_as_such(status, body):
    reply = a_reply(status, body)

    assert type(failure(reply)) is Unavailable
    assert wire.error_body_of(reply).is_remote_credentials
    assert not wire.refuses_token(reply)


@pytest.mark.parametrize(
    "details",
    [None, {}, "ACTION.X", [None], ["ACTION.X"], [{"errorCode": 7}], [{"errorCode": "ACTIONS"}]],
)
def test_details_that_name_no_action_change_nothing(details):
    reply = a_reply(429, {"code": "x", "details": details})

    assert wire.error_body_of(reply).action is None
    assert isinstance(failure(reply), RateLimited)


@pytest.mark.parametrize(
    ("limit", "known"),
    [
        (
            {"namespace": "platform.api", "key": "token.rate.per.minute", "value": 300},
            {"namespace": "platform.api", "key": "token.rate.per.minute", "value": 300},
        ),
        ({"namespace": "Ann Smith", "key": "+15550100001", "value": "x"}, None),
        ({"key": "a.b", "value": True}, {"key": "a.b"}),
        ([], None),
    ],
)
def test_the_limit_of_a_429_is_read_as_far_as_it_is_one(limit, known):
    assert wire.error_body_of(a_reply(429, {"limit": limit})).limit == known


@pytest.mark.parametrize("status", [400, 429, 503, 504])
def test_limit_details_and_context_of_any_failure_are_read(status):
    body = {
        "code": "request.timeout",
        "contextId": "0f0e0d0c-0b0a-4900-8800-070605040302",
        "limit": {"key": "segments.max"},
        "details": [
            {"errorCode": "invalid.value", "fieldName": "interval"},
            {"errorCode": "+15550100001", "fieldName": "Ann Smith"},
            {"errorCode": "too.large"},
            {"entityId": "x"},
            "x",
        ],
    }
    read = wire.error_body_of(a_reply(status, body))

    assert (read.code, read.correlation_id) == (body["code"], body["contextId"])
    assert (read.limit, read.details) == (
        {"key": "segments.max"},
        ("invalid.value interval", "too.large"),
    )


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("actions.concurrent.executions.max", NotYet),
        ("requests.volume.max", NotYet),
        ("token.rate.per.minute", RateLimited),
        ("transactions.max", RateLimited),
        (None, RateLimited),
    ],
)
def test_only_a_limit_of_data_actions_leaves_the_request_budget_alone(key, kind):
    error = failure(a_reply(429, {"limit": {"key": key}}, retry_after="7"))

    assert (type(error), error.retry_after) == (kind, 7)


@pytest.mark.parametrize("status", [500, 504])
def test_a_question_for_several_things_may_be_too_large(status):
    call = halvable(wire.Call(None, wire.object_of, "analytics"))

    with pytest.raises(RequestTooLarge):
        call.read(a_reply(status))
    with pytest.raises(RequestTooLarge):
        call.read(a_reply(200, HTML))
    with pytest.raises(Unavailable) as other:
        call.read(a_reply(503))
    assert not isinstance(other.value, RequestTooLarge)
    assert call.upstream == "analytics"


def test_a_life_of_a_token_that_is_written_as_text_is_a_number():
    reply = a_reply(200, {"access_token": "t", "expires_in": "86400"})

    assert wire.token_of(reply).expires_in == 86_400


def test_a_401_refuses_the_token():
    assert isinstance(failure(a_reply(401, {"code": "bad.credentials"})), Unauthorized)


def test_a_401_about_the_remote_credentials_of_a_data_action_is_not_about_our_token():
    reply = a_reply(401, {"code": "invalid.credentials"})

    assert isinstance(failure(reply), Unavailable)
    assert not wire.refuses_token(reply)


def test_html_under_a_200_is_an_unreadable_reply():
    error = failure(a_reply(200, HTML))

    assert isinstance(error, Unreadable)
    assert "unreadable reply" in str(error)


def test_json_that_is_no_object_is_unreadable_where_an_object_is_wanted():
    with pytest.raises(Unreadable, match="not an object"):
        wire.object_of(a_reply(200, [1]))


def test_the_text_of_a_failure_is_status_code_and_context_id():
    error = failure(a_sample("platform/error_sta_404.json", 404))

    assert str(error) == ("genesys: 404 resource.not.found 0b7f3d1e-1111-4a4a-9c9c-000000000003")


def test_the_vendors_message_is_in_no_failure():
    body = {"message": "bad value +15550100001", "code": "bad.request", "contextId": "x" * 20}

    assert "15550100001" not in repr(failure(a_reply(400, body)))


@pytest.mark.parametrize("field", ["code", "contextId"])
def test_a_code_or_context_id_that_looks_like_data_is_dropped(field):
    assert "15550100001" not in str(failure(a_reply(400, {field: "15550100001"})))


def test_the_correlation_id_comes_from_the_header_when_the_body_has_none():
    reply = a_reply(502, HTML, inin_correlation_id="0b7f3d1e-1111-4a4a-9c9c-000000000009")

    assert wire.error_body_of(reply).correlation_id == "0b7f3d1e-1111-4a4a-9c9c-000000000009"


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60)
    | st.recursive(st.none() | st.booleans() | st.text(max_size=9), st.lists).map(orjson.dumps)
    | st.dictionaries(
        st.sampled_from(["code", "contextId", "error", "error_description", "message"]),
        st.text(max_size=9) | st.integers(-9, 9) | st.none(),
    ).map(orjson.dumps),
    retry_after=st.text(max_size=12),
)
def test_any_reply_is_a_value_or_a_worker_error(status, body, retry_after):
    reply = a_reply(status, body, retry_after=retry_after)

    for read in (wire.parse, wire.object_of, wire.token_of):
        with contextlib.suppress(Transient, Permanent):
            read(reply)


def test_a_token_is_read_with_its_life():
    token = wire.token_of(a_sample("platform/token.json", 200))

    assert (token.value, token.expires_in) == ("aBcD-invented", 86_399)


def test_a_token_is_not_in_its_repr():
    assert "aBcD" not in repr(wire.token_of(a_sample("platform/token.json", 200)))


@pytest.mark.parametrize("status", [400, 401])
def test_a_refused_client_is_unauthorized_whatever_the_status(status):
    with pytest.raises(Unauthorized, match="invalid_client") as caught:
        wire.token_of(a_sample("platform/token_invalid_client.json", status))

    assert caught.value.retry_after == 30


def test_tokens_asked_for_too_often_are_rate_limited():
    with pytest.raises(RateLimited):
        wire.token_of(a_sample("platform/token_rate_limited.json", 400))


@pytest.mark.parametrize("status", [403, 404, 415])
def test_a_wrong_token_path_dead_letters_no_message(status):
    with pytest.raises(Unauthorized):
        wire.token_of(a_reply(status, HTML))


@pytest.mark.parametrize(
    "over",
    [{"expires_in": None}, {"expires_in": True}, {"expires_in": 0}, {"access_token": "a\r\nb"}],
)
def test_a_token_reply_without_token_or_life_is_unavailable(over):
    with pytest.raises(Unavailable):
        wire.token_of(a_reply(200, {"access_token": "t", "expires_in": 300} | over))


def test_a_uuid_may_enter_a_path():
    id_ = "C0FFEE00-0000-4000-8000-000000000001"

    assert wire.conversation_id_in_path(id_) == id_


@pytest.mark.parametrize(
    "id_",
    [
        "",
        "..",
        "../../oauth/clients",
        "a/b",
        "a?x",
        "a%2f..",
        "{id}",
        "c0ffee00-0000-4000-8000-000000000001\n",
        "c0ffee00-0000-4000-8000-000000000001/..",
        "c0ffee00-0000-4000-8000-00000000000\N{FULLWIDTH DIGIT ONE}",
    ],
)
def test_a_conversation_id_that_is_no_uuid_is_refused(id_):
    with pytest.raises(Permanent):
        wire.conversation_id_in_path(id_)


def test_a_data_action_id_of_the_platform_may_enter_a_path():
    id_ = "custom_-_ac000000-0000-4000-8000-000000000001"

    assert action_id_in_path(id_) == id_


@pytest.mark.parametrize(
    "id_", ["", ".", "..", "a..b", "a/b", "a\\b", "a?b", "a#b", "a%2fb", "a\nb", "a\x00b", "a\x9fb"]
)
def test_a_data_action_id_that_could_leave_its_place_is_refused(id_):
    with pytest.raises(Misconfigured) as refused:
        action_id_in_path(id_)

    assert refused.value.setting == "GENESYS_ACTION_ID"


@given(st.text(max_size=20))
def test_a_data_action_id_is_one_plain_path_segment_or_refused(id_):
    try:
        segment = action_id_in_path(id_)
    except Misconfigured:
        return

    assert segment.isascii()
    assert segment not in {"", ".", ".."}
    assert not set(segment) & set("/?#\\ \r\n")

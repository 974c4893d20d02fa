import orjson
import pytest

from tests.support.factories import a_body, a_platform_body, a_voice_scored, an_id, platform_detail
from worker.errors import Permanent
from worker.events.envelope import MAX_KNOWN, _known, open_envelope

STA = "v2.speechandtextanalytics.conversation.{id}.sentiment"


def reason(body):
    with pytest.raises(Permanent) as caught:
        open_envelope(body)
    return caught.value.reason


def seen(body):
    """Whatever the form, as plain values."""
    envelope = open_envelope(body)
    detail = envelope.detail()
    return {
        **{name: getattr(envelope, name) for name in ("detail_type", "id", "time", "replayed")},
        "correlation_id": envelope.correlation_id,
        "organization_id": envelope.organization_id,
        "detail": orjson.loads(detail if isinstance(detail, str) else bytes(detail)),
        "body": None if envelope.body is None else orjson.loads(bytes(envelope.body)),
    }


def on_custom_bus(data, metadata=None, **system):
    parts = {"Data": data, "SystemMetadata": {"aws:DeliveryType": "LIVE"} | system}
    return orjson.dumps(parts if metadata is None else parts | {"Metadata": metadata})


def test_text_and_bytes_open_alike():
    body = a_platform_body(a_voice_scored())

    assert seen(body.decode()) == seen(body)


def test_a_bare_detail_gets_its_type_from_the_topic_with_the_id_taken_out():
    detail = platform_detail(a_voice_scored())

    envelope = seen(orjson.dumps(detail))

    assert (envelope["detail_type"], envelope["detail"], envelope["id"]) == (STA, detail, None)


def test_a_topic_of_two_ids_gets_both_taken_out():
    topic = f"v2.audits.entitytype.{an_id()}.entityid.{an_id()}"

    envelope = open_envelope(orjson.dumps({"topicName": topic, "eventBody": {}}))

    assert envelope.detail_type == "v2.audits.entitytype.{id}.entityid.{id}"


def test_a_real_id_in_the_detail_type_of_an_envelope_is_taken_out_as_well():
    assert open_envelope(a_body(STA.replace("{id}", an_id()), {})).detail_type == STA


def test_a_whole_envelope_on_the_custom_bus_keeps_its_type_and_time():
    inner = orjson.loads(a_body("voice.analytics", {"a": 1}, id="inner"))
    system = {"aws:EventId": "outer", "aws:IngestionTime": "2027-01-01T00:00:00Z"}

    envelope = seen(on_custom_bus(inner, **system))

    assert envelope == seen(a_body("voice.analytics", {"a": 1}, id="outer"))


def test_an_envelope_as_text_on_the_custom_bus_opens_like_one_as_an_object():
    inner = a_body("voice.analytics", {"a": 1})

    as_text = seen(on_custom_bus(inner.decode()))

    assert as_text == seen(on_custom_bus(orjson.loads(inner)))


def test_a_platform_detail_on_the_custom_bus_gets_its_type_from_the_topic_not_the_metadata():
    detail = platform_detail(a_voice_scored())

    envelope = seen(on_custom_bus(detail, {"detail-type": "other"}))

    assert (envelope["detail_type"], envelope["detail"]) == (STA, detail)


def test_a_flat_detail_on_the_custom_bus_gets_its_type_from_the_metadata():
    envelope = seen(on_custom_bus({"a": 1}, {"detail-type": "voice.analytics"}))

    assert (envelope["detail_type"], envelope["detail"]) == ("voice.analytics", {"a": 1})


def test_a_flat_detail_without_metadata_gets_its_type_from_the_bus():
    body = on_custom_bus({"a": 1}, **{"aws:DetailType": "voice.analytics"})

    assert open_envelope(body).detail_type == "voice.analytics"


@pytest.mark.parametrize(("delivery", "replayed"), [("LIVE", False), ("REPLAY", True)])
def test_the_custom_bus_says_what_is_a_replay(delivery, replayed):
    inner = orjson.loads(a_body("voice.analytics", {}))

    body = on_custom_bus(inner, **{"aws:DeliveryType": delivery})

    assert open_envelope(body).replayed is replayed


def test_an_event_with_a_replay_name_is_a_replay():
    assert open_envelope(a_body("voice.analytics", {}, replay_name="backfill")).replayed


@pytest.mark.parametrize("odd", [5, "x" * 300, "two\nlines", None, ["x"]])
def test_an_odd_correlation_id_is_left_out_and_refuses_nothing(odd):
    body = a_body("voice.analytics", {"metadata": {"CorrelationId": odd}})

    assert open_envelope(body).correlation_id is None


@pytest.mark.parametrize("odd", [b"1e400", b"1" + b"0" * 400, b"5", b'"x"', b"[1e400]", b"true"])
def test_metadata_of_any_shape_refuse_nothing(odd):
    body = a_body("voice.analytics", {"metadata": "here"}).replace(b'"here"', odd)

    assert open_envelope(body).correlation_id is None


def test_the_correlation_id_is_found():
    body = a_body("voice.analytics", {"metadata": {"CorrelationId": "cc-1"}})

    assert open_envelope(body).correlation_id == "cc-1"


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"detail_type": None}, "detail-type: missing"),
        ({"detail_type": ""}, "detail-type: missing"),
        ({"detail_type": 5}, "detail-type: not printable text"),
        ({"detail_type": "a\nb"}, "detail-type: not printable text"),
        ({"detail_type": "x" * 257}, "detail-type: empty or too long"),
        ({"detail": None}, "detail: missing"),
        ({"detail": [1]}, "detail: not an object"),
    ],
)
def test_a_bad_field_of_the_envelope_is_named(over, expected):
    event = orjson.loads(a_body("voice.analytics", {}))
    event |= {name.replace("_", "-"): value for name, value in over.items()}

    assert reason(orjson.dumps(event)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{", "Data: not JSON"),
        ("[1]", "Data: not an object"),
        (7, "Data: not an object"),
        (None, "Data: missing"),
    ],
)
def test_bad_data_of_the_custom_bus_is_named(data, expected):
    assert reason(on_custom_bus(data)) == expected


def test_a_body_of_exactly_one_mebibyte_is_opened():
    body = a_body("voice.analytics", {})

    assert open_envelope(body + b" " * (2**20 - len(body))).detail_type == "voice.analytics"


def test_text_is_measured_in_bytes():
    assert reason('"' + "é" * 2**19 + '"') == "body: larger than 1 MiB"


def test_a_megabyte_of_empty_lists_is_refused_before_it_is_parsed():
    assert reason(b"[" + b"[]," * 60_000 + b"[]]") == "body: too many lists and objects"


def test_the_event_stays_out_of_the_repr():
    assert "secret" not in repr(open_envelope(a_body("voice.analytics", {"a": "secret"})))


def in_sns(body, **over):
    """As a topic's subscription without raw delivery puts it on a queue."""
    notification = {
        "Type": "Notification",
        "MessageId": an_id(),
        "TopicArn": "arn:aws:sns:us-east-1:111122223333:events",
        "Message": body.decode(),
        "Timestamp": "2026-03-02T12:00:03.000Z",
    }
    return orjson.dumps(notification | over)


@pytest.mark.parametrize(
    "body",
    [
        a_body("voice.analytics", {"a": 1}),
        a_platform_body(a_voice_scored()),
        orjson.dumps(platform_detail(a_voice_scored())),
        on_custom_bus(orjson.loads(a_body("voice.analytics", {"a": "é"}))),
    ],
    ids=["flat", "platform", "bare", "custom bus"],
)
def test_an_event_in_a_notification_of_sns_opens_like_the_event(body):
    assert seen(in_sns(body)) == seen(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (in_sns(b"hello"), "Message: not JSON"),
        (in_sns(b"[]"), "Message: not an object"),
        (in_sns(b"null"), "Message: missing"),
        (in_sns(b"{}"), "detail-type: missing"),
        (in_sns(b"", Message=5), "detail-type: missing"),
        (in_sns(b"{}", Type="SubscriptionConfirmation"), "detail-type: missing"),
        (in_sns(in_sns(a_body("voice.analytics", {}))), "detail-type: missing"),
    ],
    ids=range(7),
)
def test_a_notification_without_an_event_is_refused_by_name(body, expected):
    assert reason(body) == expected


ORGANIZATION = "0a900000-0000-4000-8000-00000000000A"
PARTNER = f"aws.partner/genesys.com/cloud/{ORGANIZATION}/production"


@pytest.mark.parametrize(
    ("source", "organization"),
    [
        (PARTNER, ORGANIZATION.lower()),
        (f"{PARTNER}/eu", ORGANIZATION.lower()),
        ("aws.partner/genesys.com/cloud/acme/x", "acme"),
        ("aws.partner/genesys.com/cloud/acme", None),
        ("aws.partner/genesys.com/cloud//x", None),
        ("aws.partner/genesys.com/cloud/acme/x\n", None),
        ("aws.partner/auth0.com/acme/x", None),
        (f"x{PARTNER}", None),
        (f"{PARTNER}/{'x' * 300}", None),
        ("genesys.com.test", None),
        (["aws"], None),
        (None, None),
    ],
    ids=range(12),
)
def test_the_source_names_the_organization(source, organization):
    assert seen(a_body("voice.analytics", {}, source=source))["organization_id"] == organization


def test_an_event_on_the_custom_bus_names_its_organization():
    inner = orjson.loads(a_body("voice.analytics", {}, source=PARTNER))

    assert seen(on_custom_bus(inner))["organization_id"] == ORGANIZATION.lower()


def test_a_type_that_comes_again_is_of_the_organization_of_its_own_source():
    acme = "aws.partner/genesys.com/cloud/acme/x"
    for _ in range(2):
        for source, organization in ((PARTNER, ORGANIZATION.lower()), (acme, "acme"), (None, None)):
            envelope = open_envelope(a_body("voice.analytics", {}, source=source))
            assert (envelope.detail_type, envelope.organization_id) == (
                "voice.analytics",
                organization,
            )


def test_of_ever_new_types_only_some_are_remembered():
    for number in range(2 * MAX_KNOWN):
        assert open_envelope(a_body(f"type.{number}", {})).detail_type == f"type.{number}"

    assert 0 < len(_known) <= MAX_KNOWN


def test_a_type_with_an_id_is_not_remembered():
    _known.clear()

    open_envelope(a_body(STA.replace("{id}", an_id()), {}))

    assert not _known

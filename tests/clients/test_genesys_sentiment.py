"""The sentiment of a chat, from transcripts or from metrics; links are fetched, never shown."""

import asyncio
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
import structlog
from aiohttp import web

from tests.support.factories import NOON, an_id
from tests.support.genesys import a_guard, api_of, end
from worker.clients.genesys.conversations import (
    Batching,
    ConversationDetails,
    PlatformDetails,
    Wanted,
)
from worker.clients.genesys.speech import (
    METRICS,
    QuerySentiment,
    TranscriptSentiment,
    chat_sessions,
    is_analysed,
    sentiment_metrics,
)
from worker.clients.genesys.transcripts import Sentiment, SignedUrl, Transcripts
from worker.clients.http import HttpLimits
from worker.clients.http_types import Reply
from worker.emulators.genesys import GenesysCloud
from worker.emulators.genesys.cloud import Spoken, a_transcript
from worker.emulators.genesys.replies import error_body
from worker.errors import Misconfigured, Permanent, Transient, Unavailable, Unreadable

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
LIMITS = HttpLimits(total_seconds=5)
SCORES = dict(zip(METRICS.values(), (0.9, 0.1, 0.2, 0.7), strict=True))


@asynccontextmanager
async def transcripts_of(*, loopback=True):
    transcripts = Transcripts(a_guard("transcripts"), LIMITS, loopback=loopback)
    try:
        yield transcripts
    finally:
        await transcripts.aclose()


@asynccontextmanager
async def platform_of(cloud):
    async with api_of(cloud) as api, transcripts_of() as transcripts:
        details = ConversationDetails(api, PlatformDetails(), Batching())
        yield TranscriptSentiment(api, details.by_id, transcripts)
        await details.aclose()


def a_chat(cloud, *phrases, score=-0.4, **when):
    """A chat that ended and was analysed; returns conversation and session."""
    conversation, session = an_id(), an_id()
    end(cloud, conversation, session_id=session, media_type="message")
    cloud.speech.conversations[conversation] = Spoken(
        score, {session: a_transcript(*phrases)}, **when
    )
    return conversation, session


def recorded(name):
    body = (SAMPLES / name).read_bytes()
    return Reply(status=200, body=body, received_at=datetime.now(UTC))


async def test_the_shares_are_those_of_the_customers_phrases():
    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (-1, 0.9), (-1, 0.7), (0, 0.8), (1, 0.6))
    async with platform_of(cloud) as sentiment:
        assert await sentiment.of_chat(conversation, NOON) == Sentiment(
            positive=Decimal("0.25"),
            neutral=Decimal("0.25"),
            negative=Decimal("0.5"),
            confidence=Decimal("0.75"),
        )


async def test_all_chat_sessions_of_the_customer_are_read_together():
    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (-1, 1))
    second = an_id()
    customer = cloud.ended[conversation].record["participants"][0]
    customer["sessions"].append({"sessionId": second, "mediaType": "message"})
    cloud.speech.conversations[conversation].transcripts[second] = a_transcript((1, 1))
    async with platform_of(cloud) as sentiment:
        found = await sentiment.of_chat(conversation, NOON)

    assert (found.positive, found.negative) == (Decimal("0.5"), Decimal("0.5"))


@pytest.mark.parametrize("order", [list, reversed], ids=["oldest first", "newest first"])
async def test_of_very_many_sessions_the_latest_are_read(order):
    """The customer came back for the eleventh time, and this is the event of that time."""
    cloud = GenesysCloud()
    conversation, first = a_chat(cloud, (1, 1))
    customer = cloud.ended[conversation].record["participants"][0]
    later = [(an_id(), f"2026-03-02T10:{minute}:00.000Z") for minute in range(10, 20)]
    customer["sessions"] = [
        {
            "sessionId": session,
            "mediaType": "message",
            "segments": [{"segmentStart": began, "segmentType": "interact"}],
        }
        for session, began in order([(first, "2026-03-01T10:00:00.000Z"), *later])
    ]
    cloud.speech.conversations[conversation].transcripts[later[-1][0]] = a_transcript((-1, 1))
    async with platform_of(cloud) as sentiment:
        found = await sentiment.of_chat(conversation, NOON)

    assert (found.positive, found.negative) == (0, 1)


async def test_a_session_without_a_transcript_is_passed_over():
    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (-1, 1))
    customer = cloud.ended[conversation].record["participants"][0]
    customer["sessions"].insert(0, {"sessionId": an_id(), "mediaType": "message"})
    async with platform_of(cloud) as sentiment:
        assert (await sentiment.of_chat(conversation, NOON)).negative == 1


async def test_a_chat_that_is_not_analysed_costs_one_request():
    cloud = GenesysCloud()
    async with platform_of(cloud) as sentiment:
        conversation, _ = a_chat(cloud, (1, 1), analysed_at=asyncio.get_running_loop().time() + 60)
        assert await sentiment.of_chat(conversation, NOON) is None
        before = cloud.counts.total()
        await asyncio.sleep(61)

        assert await sentiment.of_chat(conversation, NOON) is not None

    assert before == 2  # the token is one of them


@pytest.mark.parametrize("missing", ["score", "record", "transcripts", "phrases"])
async def test_a_chat_of_which_a_part_is_missing_is_not_analysed(missing):
    cloud = GenesysCloud()
    conversation, session = a_chat(cloud, (1, 1))
    spoken = cloud.speech.conversations[conversation]
    match missing:
        case "score":
            spoken.score = None
        case "record":
            del cloud.ended[conversation]
        case "transcripts":
            spoken.transcripts = {}
        case "phrases":
            spoken.transcripts[session] = {}
    async with platform_of(cloud) as sentiment:
        assert await sentiment.of_chat(conversation, NOON) is None


@pytest.mark.parametrize("score", [-42, 1.01, "0.4", True])
async def test_a_score_of_another_scale_is_refused(score):
    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (1, 1), score=score)
    async with platform_of(cloud) as sentiment:
        with pytest.raises(Permanent):
            await sentiment.of_chat(conversation, NOON)


async def test_a_missing_permission_dead_letters_nothing():
    async def forbidden(_):
        return error_body(403, "missing.permissions")

    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (1, 1))
    cloud.fail_with("speech", forbidden)
    async with platform_of(cloud) as sentiment:
        with pytest.raises(Misconfigured):
            await sentiment.of_chat(conversation, NOON)


async def test_a_link_past_its_time_is_asked_for_anew_with_the_message():
    cloud = GenesysCloud()
    cloud.speech.link_seconds = 0
    conversation, _ = a_chat(cloud, (1, 1))
    async with platform_of(cloud) as sentiment:
        with pytest.raises(Transient):
            await sentiment.of_chat(conversation, NOON)
        cloud.speech.link_seconds = 60

        assert await sentiment.of_chat(conversation, NOON) is not None


async def test_the_token_is_not_sent_with_a_link():
    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (1, 1))
    async with platform_of(cloud) as sentiment:
        await sentiment.of_chat(conversation, NOON)  # the emulator answers a token with a 400

    assert cloud.counts["transcript_file"] == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://bucket.s3.amazonaws.com/t.json",
        "https://169.254.169.254/latest",
        "https://user@bucket.s3.amazonaws.com/t",
        "https://bucket.s3.amazonaws.com:8443/t",
        "https://bucket.s3.amazonaws.com:x/t",
        "ftp://127.0.0.1/t",
        "//evil.example/t",
        "file:///etc/passwd",
        "https://[::ffff:169.254.169.254]/",
        "https://bucket/t.json",
        "https://inin-prod-a:443/t.json",
        "https://.amazonaws.com/t.json",
        f"https://{'a' * 70}.s3.amazonaws.com/t.json",
        f"https://inin-prod-a.s3.amazonaws.com/{'t' * 17_000}",
        "",
    ],
)
async def test_a_link_that_is_not_to_be_followed_is_refused(url):
    async with transcripts_of() as transcripts:
        with pytest.raises(Permanent) as caught:
            await transcripts.fetch(SignedUrl(url))

        assert transcripts._clients == {}
    assert "evil" not in str(caught.value)


class Unsent:
    """A guard that makes no call: no test reaches Amazon."""

    async def call(self, _):
        return {}


@pytest.mark.parametrize(
    "place",
    [
        "inin-prod-euc1-transcripts.s3.eu-central-1.amazonaws.com",
        "inin-prod-useast1-transcripts.s3.amazonaws.com",
        "inin-prod-usw2-transcripts.s3-us-west-2.amazonaws.com",
        "inin-prod-eusc-transcripts.s3.eusc-de-east-1.amazonaws.eu",
        "s3.dualstack.us-east-1.amazonaws.com/inin-prod-useast1-transcripts",
    ],
)
async def test_a_link_to_a_bucket_of_genesys_is_followed_in_every_region(place):
    transcripts = Transcripts(Unsent(), LIMITS)

    assert await transcripts.fetch(SignedUrl(f"https://{place}/t.json?X-Amz-Signature=1")) == {}
    await transcripts.aclose()


@pytest.mark.parametrize(
    "place", ["prod-x.s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com/prod-x"]
)
async def test_another_bucket_waits_for_a_person_who_is_reported_its_name(place):
    transcripts = Transcripts(Unsent(), LIMITS)
    with pytest.raises(Misconfigured, match="bucket prod-x") as caught:
        await transcripts.fetch(SignedUrl(f"https://{place}/t.json"))

    assert caught.value.setting == "GENESYS_TRANSCRIPT_BUCKETS"
    assert transcripts._clients == {}


@pytest.mark.parametrize(
    "host",
    [
        "amazonaws.example",
        "amazonaws.com.elsewhere.example",
        "inin-prod-elsewhere.example",
        "inin-prod-a.s3.elsewhere.example",
        "inin-prod-a.s3.amazonaws.com.elsewhere.example",
        "inin-prod-a.ec2.eu-west-1.amazonaws.com",
        "inin-prod-a.execute-api.eu-west-1.amazonaws.com",
    ],
)
async def test_another_host_waits_likewise_and_is_asked_once_it_is_named_whole(host):
    url = SignedUrl(f"https://{host}/t.json")
    before = Transcripts(Unsent(), LIMITS)
    with pytest.raises(Misconfigured, match=f"the host {re.escape(host)}, which") as caught:
        await before.fetch(url)

    assert caught.value.setting == "GENESYS_TRANSCRIPT_BUCKETS"
    assert before._clients == {}

    after = Transcripts(Unsent(), LIMITS, buckets=["inin-prod-*", host])
    assert await after.fetch(url) == {}
    await after.aclose()


async def test_a_bucket_that_the_settings_name_is_asked():
    transcripts = Transcripts(Unsent(), LIMITS, buckets=["prod-*"])

    assert await transcripts.fetch(SignedUrl("https://prod-x.s3.amazonaws.com/t.json")) == {}
    await transcripts.aclose()


async def test_this_machine_is_asked_for_no_transcript_in_production():
    async with transcripts_of(loopback=False) as transcripts:
        with pytest.raises(Permanent, match="host not allowed"):
            await transcripts.fetch(SignedUrl("http://127.0.0.1:9464/status"))


async def test_many_odd_hosts_do_not_lock_out_the_next_one():
    transcripts = Transcripts(Unsent(), LIMITS)
    for number in range(40):
        url = f"https://inin-prod-{number}.s3.amazonaws.com/t.json"
        assert await transcripts.fetch(SignedUrl(url)) == {}

    assert len(transcripts._clients) == 16
    await transcripts.aclose()


async def test_neither_logs_nor_errors_nor_reprs_hold_a_link():
    cloud = GenesysCloud()
    conversation, _ = a_chat(cloud, (1, 1))
    cloud.fail_with("transcript_file", 503)
    with structlog.testing.capture_logs() as logs:
        async with platform_of(cloud) as sentiment:
            with pytest.raises(Unavailable) as caught:
                await sentiment.of_chat(conversation, NOON)

    (signature,) = cloud.speech.links
    reported = f"{logs} {caught.value!r} {SignedUrl(signature)!r}"
    assert signature not in reported


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, b"<Error/>", Transient),
        (400, b"<Error/>", Transient),
        (500, b"", Unavailable),
        (302, b"", Unavailable),
        (200, b"<html>", Unreadable),
        (200, b"[]", Unreadable),
    ],
)
async def test_each_answer_of_the_store_is_reported_by_what_helps(status, body, error):
    async def answer(_):
        return web.Response(status=status, body=body)

    cloud = GenesysCloud()
    cloud.fail_with("transcript_file", answer)
    async with api_of(cloud), transcripts_of() as transcripts:
        with pytest.raises(error) as caught:
            await transcripts.fetch(SignedUrl(f"{cloud.url}/transcripts/t.json?X-Amz-Signature=1"))

    assert type(caught.value) is error


async def test_a_file_that_is_not_there_is_none():
    cloud = GenesysCloud()
    cloud.fail_with("transcript_file", 404)
    async with api_of(cloud), transcripts_of() as transcripts:
        url = SignedUrl(f"{cloud.url}/transcripts/t.json?X-Amz-Signature=1")
        assert await transcripts.fetch(url) is None


async def test_the_reference_metrics_are_taken_as_they_are():
    cloud = GenesysCloud()
    conversation = end(cloud, media_type="message")
    cloud.speech.conversations[conversation] = Spoken(metrics=SCORES)
    async with api_of(cloud, text="r3") as api:
        assert await QuerySentiment(api).of_chat(conversation, NOON) == Sentiment(
            positive=Decimal("0.1"),
            neutral=Decimal("0.2"),
            negative=Decimal("0.7"),
            confidence=Decimal("0.9"),
        )


@pytest.mark.parametrize("share", ["positive", "neutral", "negative"])
async def test_a_share_that_is_not_among_the_reference_metrics_is_0(share):
    cloud = GenesysCloud()
    conversation = end(cloud, media_type="message")
    known = {name: value for name, value in SCORES.items() if name != METRICS[share]}
    cloud.speech.conversations[conversation] = Spoken(metrics=known)
    async with api_of(cloud, text="r3") as api:
        found = await QuerySentiment(api).of_chat(conversation, NOON)

    assert getattr(found, share) == 0


@pytest.mark.parametrize("known", [{}, {"sentimentNegative": 0.9}])
async def test_reference_metrics_without_a_confidence_are_not_analysed(known):
    cloud = GenesysCloud()
    conversation = end(cloud, media_type="message")
    cloud.speech.conversations[conversation] = Spoken(metrics=known)
    async with api_of(cloud, text="r3") as api:
        assert await QuerySentiment(api).of_chat(conversation, NOON) is None
        assert await QuerySentiment(api).of_chat(an_id(), NOON) is None


async def test_the_recorded_reference_reply_is_read():
    wanted = Wanted("c0ffee00-0000-4000-8000-000000000001", NOON)

    page = sentiment_metrics(wanted).read(recorded("reference/chat_sentiment_details.json"))

    found = page.found
    assert page.token is None
    assert (found.confidence, found.negative) == (
        Decimal("0.91237"),
        Decimal("0.878849"),
    )


async def test_the_recorded_platform_reply_is_analysed():
    call = is_analysed("c0ffee00-0000-4000-8000-000000000001")

    assert call.read(recorded("platform/sta_conversation.json")) is True


async def test_the_recorded_conversation_has_no_chat_session():
    body = orjson.loads(recorded("platform/details_query_response.json").body)

    assert chat_sessions(body["conversations"][0]) == []


@pytest.mark.parametrize("session", [None, "../../oauth", 7, "bb/x"])
async def test_a_session_that_fits_no_path_is_passed_over(session):
    details = {
        "participants": [
            {"purpose": "customer", "sessions": [{"mediaType": "chat", "sessionId": session}]}
        ]
    }

    assert chat_sessions(details) == []

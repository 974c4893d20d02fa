"""Transcripts: the file behind a signed URL, and what it says of the customer's sentiment.

Such a URL is a secret for as long as it lives: it is fetched at once, never stored, never logged.
It comes out of a reply, so its host is checked before anything is sent to it.
https://developer.genesys.cloud/analyticsdatamanagement/speechtextanalytics/transcript-url
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import partial
from math import isfinite
from typing import Any
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from worker.clients.genesys import wire
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply, Request, json_of
from worker.errors import Misconfigured, Permanent, Transient, Unavailable, Unreadable
from worker.resilience import Guard
from worker.settings import is_loopback


class Polarity(StrEnum):
    """Which way a conversation went."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class Sentiment(Struct, frozen=True, kw_only=True):
    """Shares of a conversation, each exact and in 0..1."""

    positive: Decimal
    neutral: Decimal
    negative: Decimal
    confidence: Decimal | None
    """How sure the analysis is; None when it does not say, which is not the same as 0."""

    def polarity(self) -> Polarity:
        """Return the largest share's name; a tie for the largest is neutral."""
        if self.positive > max(self.neutral, self.negative):
            return Polarity.POSITIVE
        if self.negative > max(self.neutral, self.positive):
            return Polarity.NEGATIVE
        return Polarity.NEUTRAL


def sentiment_of(
    *, positive: object, neutral: object, negative: object, confidence: object
) -> Sentiment:
    """Make a Sentiment of numbers as JSON has them; Permanent names the one that is none."""
    return Sentiment(
        positive=_share("positive", positive),
        neutral=_share("neutral", neutral),
        negative=_share("negative", negative),
        confidence=None if confidence is None else _share("confidence", confidence),
    )


def exact(value: object) -> Decimal | None:
    """Return a finite JSON number without a float's binary tail; None for anything else."""
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return Decimal(repr(value))


def is_score(value: object) -> bool:
    """Return whether there is a score; Permanent for one outside -1..1."""
    if value is None:
        return False
    number = exact(value)
    if number is None or abs(number) > 1:
        raise Permanent("sentimentScore: not within -1..1")
    return True


def _share(name: str, value: object) -> Decimal:
    number = exact(value)
    if number is None:
        raise Permanent(f"sentiment {name}: not a number")
    return min(max(number, Decimal(0)), Decimal(1))


CUSTOMER = "external"
"""`participantPurpose` of the customer's phrases; those of agents and flows are `internal`."""

SCORES = (-1, 0, 1)
"""A phrase's sentiment: another scale than that of the whole conversation, which is a fraction."""


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """Where a transcript is; valid for anyone, for a few minutes."""

    url: str = field(repr=False)


class ScoredPhrase(Struct, frozen=True):
    """A phrase of the customer's that was scored; its words are never read."""

    score: int
    confidence: Decimal | None


SPOKEN = {"call", "callback", "video", "voice"}
"""Media of a transcript that a speech recogniser wrote, as sure of its words as it says."""

CERTAIN = Decimal(1)


def customer_phrases(transcript: Mapping[str, Any]) -> list[ScoredPhrase]:
    """Return the customer's scored phrases of all parts of one transcript file.

    A phrase's `confidence` is the speech recogniser's. Typed text needs none, so a phrase of a
    chat is certain when it has no confidence.
    """
    is_spoken = str(transcript.get("mediaType")).lower() in SPOKEN
    return [
        phrase
        for part in wire.objects_in(transcript.get("transcripts"))
        for phrase in _scored(part, None if is_spoken else CERTAIN)
    ]


def sentiment_of_phrases(phrases: Iterable[ScoredPhrase]) -> Sentiment | None:
    """Return the shares of positive, neutral and negative phrases; None when there are none.

    The confidence is the mean over the phrases that have one. Shares of equal counts are equal, so
    that ties are seen as such.
    """
    scored = list(phrases)
    if not scored:
        return None
    sure = [phrase.confidence for phrase in scored if phrase.confidence is not None]
    mean = sum(sure, Decimal(0)) / len(sure) if sure else None
    return Sentiment(
        positive=_share_of(scored, 1),
        neutral=_share_of(scored, 0),
        negative=_share_of(scored, -1),
        confidence=None if mean is None else min(max(mean, Decimal(0)), Decimal(1)),
    )


def _share_of(scored: list[ScoredPhrase], score: int) -> Decimal:
    return Decimal(sum(phrase.score == score for phrase in scored)) / len(scored)


def _scored(part: Mapping[str, Any], otherwise: Decimal | None) -> Iterator[ScoredPhrase]:
    """Join the scores of one part with its phrases, by index: each phrase counts once.

    `otherwise`: the confidence of a phrase that has none.
    """
    phrases = _by_index(part.get("phrases"))
    analytics = part.get("analytics")
    scores = _by_index(analytics.get("sentiment") if isinstance(analytics, dict) else None)
    for index, score in scores.items():
        phrase = phrases.get(index, {})
        who = score.get("participant") or phrase.get("participantPurpose")
        if str(who).lower() == CUSTOMER and (value := _score(score.get("sentiment"))) is not None:
            confidence = exact(phrase.get("confidence"))
            yield ScoredPhrase(value, otherwise if confidence is None else confidence)


def _score(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in SCORES:
        return None
    return int(value)


def _by_index(value: object) -> dict[int, Mapping[str, Any]]:
    entries = wire.objects_in(value)
    return {index: one for one in entries if isinstance(index := one.get("phraseIndex"), int)}


BUCKETS = ("inin-prod-*",)
"""Genesys' own, as far as names were seen (README.md, "Speech and text analytics")."""

_S3 = r"s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.(?:com|eu)"
"""`.eu` is the European Sovereign Cloud's, a region of Genesys (`edee1.eusc-pure.cloud`)."""

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_IN_HOST = re.compile(rf"({_BUCKET})\.{_S3}")
_HOST = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
"""A name, not an address."""

_IN_PATH = re.compile(_S3)

MOST_HOSTS = 16
"""Clients kept open: a region keeps its transcripts in a bucket or two."""

MOST_BYTES = 16_384
"""Of a URL; one with a session's token has some 2,000."""

TEMPLATE = "/{signed}"


LIMITS = HttpLimits(total_seconds=10)


class Transcripts:
    """Downloads transcript files."""

    def __init__(
        self,
        guard: Guard,
        limits: HttpLimits,
        *,
        buckets: Sequence[str] = BUCKETS,
        loopback: bool = False,
    ) -> None:
        """`buckets`: globs of their names; names of other hosts.

        `loopback`: whether this machine may be asked, too.
        """
        self._guard = guard
        self._limits = limits
        self._buckets = buckets
        self._loopback = loopback
        self._clients: dict[str, HttpClient] = {}

    async def fetch(self, signed: SignedUrl) -> Mapping[str, Any] | None:
        """Return the file; None: there is none (yet).

        Raises Permanent for a URL that is not to be followed, Misconfigured for a bucket or a host
        that is not known as Genesys', Transient for a URL that is no longer good, and Unavailable
        for everything else.
        """
        origin, path = self._checked(signed.url)
        request = Request(method="GET", path=path, template=TEMPLATE)
        client = await self._client(origin)
        return await self._guard.call(partial(_fetched, client, request))

    async def aclose(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _client(self, origin: str) -> HttpClient:
        # One for each origin, as a client's address is fixed: that is what keeps it on its host.
        client = self._clients.pop(origin, None)
        if client is None:
            client = HttpClient("transcripts", origin, self._limits)
        self._clients[origin] = client  # the last one used is the last one in order
        if len(self._clients) > MOST_HOSTS:
            await self._clients.pop(next(iter(self._clients))).aclose()
        return client

    def _checked(self, url: str) -> tuple[str, str]:
        """Return origin and rest of a URL that may be fetched; raise for any other, unquoted."""
        parts = _parts_of(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        if not (self._loopback and is_loopback(parts.hostname)):
            self._check_place(parts)
        return f"{parts.scheme}://{parts.netloc}", path

    def _check_place(self, parts: SplitResult) -> None:
        """Check bucket or host; a host by its whole name, as a glob for buckets would let any in.

        Not Permanent: should Genesys move its transcripts, every chat would be dead-lettered.
        """
        host = parts.hostname or ""
        if parts.scheme != "https" or parts.port not in {None, 443} or not _HOST.fullmatch(host):
            raise Permanent("transcript URL: host not allowed")
        bucket = _bucket_of(parts)
        known = bucket is not None and any(fnmatchcase(bucket, glob) for glob in self._buckets)
        if not known and (bucket is not None or host not in self._buckets):
            what, name = ("host", host) if bucket is None else ("bucket", bucket)
            raise Misconfigured(
                f"transcripts are in the {what} {name}, which is not known as Genesys'",
                setting="GENESYS_TRANSCRIPT_BUCKETS",
                remedy=f"if the {what} is Genesys', add its name to GENESYS_TRANSCRIPT_BUCKETS",
            )


def _parts_of(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = len(url) <= MOST_BYTES and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Permanent("transcript URL: unreadable")
    if parts.scheme not in {"http", "https"} or parts.username is not None:
        raise Permanent("transcript URL: host not allowed")
    return parts


def _bucket_of(parts: SplitResult) -> str | None:
    """Return the bucket of an S3 URL, by its host or path; None for any other URL."""
    host = parts.hostname or ""
    if _IN_PATH.fullmatch(host):
        name = parts.path.split("/")[1:2]
        return name[0] if name and re.fullmatch(_BUCKET, name[0]) else None
    found = _IN_HOST.fullmatch(host)
    return found[1] if found else None


async def _fetched(client: HttpClient, request: Request) -> Mapping[str, Any] | None:
    return _file(await client.send(request))


def _file(reply: Reply) -> Mapping[str, Any] | None:
    if reply.status == 404:
        return None
    if 400 <= reply.status < 500:
        # S3 answers 400 or 403 to a URL past its time: the next try begins with a new one.
        raise Transient(f"transcripts: link refused ({reply.status})")
    if not 200 <= reply.status < 300:
        raise Unavailable(f"transcripts: {reply.status}")
    file = json_of("transcripts", reply)
    if not isinstance(file, dict):
        raise Unreadable("transcripts: unreadable reply")
    return file

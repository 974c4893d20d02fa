"""What a job may import: the declaration of a job, and the tools it is built with.

Semantic versioning: what stands in `__all__` changes only with a new major version of the package.
How to write a job: worker/jobs/README.md.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from worker.clients import HttpService, Reply, Request, Webhook, failure_of, json_of, path_of, reach
from worker.clients.aws import CREDENTIALS, AwsService, Bus, ClientLimits, probes
from worker.clients.genesys import (
    ALIASES,
    MIN_AGE,
    REFERENCE_GROUPS,
    REFERENCE_METRICS,
    Api,
    Attributes,
    Call,
    Caller,
    ChatSentiment,
    Condition,
    ConversationDetails,
    DetailsJobs,
    DetailsQuery,
    Failures,
    Filters,
    GenesysClients,
    Json,
    Kind,
    Names,
    Page,
    PagesDialect,
    Schema,
    Sentiment,
    Slice,
    SliceTooLarge,
    all_of,
    schema_of,
)
from worker.context import Context
from worker.errors import (
    ConfigurationError,
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    Rejected,
    Transient,
    Unauthorized,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.events import (
    MAX_ITEMS,
    MAX_TEXT,
    AnyEvent,
    Envelope,
    Event,
    EventType,
    FlatFields,
    Handler,
    Interval,
    LegFields,
    Lost,
    Origin,
    Record,
    Result,
    Wire,
    any_events,
    decoder,
    e164,
    emitted_at,
    event_body,
    flat_detail,
    flat_of,
    flat_origin,
    instant,
    is_customers,
    iso,
    leg_of,
    leg_origin,
    number_as_written,
    origin,
    read_any,
    read_by,
    read_id,
    read_id_if_any,
    read_list,
    read_number,
    read_object,
    read_text,
    read_text_if_any,
    sent_at,
    timed,
    utc_text,
    without_tel,
)
from worker.findings import Check, Finding, Inspection, State, Trace, TraceEntry, fail, ok, warn
from worker.resilience import (
    Batcher,
    Cache,
    Cached,
    Guard,
    OncePerKey,
    best_effort,
    seconds_to_next_poll,
)
from worker.settings import BearerToken, Bucket, Globs, JobSettings, Seconds, Url, Uuid
from worker.telemetry import audit_logger, metrics
from worker.telemetry import current_tracing as tracing

__all__ = [
    "ALIASES",
    "CREDENTIALS",
    "MAX_ITEMS",
    "MAX_TEXT",
    "MIN_AGE",
    "REFERENCE_GROUPS",
    "REFERENCE_METRICS",
    "AnyEvent",
    "Api",
    "Attributes",
    "AwsService",
    "Batcher",
    "BearerToken",
    "Bucket",
    "Bus",
    "Cache",
    "Cached",
    "Call",
    "Caller",
    "ChatSentiment",
    "Check",
    "ClientLimits",
    "Condition",
    "ConfigurationError",
    "Context",
    "ConversationDetails",
    "DetailsJobs",
    "DetailsQuery",
    "Envelope",
    "Event",
    "EventType",
    "Failures",
    "Filters",
    "Finding",
    "FlatFields",
    "GenesysClients",
    "Globs",
    "Guard",
    "Handler",
    "HttpService",
    "Inspection",
    "Interval",
    "Job",
    "JobSettings",
    "Json",
    "Kind",
    "LegFields",
    "Lost",
    "Misconfigured",
    "Names",
    "NotYet",
    "OncePerKey",
    "Origin",
    "Page",
    "PagesDialect",
    "Permanent",
    "RateLimited",
    "Record",
    "Rejected",
    "Reply",
    "Request",
    "Result",
    "Schema",
    "Seconds",
    "Sentiment",
    "Slice",
    "SliceTooLarge",
    "State",
    "Trace",
    "TraceEntry",
    "Transient",
    "Unauthorized",
    "Unavailable",
    "Unreadable",
    "Url",
    "Uuid",
    "Webhook",
    "Wire",
    "WorkerError",
    "all_of",
    "any_events",
    "audit_logger",
    "best_effort",
    "decoder",
    "e164",
    "emitted_at",
    "event_body",
    "fail",
    "failure_of",
    "flat_detail",
    "flat_of",
    "flat_origin",
    "instant",
    "is_customers",
    "iso",
    "json_of",
    "leg_of",
    "leg_origin",
    "metrics",
    "number_as_written",
    "ok",
    "origin",
    "path_of",
    "probes",
    "reach",
    "read_any",
    "read_by",
    "read_id",
    "read_id_if_any",
    "read_list",
    "read_number",
    "read_object",
    "read_text",
    "read_text_if_any",
    "schema_of",
    "seconds_to_next_poll",
    "sent_at",
    "timed",
    "tracing",
    "utc_text",
    "warn",
    "without_tel",
]

S = TypeVar("S", bound=JobSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[S]):
    """One job, as the worker knows it. All lists are made of these: routes, settings, docs."""

    name: str
    """Lower case; its name in HANDLERS, queue bindings, metrics and logs."""

    summary: str
    """One line: what it does."""

    events: Sequence[EventType]
    settings: type[S]
    build: Callable[[Context, S], Awaitable[Handler]]
    """Awaited once, at start, when the job is on."""

    requires: Sequence[str] = ()
    """Variables without which the job is off, beside the credentials of Genesys."""

    needs: Sequence[str] | Callable[[S], Sequence[str]] = ()
    """Upstreams without which no event can succeed: while one is down, its messages wait."""

    may_miss: Sequence[str] = ()
    """Upstreams whose answers may be missing or remembered: they hold nothing back."""

    topics: Sequence[str] | Callable[[S], Sequence[str]] = ()
    """Topics of Genesys Cloud that its events come from, with a literal `{id}`."""

    without_topics: str = ""
    """What to do where Genesys Cloud does not send one of them to EventBridge."""

    permissions: dict[str, str] | Callable[[S], dict[str, str]] = field(default_factory=dict)
    """Each call of Genesys Cloud, `METHOD /path/{id}`, with the permissions it takes: all that
    `and` joins, one of those that `or` joins; none where the vendor names none."""

    optional_permissions: dict[str, str] = field(default_factory=dict)
    """The same of calls whose refusal costs it a part of its work only."""

    aws_services: Sequence[str] = ()
    """AWS services it calls, as botocore names them: the image keeps their models."""

    aws_actions: dict[str, str] = field(default_factory=dict)
    """Each IAM action it takes, with the setting that names the resource."""

    proof: Literal["sink", "store"] = "store"
    deadline: str | None = None
    """Setting (field) with the longest run in seconds; None: HANDLER_DEADLINE_SECONDS."""

    background: bool = False
    """Its runs are long and give way to live events; on ECS its task is not scaled in meanwhile."""

    age_limit: str | None = None
    """Setting (field) with the age in seconds from which an event no longer matters."""

    degrade_after: str | None = None
    """Setting (field) with the age in seconds from which it goes without what it may miss."""

    waits: Sequence[str] = ()
    """Settings (fields) with an age until which it waits for data: shorter than the horizon."""

    webhooks: Sequence[str] = ()
    """Settings (fields) with the URL of a webhook it posts to."""

    bus_events: Sequence[tuple[str, str]] = ()
    """Source and detail-type of each event it puts on EVENT_BUS_NAME."""

    effects: Callable[[Any], dict[str, str]] | None = None
    """Takes an event; returns the ids that its effects will have, however often it comes."""

    checks: Mapping[str, Check | str] = field(default_factory=dict)
    """What `worker check` finds out when the job is on, beside what it asks of any job: a check a
    name, that of its finding should there be no answer; `module:function` is imported then only."""

    inspector: str | None = None
    """Where `worker inspect --live` finds what asks its upstreams: `module:function`. It is awaited
    with context, settings and files (by option, in place of the upstreams' answers), and returns a
    function that takes an event and returns an awaitable `Inspection`."""

    trace: str | None = None
    """Where `worker trace` finds what the job did for a conversation: `module:function`. It is
    awaited with context, settings and the conversation's id, and returns a sequence of `Trace`."""

    backfill: str | None = None
    """Where `worker backfill` finds what the job missed: `module:function`. It is awaited with
    context, settings and the `Interval`, and returns a function that takes conversations that ended
    in it, as analytics has them, and returns an awaitable sequence of `Lost`."""

    without_backfill: str = ""
    """Why there is none, and what to do instead."""

    demo: str | None = None
    """Where `worker demo` finds its traffic and proof, `module:function`: it takes the number of
    events of the whole demo and a Random, and returns a `worker.demo.Demo`."""

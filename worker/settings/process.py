"""Settings of the process itself: its server, its logs, its region, its handlers."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from worker.settings.fields import AgentUrl, CollectorUrl, Globs, Group, Seconds, Url, group


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class Ops(Group):
    """The operators' HTTP server."""

    model_config = group("OPS_")

    host: str = "127.0.0.1"
    """Address to listen on: 127.0.0.1 is loopback (IPv6 too), 0.0.0.0 or :: every address of both
    families: inside a container."""

    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    """Port; 0 takes a free one and logs it."""

    stall_seconds: Annotated[Seconds, Field(ge=1)] = 30
    """Silence of the event loop after which /livez answers 503; it beats twice a second."""


class Log(Group):
    """Logging."""

    model_config = group("LOG_")

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """Least severity that is written."""

    format: Annotated[Literal["auto", "json", "console"], BeforeValidator(_lower)] = "auto"
    """`auto`: console on a terminal, one JSON object a line otherwise."""


class Aws(Group):
    """Read here for checks and messages; everything else is the SDK's own chain."""

    model_config = group("AWS_")

    region: str | None = None
    """Region of all clients. Unset: AWS_DEFAULT_REGION or the profile's."""

    endpoint_url: Url | None = None
    """Another endpoint for all AWS services: emulators."""

    transport: Annotated[Literal["lean", "sdk"], BeforeValidator(_lower)] = "lean"
    """How SQS, DynamoDB, Step Functions and EventBridge are called: `lean` by the worker's own
    client, at a fraction of the CPU time, `sdk` by aioboto3. All else is aioboto3's."""


class Ecs(Group):
    """What ECS tells its tasks."""

    model_config = group("ECS_")

    agent_uri: AgentUrl | None = None
    """The ECS agent, set by ECS itself: asked not to end this task while it writes a report. Unset:
    nobody is asked."""


class Otel(Group):
    """Whether there is tracing; all other `OTEL_` variables are read by OpenTelemetry itself."""

    model_config = group("OTEL_")

    exporter_otlp_endpoint: CollectorUrl | None = None
    """Collector that spans are sent to, by OTLP over HTTP; needs the extra `otel`. Unset: no
    tracing."""

    traces_exporter: str = "otlp"
    """`none`: no tracing, although there is a collector."""


HANDLER_NEEDS: Mapping[str, tuple[str, ...]] = {
    "voice": ("GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "GENESYS_ACTION_ID", "DYNAMODB_TABLE"),
    "attributes": (
        "GENESYS_CLIENT_ID",
        "GENESYS_CLIENT_SECRET",
        "GENESYS_FLOW_ID",
        "CRM_API_ENDPOINT",
    ),
    "workflow": ("GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "STEP_FUNCTIONS_ARN"),
    "sentiment": ("GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "CRM_WEBHOOK_URL"),
    "reports": ("GENESYS_CLIENT_ID", "GENESYS_CLIENT_SECRET", "REPORT_BUCKET"),
}
"""The handlers there are, and the settings without which each cannot work."""


_NEEDED_BY = Counter(need for needs in HANDLER_NEEDS.values() for need in needs)

OWN_NEEDS: Mapping[str, tuple[str, ...]] = {
    job: tuple(need for need in needs if _NEEDED_BY[need] == 1)
    for job, needs in HANDLER_NEEDS.items()
}
"""What each job needs and no other does: whoever sets one of these wants that job."""


class Handlers(Group):
    """Which handlers are on."""

    model_config = group("")

    handlers: Globs = ()
    """Comma separated, of: voice, attributes, workflow, sentiment, reports. Unset: every handler
    whose settings are there."""

    @field_validator("handlers")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for position, name in enumerate(names, start=1):
            if name not in HANDLER_NEEDS:
                known = ", ".join(HANDLER_NEEDS)
                raise ValueError(f"entry {position} is no handler; there are: {known}")
        return tuple(dict.fromkeys(names))


def missing_needs(is_set: Callable[[str], bool]) -> dict[str, tuple[str, ...]]:
    """Return, per handler, the settings it still lacks; `is_set` is asked by variable name."""
    return {
        handler: tuple(need for need in needs if not is_set(need))
        for handler, needs in HANDLER_NEEDS.items()
    }

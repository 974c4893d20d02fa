"""Settings of the process itself: its server, its logs, its region, its handlers."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from worker.settings.fields import AgentUrl, CollectorUrl, Globs, Group, Seconds, Url, group


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _transport(value: object) -> object:
    name = _lower(value)
    return "wire" if name == "lean" else name  # its name until 0.2, and still an alias


def _level(value: object) -> object:
    name = _lower(value)
    # As Python's logging and many others name them.
    return {"warn": "warning", "critical": "error", "fatal": "error"}.get(str(name), name)


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

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_level)] = "info"
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

    transport: Annotated[Literal["wire", "sdk"], BeforeValidator(_transport)] = "wire"
    """How SQS, DynamoDB, Step Functions and EventBridge are called: `wire` by the worker's own
    client, at a fraction of the CPU time, `sdk` by aioboto3. All else is aioboto3's."""


class Ecs(Group):
    """What ECS sets for its tasks."""

    model_config = group("ECS_")

    agent_uri: AgentUrl | None = None
    """The ECS agent, set by ECS itself: asked not to end this task while it writes a report. Unset:
    no agent is asked."""


class Otel(Group):
    """Whether there is tracing; all other `OTEL_` variables are read by OpenTelemetry itself."""

    model_config = group("OTEL_")

    exporter_otlp_endpoint: CollectorUrl | None = None
    """Collector that spans are sent to, by OTLP over HTTP; needs the extra `otel`. Unset: no
    tracing."""

    traces_exporter: str = "otlp"
    """`none`: no tracing, although there is a collector."""


class Handlers(Group):
    """Which jobs are on."""

    model_config = group("")

    handlers: Globs = ()
    """Jobs, comma separated, e.g. `voice,reports`. Unset: every job whose settings are
    there."""

    @field_validator("handlers")
    @classmethod
    def _once_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))

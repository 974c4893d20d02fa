"""Which checks there are, and under which settings each is worth making."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker.cli.preflight.aws import check_identity, check_ledger, check_table
from worker.cli.preflight.bucket import check_details_bucket, check_report_bucket
from worker.cli.preflight.bus import EVENTS, check_bus
from worker.cli.preflight.crm import check_crm
from worker.cli.preflight.genesys import check_genesys
from worker.cli.preflight.queue import check_queues
from worker.cli.preflight.rows import Row
from worker.cli.preflight.webhooks import check_webhook, webhooks_of
from worker.cli.preflight.workflow import check_state_machine
from worker.settings import Settings

Found = Row | list[Row]


@dataclass(frozen=True, slots=True)
class AwsCheck:
    """A check that asks one AWS service."""

    name: str
    """Of the row, should there be no other."""

    needed: object
    """True in a condition: somebody who is on needs it, and the setting is there."""

    service: str
    ask: Callable[[Any], Awaitable[Found]]
    """Takes the service's client."""


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A check that asks somebody else."""

    name: str
    ask: Callable[[], Awaitable[Found]]


def aws_checks(settings: Settings) -> Iterator[AwsCheck]:
    """Yield the checks of AWS that are needed, in the order of their rows."""
    on = set(settings.enabled_jobs())
    table, ledger = settings.dynamodb.table or "", settings.ledger.table
    arn, bus = settings.step_functions.arn or "", settings.event_bus.name
    reports, details = settings.report.bucket or "", settings.workflow.details_bucket
    checks = (
        AwsCheck("AWS credentials", True, "sts", check_identity),
        AwsCheck("queue", True, "sqs", partial(check_queues, settings=settings)),
        AwsCheck("ledger table", ledger, "dynamodb", partial(check_ledger, table=ledger or "")),
        AwsCheck("DynamoDB table", on & {"voice"}, "dynamodb", partial(check_table, table=table)),
        AwsCheck(
            "state machine",
            on & {"workflow"},
            "stepfunctions",
            partial(check_state_machine, arn=arn),
        ),
        AwsCheck(
            "call details bucket",
            on & {"workflow"} and details,
            "s3",
            partial(check_details_bucket, bucket=details or ""),
        ),
        AwsCheck(
            "report bucket", on & {"reports"}, "s3", partial(check_report_bucket, bucket=reports)
        ),
        AwsCheck("event bus", on & set(EVENTS), "events", partial(check_bus, bus=bus, handlers=on)),
    )
    return (check for check in checks if check.needed)


def http_checks(settings: Settings) -> Iterator[HttpCheck]:
    """Yield the checks of all others that are needed, in the order of their rows."""
    yield HttpCheck("Genesys token", partial(check_genesys, settings))
    if "attributes" in settings.enabled_jobs():
        yield HttpCheck("CRM", partial(check_crm, settings.crm))
    for name, url in webhooks_of(settings):
        yield HttpCheck(name, partial(check_webhook, name, url))

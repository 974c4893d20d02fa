"""A job of another package calls any operation of AWS, whatever transport the worker uses."""

import pytest

from worker.api import AnyEvent, Context, Globs, Job, JobSettings, Result, any_events
from worker.demo.environment import LEDGER_TABLE
from worker.testing import an_event, run_job


class Looking(JobSettings):
    """Looks something up."""

    events_looking_types: Globs = ("looked.up",)
    """Types of its events."""


async def build(context: Context, _: Looking):
    dynamodb = await context.aws("dynamodb")

    async def look(event: AnyEvent) -> Result:
        key = {"id": {"S": event.origin.dedupe_key}}
        found = await dynamodb.call("get_item", TableName=LEDGER_TABLE, Key=key)
        return Result.SKIPPED if "Item" in found else Result.OK

    return look


JOB = Job(
    name="looking",
    summary="looks something up",
    events=[any_events("events_looking_types")],
    settings=Looking,
    build=build,
    needs=["dynamodb"],
)


@pytest.mark.parametrize("transport", ["wire", "sdk"])
@pytest.mark.usefixtures("emulators")
async def test_an_operation_that_no_job_of_the_box_calls_is_there(transport):
    result = await run_job(JOB, an_event("looked.up", {}), aws_transport=transport)

    assert result is Result.OK

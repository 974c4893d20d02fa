"""The state machine, and the bucket for details that do not fit its input."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from worker.api import Guard, Permanent, Rejected, aws_errors, tracing
from worker.jobs.workflow.execution import Execution

STARTED_BEFORE = "ExecutionAlreadyExists"


class Workflows:
    """The executions of one state machine of type STANDARD (EXPRESS ones know no names)."""

    def __init__(self, client: Any, state_machine_arn: str, guard: Guard) -> None:
        """`client`: Step Functions."""
        self._client = client
        self._arn = state_machine_arn
        self._guard = guard

    async def start(self, execution: Execution) -> bool:
        """Start it; False when it was started before: names are kept for 90 days.

        A start whose execution still runs with the same input answers True again. Raises Rejected
        for an input that Step Functions does not take, Transient for everything else.
        """
        # Repeatable: the name makes a second start harmless.
        return await self._guard.call(partial(self._start, execution), repeatable=True)

    async def _start(self, execution: Execution) -> bool:
        header = tracing().trace_header()
        try:
            with aws_errors("stepfunctions"):
                await self._client.start_execution(
                    stateMachineArn=self._arn,
                    name=execution.name,
                    input=execution.encoded().decode(),
                    **({"traceHeader": header} if header else {}),
                )
        except Rejected as refusal:
            if refusal.code == STARTED_BEFORE:
                return False
            raise
        return True


class DetailsStore:
    """One bucket. Keys derive from events, so a repeat overwrites its own object."""

    def __init__(self, client: Any, bucket: str | None, guard: Guard) -> None:
        """`client`: S3. `bucket` None: there is nowhere to put them."""
        self._client = client
        self._bucket = bucket
        self._guard = guard

    async def put(self, key: str, content: bytes) -> Mapping[str, str]:
        """Store JSON and return its location; Permanent when no bucket is set."""
        if self._bucket is None:
            raise Permanent("callDetails: too large, and WORKFLOW_DETAILS_BUCKET is not set")
        location = {"bucket": self._bucket, "key": key}
        await self._guard.call(partial(self._put, location, content), repeatable=True)
        return location

    async def _put(self, location: Mapping[str, str], content: bytes) -> None:
        with aws_errors("s3", "WORKFLOW_DETAILS_BUCKET"):
            await self._client.put_object(
                Bucket=location["bucket"],
                Key=location["key"],
                Body=content,
                ContentType="application/json",
            )

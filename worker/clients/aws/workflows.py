"""Step Functions: starts executions, each name at most once."""

from functools import partial
from typing import Any

from worker.clients.aws.errors import aws_errors
from worker.domain.workflow import Execution
from worker.errors import Rejected
from worker.resilience.guard import Guard
from worker.telemetry.tracing import tracing

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

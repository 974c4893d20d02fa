"""A conversation's end starts its workflow."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from worker.api import ConversationDetails, Result
from worker.jobs.workflow.events import ConversationEnded
from worker.jobs.workflow.executions import (
    DetailsStatus,
    Execution,
    Workflows,
    details_status,
    execution_of,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRules:
    """What holds for every conversation."""

    steps: tuple[str, ...]
    settle_seconds: float
    """Age of the event from which its details are taken as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWorkflow:
    """ConversationEnded → details by id → one execution of the state machine."""

    details: ConversationDetails
    workflows: Workflows
    store: Callable[[str, bytes], Awaitable[Mapping[str, str]]]
    """Keeps details that are too large for an input: key, JSON → `{"bucket", "key"}`."""

    rules: WorkflowRules
    now: Callable[[], datetime]
    """Wall clock, aware: an event's age is measured by it."""

    async def __call__(self, event: ConversationEnded) -> Result:
        """Start the workflow; raises NotYet while the conversation's end may still show."""
        occurred_at = event.origin.occurred_at
        details = await self.details.by_id(event.conversation_id, occurred_at)
        status = details_status(
            details,
            age_seconds=(self.now() - occurred_at).total_seconds(),
            settle_seconds=self.rules.settle_seconds,
        )
        execution = execution_of(event, details, status=status, steps=self.rules.steps)
        if not await self.workflows.start(await self._fitting(execution)):
            return Result.DUPLICATE
        return Result.OK if status is DetailsStatus.COMPLETE else Result.DEGRADED

    async def _fitting(self, execution: Execution) -> Execution:
        if execution.fits():
            return execution
        location = await self.store(execution.details_key(), execution.encoded_details())
        log.info("call_details_stored", key=location["key"])
        return execution.with_details_at(location)

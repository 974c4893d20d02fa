"""One call from the wire to its action, through the fault plan and into the journal."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from worker.emulators.sqs.actions import Answer, Call, MessageActions
from worker.emulators.sqs.admin import QueueActions
from worker.emulators.sqs.errors import SqsError, access_denied
from worker.emulators.sqs.faults import Deny, Drip, FaultPlan, Refuse, Reset, Silence
from worker.emulators.sqs.journal import Journal
from worker.emulators.sqs.parameters import Parameters

_Action = Callable[[Call], Awaitable[Answer]]


class ResetWanted(Exception):
    """The fault plan wants the connection reset instead of an answer."""


class SilenceWanted(Exception):
    """The fault plan wants no answer at all."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is answered, and how."""

    content: Answer | str
    drip: Drip | None = None


class Api:
    """All actions of SQS that are emulated."""

    def __init__(
        self, messages: MessageActions, queues: QueueActions, faults: FaultPlan, journal: Journal
    ) -> None:
        self._actions = _message_actions(messages) | _queue_actions(queues)
        self._faults = faults
        self._journal = journal

    async def __call__(self, action: str, parameters: Parameters) -> Outgoing:
        """Run the action.

        Raises:
            SqsError: by SQS's rules or by the fault plan.
            ResetWanted, SilenceWanted: by the fault plan.

        """
        queue_name = _queue_name(parameters)
        call = Call(action, parameters, self._faults.draw(action, queue_name))
        try:
            answer = await self._run(call)
        except SqsError as error:
            self._journal.write(action, queue_name, outcome=error.code)
            raise
        except ResetWanted:
            self._journal.write(action, queue_name, outcome="reset")
            raise
        except SilenceWanted:
            self._journal.write(action, queue_name, outcome="silence")
            raise
        says = call.injected.says
        return Outgoing(answer if says is None else says, call.injected.drip)

    async def _run(self, call: Call) -> Answer:
        action = self._actions.get(call.action)
        if action is None:
            raise SqsError("UnknownOperationException", "No such action.", status=404)
        if call.injected.delay_seconds:
            await asyncio.sleep(call.injected.delay_seconds)
        _refuse(call, after_effect=False)
        answer = await action(call)
        _refuse(call, after_effect=True)
        return answer


def _refuse(call: Call, *, after_effect: bool) -> None:
    match call.injected.refusal(after_effect=after_effect):
        case Reset():
            raise ResetWanted
        case Silence():
            raise SilenceWanted
        case Deny(action=action):
            # SQS writes its actions in lower case here, and the single one for a batch.
            own = f"sqs:{call.action.removesuffix('Batch').lower()}"
            raise access_denied(action or own, _queue_name(call.parameters))
        case Refuse(shape=shape, status=status):
            raise SqsError(shape, "Injected.", status=status)


def _queue_name(parameters: Parameters) -> str:
    return str(parameters.get("QueueUrl") or parameters.get("QueueName") or "").rpartition("/")[2]


def _message_actions(actions: MessageActions) -> dict[str, _Action]:
    return {
        "SendMessage": actions.send_message,
        "SendMessageBatch": actions.send_message_batch,
        "ReceiveMessage": actions.receive_message,
        "DeleteMessage": actions.delete_message,
        "DeleteMessageBatch": actions.delete_message_batch,
        "ChangeMessageVisibility": actions.change_message_visibility,
        "ChangeMessageVisibilityBatch": actions.change_message_visibility_batch,
    }


def _queue_actions(actions: QueueActions) -> dict[str, _Action]:
    return {
        "CreateQueue": actions.create_queue,
        "GetQueueUrl": actions.get_queue_url,
        "ListQueues": actions.list_queues,
        "GetQueueAttributes": actions.get_queue_attributes,
        "SetQueueAttributes": actions.set_queue_attributes,
        "PurgeQueue": actions.purge_queue,
        "DeleteQueue": actions.delete_queue,
        "ListDeadLetterSourceQueues": actions.list_dead_letter_source_queues,
        "StartMessageMoveTask": actions.start_message_move_task,
        "ListMessageMoveTasks": actions.list_message_move_tasks,
        "CancelMessageMoveTask": actions.cancel_message_move_task,
    }

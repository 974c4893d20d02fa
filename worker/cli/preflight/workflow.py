"""The state machine: whether an execution of it would start."""

from typing import Any

from worker.cli.preflight.dry import MARK, NO_JSON, Target, refusal_of, refused
from worker.cli.preflight.rows import Row, ok, warn

STATE_MACHINE = Target(
    name="state machine", action="states:StartExecution", setting="STEP_FUNCTIONS_ARN"
)

REFUSED_INPUT = "InvalidExecutionInput"
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html."""


async def check_state_machine(stepfunctions: Any, arn: str) -> Row:
    """Try to start an execution of an input that no execution can have."""
    fault = await refusal_of(
        stepfunctions.start_execution(stateMachineArn=arn, name=MARK, input=NO_JSON)
    )
    if fault is None:
        return warn(
            STATE_MACHINE.name,
            "started an execution it should have refused",
            f"stop the execution {MARK}",
        )
    if fault.code == REFUSED_INPUT:
        return ok(STATE_MACHINE.name, "is there, and may be started")
    return refused(STATE_MACHINE, fault)

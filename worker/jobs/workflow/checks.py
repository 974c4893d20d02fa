"""What `worker check` asks for the workflow: its state machine, and its bucket."""

from worker.api import Context, Finding, probes
from worker.jobs.workflow.executions import Execution
from worker.jobs.workflow.settings import WorkflowSettings

STATE_MACHINE = probes.Probe(
    name="state machine",
    action="states:StartExecution",
    setting="STEP_FUNCTIONS_ARN",
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    refusal="InvalidExecutionInput",
    found="exists, and may be started",
    taken="started an execution it should have refused",
    remedy=f"stop the execution {probes.MARK}",
)

DETAILS = "call details bucket"
"""Name of a finding."""

DETAILS_KEY = Execution(probes.MARK, {}).details_key()
"""A key as the handler makes them: permissions are granted by prefix."""


async def check_state_machine(context: Context, settings: WorkflowSettings) -> list[Finding]:
    """Try to start an execution of an input that no execution can have."""
    stepfunctions = await context.aws("stepfunctions", setting=STATE_MACHINE.setting)
    call = stepfunctions.client.start_execution(
        stateMachineArn=settings.step_functions_arn or "", name=probes.MARK, input=probes.NO_JSON
    )
    return [await probes.run(STATE_MACHINE, call)]


async def check_details_bucket(context: Context, settings: WorkflowSettings) -> list[Finding]:
    """Try to write call details, where there is a bucket for them."""
    bucket = settings.workflow_details_bucket
    if not bucket:
        return []
    s3 = await context.aws("s3", setting="WORKFLOW_DETAILS_BUCKET")
    return [await probes.put_object(DETAILS, s3, bucket, DETAILS_KEY)]

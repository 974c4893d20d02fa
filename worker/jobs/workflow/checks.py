"""What `worker check` and `worker trace` ask for the workflow: its state machine, its bucket."""

from collections.abc import Mapping
from typing import Any

from worker.api import AwsService, Context, Finding, Trace, TraceEntry, probes
from worker.jobs.workflow.executions import Execution, name_prefix
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


PAGE = 1000
MAX_PAGES = 50
"""Half a minute of calls at the quota of ListExecutions, which refills by five a second.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""


async def trace(context: Context, settings: WorkflowSettings, conversation_id: str) -> list[Trace]:
    """Look for the executions of a conversation, by name, among the latest of the state machine.

    A list is all there is to ask: names end in a hash of the conversation's end, which is not
    known here, and ListExecutions knows no prefix.
    """
    arn, prefix = settings.step_functions_arn or "", name_prefix(conversation_id)
    where = f"state machine {arn.rpartition(':')[2]}"
    if settings.step_functions_type == "EXPRESS":
        return [Trace(where=where, entries=[], note="executions of EXPRESS ones cannot be listed")]
    stepfunctions = await context.aws("stepfunctions", setting=STATE_MACHINE.setting)
    entries: list[TraceEntry] = []
    after: str | None = None
    for _ in range(MAX_PAGES):
        found, after = await _page(stepfunctions, arn, after)
        entries += [_traced(one) for one in found if one["name"].startswith(prefix)]
        if after is None:
            break
    note = f"the latest {MAX_PAGES * PAGE:,} executions were searched, and there are more"
    return [Trace(where=where, entries=entries, note=note if after else "")]


async def _page(
    stepfunctions: AwsService, arn: str, after: str | None
) -> tuple[list[Mapping[str, Any]], str | None]:
    more = {"nextToken": after} if after else {}
    page = await stepfunctions.call("list_executions", stateMachineArn=arn, maxResults=PAGE, **more)
    return page["executions"], page.get("nextToken")


def _traced(execution: Mapping[str, Any]) -> TraceEntry:
    return TraceEntry(
        time=execution["startDate"],
        what="execution",
        id=execution["name"],
        state=execution["status"],
    )

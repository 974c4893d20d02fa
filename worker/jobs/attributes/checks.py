"""What `worker check` asks for attributes: the CRM and the flow, as the job does."""

from functools import partial

from worker.api import (
    Call,
    Context,
    Finding,
    Reply,
    Schema,
    Unauthorized,
    WorkerError,
    fail,
    ok,
)
from worker.jobs.attributes import open_crm
from worker.jobs.attributes.settings import AttributesSettings

CRM, FLOW = "CRM", "Genesys flow"
"""Names of the findings."""

NO_SUCH_FLOW = {404, 410}
NIL_CONVERSATION = "00000000-0000-0000-0000-000000000000"
"""An id that no conversation has."""


async def check_crm(context: Context, settings: AttributesSettings) -> list[Finding]:
    """Look up a conversation that does not exist, as the job looks up a customer."""
    crm = await open_crm(context, settings)
    try:
        status = await crm.status_for(NIL_CONVERSATION)
    except Unauthorized as error:
        return [fail(CRM, str(error), "check CRM_API_TOKEN")]
    except WorkerError as error:
        return [fail(CRM, str(error), "check CRM_API_ENDPOINT and the network to its host")]
    except UnicodeError:
        # Resolving ends so where a part of the name is longer than one can be.
        return [fail(CRM, "the host name is not valid", "check CRM_API_ENDPOINT")]
    doubt = ", as would a wrong path" if status == 404 else ""
    return [ok(CRM, f"answers {status} for a conversation that does not exist{doubt}")]


async def check_flow(context: Context, settings: AttributesSettings) -> list[Finding]:
    """Ask for the flow's inputs, as the job does."""
    genesys = await context.genesys()

    def read() -> Call[Finding]:
        call = genesys.dialect.attributes.flow_inputs(settings.genesys_flow_id or "")
        return Call(call.request, partial(_flow, call), call.upstream)

    return await genesys.finding_of(FLOW, "GENESYS_FLOW_ID", read)


def _flow(call: Call[Schema | None], reply: Reply) -> Finding:
    if reply.status in NO_SUCH_FLOW:
        return fail(FLOW, "this flow does not exist", "check GENESYS_FLOW_ID")
    if reply.status == 403:
        return fail(FLOW, "may not be read: 403", "give the client's role architect:flow:view")
    inputs = call.read(reply)
    if inputs is None:
        return fail(
            FLOW, "no version with inputs is published", "publish it, or check GENESYS_FLOW_ID"
        )
    return ok(FLOW, f"exists, with {len(inputs)} inputs")

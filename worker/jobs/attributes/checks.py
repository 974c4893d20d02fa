"""What `worker check` asks of the CRM: looked up as the job does, and nothing is changed."""

from worker.api import Context, Finding, Unauthorized, WorkerError, fail, ok
from worker.jobs.attributes import open_crm
from worker.jobs.attributes.settings import AttributesSettings

CRM = "CRM"
"""Name of the finding."""

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

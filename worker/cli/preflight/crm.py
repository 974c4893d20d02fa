"""The CRM: whether it lets us in, asked for a conversation that nobody had."""

from worker.cli.preflight.rows import Row, fail, ok
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import origin_of
from worker.errors import Unauthorized, WorkerError
from worker.jobs.attributes.crm import look_up, record_of
from worker.settings.attributes import Crm

NAME = "CRM"
NOBODY = "00000000-0000-0000-0000-000000000000"


async def check_crm(settings: Crm) -> list[Row]:
    """Look up nobody, as the worker looks up a customer."""
    url = str(settings.api_endpoint)
    token = settings.api_token.get_secret_value() if settings.api_token else None
    limits = HttpLimits(total_seconds=settings.timeout_seconds, connections=1)
    try:
        async with HttpClient("crm", origin_of("CRM_API_ENDPOINT", url), limits) as http:
            reply = await http.send(look_up(url, token, NOBODY, None))
            record_of(reply)
    except Unauthorized as error:
        return [fail(NAME, str(error), "check CRM_API_TOKEN")]
    except WorkerError as error:
        return [fail(NAME, str(error), "check CRM_API_ENDPOINT and the way to its host")]
    doubt = ", as would a wrong path" if reply.status == 404 else ""
    return [ok(NAME, f"answers {reply.status} for a conversation that nobody had{doubt}")]

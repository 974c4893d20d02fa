"""Data actions: the platform's own form, and the `parameters`/`status`/`result` form of r0."""

from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Answer, Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, error_body, json_object, no_query


def routes() -> list[Endpoint]:
    """Both forms count as `data_action`, a look at one as `data_action_read`."""
    return [
        Endpoint("data_action_read", "GET", "/api/v2/integrations/actions/{id}", _action),
        Endpoint("data_action", "POST", "/api/v2/integrations/actions/{id}/execute", _execute),
        Endpoint("data_action", "POST", "/api/v2/data/actions/{id}/execute", _execute_reference),
    ]


def an_action(action_id: str) -> dict[str, Any]:
    """Return a data action, less its contract."""
    uri = f"/api/v2/integrations/actions/{action_id}"
    return {"id": action_id, "name": "Find the customer", "secure": False, "selfUri": uri}


async def crm_lookup_failed(_: web.Request) -> web.StreamResponse:
    """Answer as r0's API does when the system behind the action is down."""
    return web.json_response({"status": "ERROR", "result": "CRM lookup failed"})


def remote_failure(status: int, retry_after: str | None = None) -> Answer:
    """Return the answer of a data action whose remote system answered with that status."""
    headers = {"Retry-After": retry_after} if retry_after else None

    async def answer(_: web.Request) -> web.StreamResponse:
        message = "Request to backend service failed."
        details = [{"errorCode": "ACTION.REMOTE_ENDPOINT", "fieldName": "response"}]
        return error_body(status, message=message, headers=headers, details=details)

    return answer


async def remote_credentials_expired(_: web.Request) -> web.StreamResponse:
    """Answer as the platform does when the action's own credentials for its system are refused."""
    details = [{"errorCode": "ACTION.AUTHENTICATION"}]
    return error_body(400, "INVALID_CREDENTIALS", details=details)


async def a_list(_: web.Request) -> web.StreamResponse:
    """Answer with what no reader of an output can read."""
    return web.json_response([])


async def _action(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    _check_there(cloud, request)
    return web.json_response(an_action(request.match_info["id"]))


async def _execute(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    output = _customer(cloud, request, await json_object(request))
    if output is None:
        return error_body(400, "no.results", "The action returned no results")
    return web.json_response(output)


async def _execute_reference(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    body = await json_object(request)
    inputs = body.get("parameters")
    if set(body) != {"parameters"} or not isinstance(inputs, dict):
        raise Refusal(400)
    return web.json_response({"status": "SUCCESS", "result": _customer(cloud, request, inputs)})


def _customer(
    cloud: GenesysCloud, request: web.Request, inputs: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the output for the first input that is a known number."""
    _check_there(cloud, request)
    if not inputs or not all(isinstance(value, str) for value in inputs.values()):
        raise Refusal(400, "invalid.schema")
    found = (cloud.customers[value] for value in inputs.values() if value in cloud.customers)
    return next(found, None)


def _check_there(cloud: GenesysCloud, request: web.Request) -> None:
    """Raise Refusal if there is no such action."""
    if cloud.action_ids is not None and request.match_info["id"] not in cloud.action_ids:
        raise Refusal(404)

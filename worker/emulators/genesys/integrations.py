"""Integrations: enough of them to set up the EventBridge source, and data actions; organization.

Data actions take the platform's own form, and the `parameters`/`status`/`result` form of r0. Of the
organization there are its id, its limits, and lists of what has a name.
"""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Answer, Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, error_body, json_object, no_query

EVENT_BRIDGE = "amazon-eventbridge-source"
CONFIGURATION = {"name", "version", "properties", "advanced", "notes", "credentials"}
"""Fields of an IntegrationConfiguration that are not read-only, all of them required."""

PROPERTIES = {"awsAccountId", "awsAccountRegion", "eventSourceSuffix", "eventFilter"}


def routes() -> list[Endpoint]:
    """Both forms of a data action count as `data_action`, a read of one as `data_action_read`.

    All else counts as `integration`, but for the organization's own id.
    """
    base = "/api/v2/integrations"
    one, config = f"{base}/{{id}}", f"{base}/{{id}}/config/current"
    action = f"{base}/actions/{{id}}"
    return [
        Endpoint("data_action_read", "GET", action, _action),
        Endpoint("data_action", "POST", f"{action}/execute", _execute),
        Endpoint(
            "data_action",
            "POST",
            "/api/v2/data/actions/{id}/execute",
            _execute_reference,
            texts=frozenset(("r0",)),
        ),
        Endpoint("organization", "GET", "/api/v2/organizations/me", _organization),
        Endpoint("limits", "GET", "/api/v2/organizations/limits/namespaces/{name}", _limits),
        Endpoint("queues", "GET", "/api/v2/routing/queues", _queues),
        Endpoint("users", "GET", "/api/v2/users", _users),
        Endpoint("divisions", "GET", "/api/v2/authorization/divisions", _divisions),
        Endpoint("wrapup_codes", "GET", "/api/v2/routing/wrapupcodes", _wrapup_codes),
        Endpoint("topics", "GET", "/api/v2/notifications/availabletopics", _topics),
        Endpoint("integration", "GET", base, _list),
        Endpoint("integration", "POST", base, _create),
        Endpoint("integration", "PATCH", one, _patch),
        Endpoint("integration", "GET", config, _config),
        Endpoint("integration", "PUT", config, _put_config),
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
    runs = cloud.action_runs
    runs.under_way += 1
    runs.most = max(runs.most, runs.under_way)
    try:
        if runs.limit is not None and runs.under_way > runs.limit:
            return too_many_actions(runs.limit)
        await asyncio.sleep(runs.seconds)
        return await _executed(cloud, request)
    finally:
        runs.under_way -= 1


def too_many_actions(most: int) -> web.Response:
    """Return the 429 of an organization whose flows and integrations run that many already."""
    key = "actions.concurrent.executions.max"
    limit = {"namespace": "dataactions", "key": key, "value": most}
    message = f"Rate limit exceeded the maximum [{most}] for [{key}]"
    return error_body(429, message=message, headers={"Retry-After": "3"}, limit=limit)


async def _executed(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    output = _customer(cloud, request, await json_object(request))
    if output is None:
        return error_body(400, "no.results", "The action returned no results")
    return web.json_response(output)


async def _execute_reference(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    body = await json_object(request)
    inputs = body.get("parameters")
    if set(body) != {"parameters"} or not isinstance(inputs, dict) or len(inputs) != 1:
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
    """Raise Refusal if the action does not exist."""
    if cloud.action_ids is not None and request.match_info["id"] not in cloud.action_ids:
        raise Refusal(404)


async def _organization(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    return web.json_response({"id": cloud.organization_id, "name": "Demo"})


async def _limits(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    namespace = request.match_info["name"]
    if namespace not in cloud.limits:
        raise Refusal(404)
    limits = cloud.limits[namespace].items()
    entities = [{"key": key, "namespace": namespace, "value": value} for key, value in limits]
    return web.json_response({"entities": entities})


async def _queues(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    return _page(request, _named(request, cloud.names.queues), "id")


async def _users(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer with those who are active, unless others are asked for."""
    state = request.query.get("state", "active")
    if state not in {"active", "inactive", "deleted", "any"}:
        raise Refusal(400, "invalid.value")
    listed = [
        one | {"state": "inactive" if one["id"] in cloud.names.inactive else "active"}
        for one in _named(request, cloud.names.users)
    ]
    return _page(request, [one for one in listed if state in {one["state"], "any"}], "id", "state")


async def _divisions(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    return _page(request, _named(request, cloud.names.divisions), "id")


async def _wrapup_codes(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    return _page(request, _named(request, cloud.names.wrapup_codes), "id")


def _named(request: web.Request, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what has one of the ids that are asked for, or everything; by name."""
    wanted = request.query.getall("id", [])
    try:
        ids = {str(uuid.UUID(one)) for one in wanted} or set(names)
    except ValueError as error:
        raise Refusal(400, "invalid.value") from error
    found = [{"id": one, "name": name} for one, name in names.items() if one in ids]
    return sorted(found, key=lambda one: one["name"])


EXPANDED = {"description", "requiresPermissions", "schema", "topicParameters", "transports"}
"""Fields of a topic that are answered only where they are asked for."""


async def _topics(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer all topics in one page, which is what the platform does."""
    if set(request.query) - {"expand", "includePreview"}:
        raise Refusal(400)
    wanted = set(request.query.get("expand", "").split(",")) - {""}
    if wanted - EXPANDED:
        raise Refusal(400, "invalid.value")
    entities: list[dict[str, Any]] = [{"id": name} for name in cloud.transports]
    if "transports" in wanted:
        entities = [{**one, "transports": cloud.transports[one["id"]]} for one in entities]
    return web.json_response({"entities": entities})


async def _list(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    return _page(request, [_without_config(one) for one in cloud.integrations.values()])


def _size_and_number(query: Mapping[str, str]) -> tuple[int, int]:
    size, number = int(query.get("pageSize", 25)), int(query.get("pageNumber", 1))
    if not 1 <= size <= 100 or number < 1:
        raise Refusal(400, "invalid.value")
    return size, number


def _page(
    request: web.Request, everything: list[dict[str, Any]], *filters: str
) -> web.StreamResponse:
    """Answer one page; size and number as in all lists of the platform."""
    if set(request.query) - {"pageSize", "pageNumber", *filters}:
        raise Refusal(400)
    size, number = _size_and_number(request.query)
    pages = -(-len(everything) // size)
    return web.json_response(
        {
            "entities": everything[(number - 1) * size : number * size],
            "pageSize": size,
            "pageNumber": number,
            "total": len(everything),
            "pageCount": pages,
        }
    )


async def _create(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    kind = (await json_object(request)).get("integrationType")
    if kind != {"id": EVENT_BRIDGE}:
        raise Refusal(400)
    made = {
        "id": str(uuid.uuid4()),
        "name": "Amazon EventBridge Source",
        "integrationType": kind,
        "intendedState": "DISABLED",
        "config": {
            "name": "Amazon EventBridge Source",
            "version": 1,
            "properties": {},
            "advanced": {},
            "notes": "",
            "credentials": {},
        },
    }
    cloud.integrations[str(made["id"])] = made
    return web.json_response(_without_config(made))


async def _patch(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    body, one = await json_object(request), _one(cloud, request)
    if set(body) != {"intendedState"} or body["intendedState"] not in {"ENABLED", "DISABLED"}:
        raise Refusal(400)
    if set(one["config"]["properties"]) != PROPERTIES:
        raise Refusal(400, "bad.request", "The integration is not configured")
    one["intendedState"] = body["intendedState"]
    return web.json_response(_without_config(one))


async def _config(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    one = _one(cloud, request)
    uri = f"/api/v2/integrations/{one['id']}/config/current"
    return web.json_response({"id": one["id"], **one["config"], "selfUri": uri})


async def _put_config(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Replace the whole configuration, if the caller has seen the latest one."""
    body, one = await json_object(request), _one(cloud, request)
    if set(body) - {"id", "selfUri"} != CONFIGURATION:
        raise Refusal(400)
    if set(body["properties"]) != PROPERTIES or not body["properties"]["eventFilter"]:
        raise Refusal(400, "invalid.value")
    if body["version"] != one["config"]["version"]:
        return error_body(409)
    one["config"] = {**body, "version": body["version"] + 1}
    one["name"] = body["name"]
    return web.json_response(one["config"])


def _one(cloud: GenesysCloud, request: web.Request) -> dict[str, Any]:
    found = cloud.integrations.get(request.match_info["id"])
    if found is None:
        raise Refusal(404)
    return found


def _without_config(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "config"}

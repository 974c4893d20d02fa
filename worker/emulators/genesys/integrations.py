"""Integrations: enough of them to set up the EventBridge source."""

import uuid
from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, error_body, json_object, no_query

EVENT_BRIDGE = "amazon-eventbridge-source"
PROPERTIES = {"awsAccountId", "awsAccountRegion", "eventSourceSuffix", "eventFilter"}


def routes() -> list[Endpoint]:
    """All count as `integration`, but for the organization's own id."""
    base = "/api/v2/integrations"
    one, config = f"{base}/{{id}}", f"{base}/{{id}}/config/current"
    return [
        Endpoint("organization", "GET", "/api/v2/organizations/me", _organization),
        Endpoint("integration", "GET", base, _list),
        Endpoint("integration", "POST", base, _create),
        Endpoint("integration", "PATCH", one, _patch),
        Endpoint("integration", "GET", config, _config),
        Endpoint("integration", "PUT", config, _put_config),
    ]


async def _organization(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    return web.json_response({"id": cloud.organization_id, "name": "Demo"})


async def _list(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer one page; size and number as in all lists of the platform."""
    if set(request.query) - {"pageSize", "pageNumber"}:
        raise Refusal(400)
    size, number = int(request.query.get("pageSize", 25)), int(request.query.get("pageNumber", 1))
    if not 1 <= size <= 100 or number < 1:
        raise Refusal(400, "invalid.value")
    everything = [_without_config(one) for one in cloud.integrations.values()]
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
        "config": {"name": "Amazon EventBridge Source", "version": 1, "properties": {}},
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
    return web.json_response(_one(cloud, request)["config"])


async def _put_config(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Replace the configuration, if the caller has seen the latest one."""
    body, one = await json_object(request), _one(cloud, request)
    if set(body) != {"name", "version", "properties", "advanced", "notes", "credentials"}:
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

"""Flows: their declared inputs, in the form of either dialect."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, no_query


def routes() -> list[Endpoint]:
    """`GET /api/v2/flows/{id}`."""
    return [Endpoint("flow", "GET", "/api/v2/flows/{id}", _flow)]


def a_flow(flow_id: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return a flow with these inputs, kinds by name, which both dialects can read.

    A `date` is a string with a format to the platform, and a data type to the reference texts.
    """
    properties = {
        f"Flow.{name}": {"type": "string", "format": "date"} if kind == "date" else {"type": kind}
        for name, kind in inputs.items()
    }
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}
    return {
        "id": flow_id,
        "name": "Customer attributes",
        "type": "WORKFLOW",
        "active": True,
        "publishedVersion": {"id": "1.0", "inputSchema": {**schema, "properties": properties}},
        "inputDefinitions": [{"name": name, "dataType": kind} for name, kind in inputs.items()],
    }


async def _flow(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    flow = cloud.flows.get(request.match_info["id"])
    if flow is None:
        raise Refusal(404, "architect.flow.not.found")
    return web.json_response(flow)

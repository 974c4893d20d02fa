"""A stand-in for Grafana, where its image cannot be had: serves what provisioning gave it.

Same port and user, and the four pages of Grafana's HTTP API that `check.py` asks. It draws nothing.
"""  # noqa: INP001  a script

import json
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

PROVISIONING = Path("/etc/grafana/provisioning")
PORT = 3000


def main() -> None:
    """Read the provisioning, as Grafana does at its start; serve until SIGTERM."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/api/health", _health),
            web.get("/api/search", _search),
            web.get("/api/dashboards/uid/{uid}", _dashboard),
            web.get("/api/datasources/proxy/uid/{uid}/{path:.*}", _proxy),
        ]
    )
    web.run_app(app, port=PORT, print=None)


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"database": "ok", "version": "stand-in"})


async def _search(_: web.Request) -> web.Response:
    found = [{"uid": uid, "type": "dash-db"} for uid in _dashboards()]
    return web.json_response(found)


async def _dashboard(request: web.Request) -> web.Response:
    model = _dashboards()[request.match_info["uid"]]
    return web.json_response({"meta": {"provisioned": True}, "dashboard": model})


async def _proxy(request: web.Request) -> web.Response:
    """Ask the data source from here, by the address that provisioning gave."""
    (source,) = (s for s in _read("datasources") if s["uid"] == request.match_info["uid"])
    url = f"{source['url']}/{request.match_info['path']}"
    async with aiohttp.ClientSession() as http, http.get(url, params=request.query) as reply:
        body = await reply.read()
        return web.Response(body=body, status=reply.status, content_type=reply.content_type)


def _dashboards() -> dict[str, Any]:
    """Return the dashboards in the providers' folders, by uid."""
    folders = [Path(provider["options"]["path"]) for provider in _read("providers")]
    models = [json.loads(file.read_text()) for folder in folders for file in folder.glob("*.json")]
    return {model["uid"]: model for model in models}


def _read(kind: str) -> list[dict[str, Any]]:
    """Return all data sources or dashboard providers."""
    folder = PROVISIONING / ("dashboards" if kind == "providers" else kind)
    files = [yaml.safe_load(file.read_text()) for file in folder.glob("*.yml")]
    return [entry for content in files for entry in content[kind]]


if __name__ == "__main__":
    main()

"""A Prometheus of our own: scrapes one target each second and answers queries."""  # noqa: INP001  a script's folder

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

READY_SECONDS = 30


class Prometheus:
    """Its HTTP API."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an instant query. Raises ValueError when it is refused."""
        reply = await self._get("/api/v1/query", query=expression)
        if reply["status"] != "success":
            raise ValueError(reply["error"])
        samples: list[dict[str, Any]] = reply["data"]["result"]
        return samples

    async def rules(self) -> list[dict[str, Any]]:
        """Return all rules with their state."""
        groups = (await self._get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def label_values(self, label: str, metric: str) -> list[str]:
        """Return the values a dashboard's variable would offer."""
        reply = await self._get(f"/api/v1/label/{label}/values", **{"match[]": metric})
        values: list[str] = reply["data"]
        return values

    async def until(self, expression: str, seconds: float) -> None:
        """Wait until a query answers."""
        async with asyncio.timeout(seconds):
            while not await self.query(expression):  # noqa: ASYNC110  another process
                await asyncio.sleep(0.25)

    async def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        async with self._http.get(self._url + path, params=parameters) as reply:
            answer: dict[str, Any] = await reply.json()
            return answer


@asynccontextmanager
async def prometheus(folder: Path, target: str, rules: Path) -> AsyncIterator[Prometheus]:
    """Run a server that scrapes `target` (host:port) and evaluates `rules`."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "genesys-event-worker", "static_configs": [{"targets": [target]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{_free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as http:
            await until_ready(http, f"http://{address}/-/ready")
            yield Prometheus(f"http://{address}", http)
    finally:
        process.terminate()
        await process.wait()


async def until_ready(http: aiohttp.ClientSession, url: str) -> None:
    """Wait until a page answers with 200."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            try:
                async with http.get(url) as reply:
                    if reply.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

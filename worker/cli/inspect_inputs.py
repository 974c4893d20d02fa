"""Where `worker inspect` gets the customer and the flow from: files, or the real upstreams."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import orjson

from worker.cli.inspecting import Files, Finding, Source, Upstreams, findings
from worker.cli.upstream import open_crm, open_genesys
from worker.clients.genesys.dialects import dialect_of
from worker.clients.genesys.flows import FLOW_CACHE, Schema, of_definitions, of_json_schema
from worker.clients.genesys.participants import Attributes
from worker.errors import ConfigurationError
from worker.jobs.attributes.inspector import rules_of
from worker.resilience.cache import Cache
from worker.settings import Attributes as AttributeSettings
from worker.settings import Crm, Events, Genesys, load_group


async def inspected(
    bodies: Sequence[str], *, files: tuple[Path, Path] | None, live: bool
) -> list[Finding]:
    """Return what is found of each message. `files`: the CRM's answer, the schema."""
    rules = rules_of(load_group(AttributeSettings))
    types = load_group(Events)
    async with _source(files, live=live) as source:
        return [one for body in bodies for one in await findings(body, types, rules, source)]


@asynccontextmanager
async def _source(files: tuple[Path, Path] | None, *, live: bool) -> AsyncIterator[Source | None]:
    if files is not None:
        yield Files(_object_in(files[0]), read_schema(files[1]))
        return
    if not live:
        yield None
        return
    genesys = load_group(Genesys)
    if genesys.flow_id is None:
        raise ConfigurationError(["GENESYS_FLOW_ID: is missing"])
    flows: Cache[str, Schema] = Cache("flows", FLOW_CACHE, random=Random())  # noqa: S311  jitter
    async with open_crm(load_group(Crm)) as crm, open_genesys(genesys) as api:
        attributes = Attributes(api, dialect_of(genesys).attributes, flows)
        yield Upstreams(crm, attributes, genesys.flow_id)


def read_schema(path: Path) -> Schema:
    """Read a flow of either dialect, or a JSON Schema alone; ConfigurationError for neither."""
    flow = _object_in(path)
    if "publishedVersion" not in flow and "inputDefinitions" in flow:
        return of_definitions(flow["inputDefinitions"])
    version = flow.get("publishedVersion")
    document = version.get("inputSchema") if isinstance(version, dict) else flow
    if not isinstance(document, dict) or "properties" not in document:
        raise ConfigurationError([f"{path}: no flow and no JSON Schema"])
    return of_json_schema(document)


def _object_in(path: Path) -> Mapping[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from None
    except orjson.JSONDecodeError:
        raise ConfigurationError([f"{path}: is not JSON"]) from None
    if not isinstance(value, dict):
        raise ConfigurationError([f"{path}: is not a JSON object"])
    return value

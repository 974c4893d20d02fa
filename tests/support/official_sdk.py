"""The official SDK as an oracle: its paths, query parameters, field names and enum values.

Read from its sources and never imported: the import alone starts threads and takes seconds.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_OPERATION = re.compile(
    r"resource_path = '(?P<path>[^']+)'(?P<between>.*?)"
    r"call_api\(resource_path, '(?P<method>[A-Z]+)'",
    re.DOTALL,
)
_QUERY = re.compile(r"query_params\['(\w+)'\]")
_PAIRS = re.compile(r"'(\w+)': '([^']+)'")


@dataclass(frozen=True)
class Operation:
    """One operation of the API."""

    method: str
    path: str
    query: frozenset[str]


@dataclass(frozen=True)
class Model:
    """One model: its JSON fields, each with its type and, for enums, the values it may have."""

    fields: dict[str, str]
    values: dict[str, tuple[str, ...]]


def _home():
    return Path(find_spec("PureCloudPlatformClientV2").submodule_search_locations[0])


@cache
def operations():
    """Return all operations by method and path, ids in the path written as `{}`."""
    found = {}
    for file in sorted((_home() / "apis").glob("*_api.py")):
        for match in _OPERATION.finditer(file.read_text()):
            query = frozenset(_QUERY.findall(match["between"]))
            path = re.sub(r"\{\w+\}", "{}", match["path"])
            found[match["method"], path] = Operation(match["method"], path, query)
    return found


def token_path():
    """Return the path of the client-credentials grant, on the login host."""
    source = (_home() / "api_client.py").read_text()
    return re.search(r'get_conf_url\("login", self.host\) \+ \'([^\']+)\'', source)[1]


@cache
def model(name):
    """Return a model of that name; None when the SDK has none, e.g. for `str`."""
    file = _home() / "models" / (re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + ".py")
    if not file.exists():
        return None
    source = file.read_text()
    types = dict(_PAIRS.findall(_block(source, "swagger_types")))
    keys = dict(_PAIRS.findall(_block(source, "attribute_map")))
    values = {
        keys[attribute]: tuple(re.findall(r'"([^"]+)"', listed))
        for attribute, listed in re.findall(
            r"def (\w+)\(self, \w+:[^\n]*\n(?:(?!def ).)*?allowed_values = \[([^\]]*)\]",
            source,
            re.DOTALL,
        )
    }
    return Model({keys[attribute]: kind for attribute, kind in types.items()}, values)


def _block(source, name):
    return re.search(rf"self\.{name} = \{{(.*?)\}}", source, re.DOTALL)[1]


def strangers(value, kind, place="$"):
    """Return where a JSON value is not what the SDK's type of that name allows."""
    if listed := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{place}: not a list"]
        return [
            s for i, one in enumerate(value) for s in strangers(one, listed[1], f"{place}[{i}]")
        ]
    if mapped := re.fullmatch(r"dict\(str, (.+)\)", kind):
        return [s for k, one in value.items() for s in strangers(one, mapped[1], f"{place}.{k}")]
    known = model(kind)
    if known is None:
        return []
    if not isinstance(value, dict):
        return [f"{place}: not a {kind}"]
    return [s for key, one in value.items() for s in _field(known, key, one, f"{place}.{key}")]


def _field(known, key, value, place):
    if key not in known.fields:
        return [f"{place}: unknown field"]
    allowed = [one.lower() for one in known.values.get(key, ())]
    if allowed and isinstance(value, str) and value.lower() not in allowed:
        return [f"{place}: {value} is no value of it"]
    return strangers(value, known.fields[key], place)

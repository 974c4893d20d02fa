"""The inputs of a flow, in both forms."""

from pathlib import Path

import orjson
import pytest

from worker.clients.genesys.participants import Kind, of_definitions, of_json_schema

SAMPLES = Path(__file__).parents[2] / "samples" / "replies"


def a_sample(name):
    return orjson.loads((SAMPLES / name).read_bytes())


def test_the_recorded_platform_flow_is_read_without_its_prefix():
    document = a_sample("platform/flow.json")["publishedVersion"]["inputSchema"]

    assert of_json_schema(document) == {"conversationId": Kind.STRING, "score": Kind.NUMBER}


def test_the_recorded_reference_flow_is_read():
    assert of_definitions(a_sample("reference/flow.json")["inputDefinitions"]) == {
        "tier": Kind.STRING,
        "ltv": Kind.NUMBER,
        "vip": Kind.BOOLEAN,
        "renewal": Kind.DATE,
    }


@pytest.mark.parametrize("name", ["tier", "Flow.tier"])
def test_a_name_is_the_same_with_and_without_the_flow_prefix(name):
    assert of_json_schema({"properties": {name: {"type": "string"}}}) == {"tier": Kind.STRING}


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ({"type": "string"}, Kind.STRING),
        ({"type": "string", "format": "date"}, Kind.DATE),
        ({"type": "string", "format": "date-time"}, Kind.DATE),
        ({"type": "string", "format": "email"}, Kind.STRING),
        ({"type": "string", "format": ["date"]}, Kind.STRING),
        ({"type": "number"}, Kind.NUMBER),
        ({"type": "integer"}, Kind.INTEGER),
        ({"type": "boolean"}, Kind.BOOLEAN),
        ({"type": ["null", "number"]}, Kind.NUMBER),
        ({"type": "array", "items": {}}, Kind.ANY),
        ({"type": 7}, Kind.ANY),
        ({}, Kind.ANY),
        (True, Kind.ANY),
    ],
)
def test_a_declaration_has_one_kind(declared, kind):
    assert of_json_schema({"properties": {"x": declared}}) == {"x": kind}


@pytest.mark.parametrize("document", [{}, {"properties": None}, {"properties": []}])
def test_a_schema_without_properties_declares_nothing(document):
    assert of_json_schema(document) == {}


@pytest.mark.parametrize("definitions", [None, {}, [None, {}, {"name": 1}, {"name": "Flow."}]])
def test_definitions_without_names_declare_nothing(definitions):
    assert of_definitions(definitions) == {}

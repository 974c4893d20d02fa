"""tests/README.md: each promise names tests, and each of those exists."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]
README = (TESTS / "README.md").read_text()
ROWS = re.findall(r"^\| (P\d+) \| (.+?) \| (.+?) \|.*\|$", README, flags=re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def exists(path, name=""):
    return (TESTS / path).is_file() and (not name or name in functions_of(path))


@cache
def functions_of(path):
    tree = ast.parse((TESTS / path).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_there_are_44_promises_in_order():
    assert [number for number, _, _ in ROWS] == [f"P{n}" for n in range(1, 45)]


def test_each_promise_names_tests_that_exist():
    bad = [
        (number, place)
        for number, _, tests in ROWS
        for place in NAMED.findall(tests) or [("", "")]
        if not exists(*place)
    ]

    assert bad == []


def test_the_document_is_short():
    assert len(README.splitlines()) <= 200

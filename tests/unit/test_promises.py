"""tests/README.md: each promise names tests, and each of those exists."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (TESTS / "README.md").read_text()
ROWS = re.findall(r"^\| (P\d+) \| (.+?) \| (.+?) \|.*\|$", README, flags=re.MULTILINE)
NAMED = re.compile(r"`([\w/]+\.py)(?:::(\w+))?`")


def functions_of(path):
    tree = ast.parse((TESTS / path).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_there_are_44_promises_in_order():
    assert [number for number, _, _ in ROWS] == [f"P{n}" for n in range(1, 45)]


@pytest.mark.parametrize(("number", "promise", "tests"), ROWS, ids=[row[0] for row in ROWS])
def test_a_promise_names_tests_that_exist(number, promise, tests):
    named = NAMED.findall(tests)

    assert named
    for path, name in named:
        assert (TESTS / path).is_file(), path
        assert not name or name in functions_of(path), f"{path}::{name}"


def test_the_document_is_short():
    assert len(README.splitlines()) <= 200

"""The limits of size that no linter counts."""

import ast
from pathlib import Path

import worker

ROOT = Path(worker.__file__).parent
TESTS = Path(__file__).parents[1]
MODULES = sorted(ROOT.rglob("*.py"))

MODULE_LINES = 400
FUNCTION_LINES = 40
CONFTEST_LINES = 150


def lines_of(path):
    return len(path.read_text().splitlines())


def length_of(function):
    """Lines from `def` to the end, without the docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        docstring, *body = body
        shortened = docstring.end_lineno - docstring.lineno + 1
        return function.end_lineno - function.lineno + 1 - shortened
    return function.end_lineno - function.lineno + 1


def test_every_module_fits_in_400_lines():
    assert {str(path): n for path in MODULES if (n := lines_of(path)) > MODULE_LINES} == {}


def test_every_function_fits_on_one_screen():
    long = {
        f"{path.name}:{node.name}": length_of(node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and length_of(node) > FUNCTION_LINES
    }

    assert long == {}


def test_every_module_has_a_subject():
    drawers = {"utils", "util", "common", "helpers", "base", "core", "misc"}

    assert [path for path in MODULES if path.stem in drawers] == []


def test_every_conftest_fits_in_150_lines():
    conftests = sorted(TESTS.rglob("conftest.py"))

    assert {str(path): n for path in conftests if (n := lines_of(path)) > CONFTEST_LINES} == {}

"""The limits of size that no linter counts."""

import ast
from pathlib import Path
from statistics import median

import worker

ROOT = Path(worker.__file__).parent
TESTS = Path(__file__).parents[1]
MODULES = sorted(ROOT.rglob("*.py"))

MODULE_COUNT = 215
MODULE_LINES = 400
FUNCTION_LINES = 36
MEDIAN_FUNCTION_LINES = 5
USUAL_FUNCTION_LINES = 14
"""As many have nine functions of ten at most."""

CONFTEST_LINES = 150
IMPORTS = 12
"""Modules of our own that one module may import; a package counts as one."""

USUAL_IMPORTS = 6
"""As many have nine modules of ten at most."""


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


def name_of(path):
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


NAMES = frozenset(map(name_of, MODULES))
HIDDEN = frozenset(
    node.module
    for path in MODULES
    if path.name == "__init__.py"
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if node.module == f"{name_of(path)}.{alias.name}"
)
"""Modules behind a function of their name: `from worker.events import origin` is the function."""


def imports_of(path):
    """Our own modules that one imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = inner & NAMES - HIDDEN
            found |= modules | ({node.module} if inner - modules else set())
    return found & NAMES - {name_of(path)}


IMPORTED = {name_of(path): len(imports_of(path)) for path in MODULES}
FUNCTIONS = [
    (f"{path.relative_to(ROOT)}:{node.name}", length_of(node))
    for path in MODULES
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
]


def test_the_house_has_215_modules_at_most():
    # Who needs one more merges two that share a subject: what is read together stands together.
    assert len(MODULES) <= MODULE_COUNT


def test_every_module_fits_in_400_lines():
    assert {str(path): n for path in MODULES if (n := lines_of(path)) > MODULE_LINES} == {}


def test_every_function_fits_on_one_screen():
    assert {name: n for name, n in FUNCTIONS if n > FUNCTION_LINES} == {}


def test_half_of_the_functions_have_5_lines_and_nine_of_ten_have_14_at_most():
    lengths = sorted(n for _, n in FUNCTIONS)

    assert median(lengths) <= MEDIAN_FUNCTION_LINES
    assert lengths[len(lengths) * 9 // 10] <= USUAL_FUNCTION_LINES, {
        name: n for name, n in FUNCTIONS if 0 < n - USUAL_FUNCTION_LINES <= 2
    }


def test_every_module_has_a_subject():
    drawers = {"utils", "util", "common", "helpers", "base", "core", "misc"}

    assert [path for path in MODULES if path.stem in drawers] == []


def test_every_conftest_fits_in_150_lines():
    conftests = sorted(TESTS.rglob("conftest.py"))

    assert {str(path): n for path in conftests if (n := lines_of(path)) > CONFTEST_LINES} == {}


def test_no_module_imports_more_than_12_others():
    assert {name: n for name, n in IMPORTED.items() if n > IMPORTS} == {}


def test_nine_modules_of_ten_import_6_others_at_most():
    widest = {name: n for name, n in IMPORTED.items() if n > USUAL_IMPORTS}

    assert len(widest) <= len(IMPORTED) // 10, widest

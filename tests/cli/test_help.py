"""The help of every command: whole paragraphs, examples that hold, exit codes, completion."""

import re
import shlex

import pytest
from typer.main import get_command

from worker.cli.commands import app
from worker.cli.exit_codes import EXIT_CODES

ROOT = get_command(app)


def commands(command=ROOT, path=()):
    """Yield the path of every command."""
    yield path
    for name in getattr(command, "commands", ()):
        yield from commands(command.get_command(None, name), (*path, name))


PATHS = list(commands())
WIDTH = 76
"""What a terminal of 80 columns has left for an example."""


@pytest.fixture
def help_of(worker):
    return lambda *path: worker(*path, "--help", COLUMNS="400").out


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_short_option_gives_the_same_help(worker, help_of, path):
    assert worker(*path, "-h", COLUMNS="400").out == help_of(*path)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_a_paragraph_is_broken_by_the_terminal_only(help_of, path):
    text = help_of(*path).partition("╭")[0]

    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0].startswith("Usage:")
    assert [line for line in lines[1:] if not line.endswith(".")] == []


@pytest.mark.parametrize("path", PATHS[1:], ids=" ".join)
def test_the_help_has_examples_and_the_exit_codes(help_of, path):
    text = help_of(*path)

    assert "Examples:" in text
    assert EXIT_CODES in text


def examples():
    texts = [inner.epilog or "" for path in PATHS for inner in [_command(path)]]
    return [
        line.strip() for text in texts for line in text.splitlines() if " worker " in f" {line}"
    ]


def _command(path):
    found = ROOT
    for name in path:
        found = found.get_command(None, name)
    return found


@pytest.mark.parametrize("line", examples())
def test_an_example_is_a_command_that_can_be_given(line):
    words = shlex.split(re.sub(r".*\| |^([A-Z_]+=\S+ )+", "", line))
    command, arguments = ROOT, words[1:]
    while arguments and arguments[0] in getattr(command, "commands", ()):
        command, arguments = command.get_command(None, arguments[0]), arguments[1:]

    assert words[0] == "worker"
    command.make_context(line, list(arguments))


@pytest.mark.parametrize("line", examples())
def test_an_example_is_one_line_on_a_terminal_of_80_columns(line):
    assert len(line) <= WIDTH


def test_the_version_has_a_short_option(worker):
    assert worker("-V").out == worker("--version").out


def test_a_shell_completes_commands(worker):
    typed = {"COMP_WORDS": "worker dl", "COMP_CWORD": "1"}

    assert worker(_WORKER_COMPLETE="complete_bash", **typed).out.split() == ["dlq"]

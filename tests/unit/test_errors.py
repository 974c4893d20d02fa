"""The tree of errors: each has an owner, and no module grows a tree of its own."""

import ast
import builtins
import inspect
from pathlib import Path

import worker
from worker import errors
from worker.errors import ConfigurationError, Permanent, Rejected, Transient, WorkerError

ROOT = Path(worker.__file__).parent
SOURCES = sorted(
    path for folder in ("clients", "events", "jobs") for path in (ROOT / folder).rglob("*.py")
)
"""What runs on behalf of a message; the intake's own errors never become an outcome."""

CAUGHT_AT_HOME = {
    "ConnectTimeout",  # of the wire's connections, raised to callers as the SDK's
    "EntryFailed",  # one entry of a batch of SQS, settled by the intake
    "MalformedReply",  # as ConnectTimeout
    "QueueError",  # a call of SQS, counted and waited out by the intake
    "NotReached",  # of the connections behind a proxy, raised to callers as Unavailable
    "ReplyCut",
    "SliceTooLarge",  # a page asked for in smaller slices by the module that raised it
    "Unfit",  # an attribute's value, reported by the inspector
}
"""Signals within one package: they never reach a handler."""

BUILTIN = {
    name
    for name, value in vars(builtins).items()
    if inspect.isclass(value) and issubclass(value, BaseException)
}

KINDS = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, Exception) and kind is not WorkerError
]


def test_every_error_has_exactly_one_owner():
    roots = (Transient, Permanent, ConfigurationError)
    owners = {kind: [one for one in roots if issubclass(kind, one)] for kind in KINDS}

    assert KINDS
    assert {kind: found for kind, found in owners.items() if len(found) != 1} == {}


def test_nothing_that_acts_for_a_message_roots_an_error_elsewhere():
    strays = {
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id in BUILTIN for base in node.bases)
    }

    assert strays <= CAUGHT_AT_HOME


def test_a_transient_error_carries_the_time_that_was_named():
    assert Transient("busy", retry_after=7).retry_after == 7


def test_a_rejection_carries_status_and_code():
    error = Rejected("no such conversation", status=404, code="not.found")

    assert (str(error), error.status, error.code) == ("no such conversation", 404, "not.found")


def test_a_configuration_error_names_all_problems():
    assert str(ConfigurationError(["A: is not set", "B: is bad"])) == "A: is not set; B: is bad"

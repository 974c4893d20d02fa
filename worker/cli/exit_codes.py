"""The exit codes of all commands, and how the work of a command ends in one of them."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import typer

T = TypeVar("T")

SUCCESS = 0
FAILED = 1
WRONG_USAGE = 2
UNREACHABLE = 3

EXIT_CODES = "Exit codes: 0 success, 1 failed, 2 wrong setting or argument, 3 unreachable."


def examples(*lines: str) -> str:
    """Return the end of a command's help: its examples, and the exit codes."""
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines), EXIT_CODES])


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run the work of a command; a failure is a line on stderr and an exit code.

    Raises ConfigurationError, which ends every command in the same way.
    """
    from worker.clients.aws import QueueError
    from worker.errors import BreakerOpen, ConfigurationError, Unavailable, WorkerError
    from worker.telemetry import configure_logging

    configure_logging("error", "auto", sys.stderr)
    try:
        return asyncio.run(work)
    except ConfigurationError:
        raise
    except (Unavailable, BreakerOpen) as error:
        end(str(error), UNREACHABLE)
    except QueueError as error:
        problem, unreachable = problem_of(error)
        end(problem, UNREACHABLE if unreachable else FAILED)
    except (WorkerError, OSError) as error:
        end(str(error), FAILED)


def problem_of(error: Exception) -> tuple[str, bool]:
    """Return what is wrong with one of several services, and whether it gave no answer at all."""
    from worker.clients.aws import QueueError, fault_called, is_unreachable
    from worker.errors import BreakerOpen, Misconfigured, Unavailable

    if isinstance(error, QueueError):
        return f"{error}; {fault_called(error.code).remedy}", is_unreachable(error.code)
    remedy = f"; {error.remedy}" if isinstance(error, Misconfigured) else ""
    return f"{error}{remedy}", isinstance(error, Unavailable | BreakerOpen)


def end(problem: str, code: int) -> NoReturn:
    """Write what is wrong to stderr, and end with that exit code."""
    typer.echo(problem, err=True)
    raise typer.Exit(code) from None

"""A process and all that it started, from /proc: found by the session they share.

A tree by parents would lose those whose parent has ended, and a process group those that made one
of their own (dramatiq's workers do).
"""

import os
from collections.abc import Iterator
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SESSION = 3
TIMES = slice(11, 15)
"""utime, stime, cutime, cstime: the last two are of children that have ended."""


def session_seconds(session: int) -> float:
    """Return user and system time of a session, in seconds."""
    ticks = sum(int(field) for _, fields in _members(session) for field in fields[TIMES])
    return ticks / TICKS_PER_SECOND


def session_processes(session: int) -> list[int]:
    """Return the ids of a session's processes that run; zombies are left out."""
    return [pid for pid, fields in _members(session) if fields[0] != "Z"]


def _members(session: int) -> Iterator[tuple[int, list[str]]]:
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            fields = _fields(Path(entry.path) / "stat")
            if fields and int(fields[SESSION]) == session:
                yield int(entry.name), fields


def _fields(path: Path) -> list[str]:
    """Return the fields after the program's name, which may hold blanks and parentheses."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:  # it ended while we looked
        return []

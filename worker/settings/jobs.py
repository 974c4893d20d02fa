"""What jobs say of their settings, and which jobs are on."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.settings.fields import Group, group

IsSet = Callable[[str], bool]
"""Asked by variable name."""


class JobSettings(Group):
    """The settings of a job: each field is the variable of that name, in upper case."""

    model_config = group("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What one job says of its settings."""

    name: str
    group: type[JobSettings]
    requires: tuple[str, ...]
    """Variables without which it cannot work."""

    types: tuple[str, ...]
    """Fields of the group that list the globs of its `detail-type`s."""


Declarations = Mapping[str, Declared]
"""The known jobs by name, in the order of their lists."""


def missing(jobs: Declarations, is_set: IsSet) -> dict[str, tuple[str, ...]]:
    """Return, per job, the settings it still lacks."""
    return {
        name: tuple(need for need in job.requires if not is_set(need)) for name, job in jobs.items()
    }


def own_requirements(jobs: Declarations) -> dict[str, tuple[str, ...]]:
    """Return what each job needs and no other does: one of these set means that job is wanted."""
    needed_by = Counter(need for job in jobs.values() for need in job.requires)
    return {
        name: tuple(need for need in job.requires if needed_by[need] == 1)
        for name, job in jobs.items()
    }


def half_configured(
    jobs: Declarations, lacking: Mapping[str, Sequence[str]], near_names: Mapping[str, str]
) -> dict[str, str]:
    """Return the jobs of `lacking` that are wanted and off, each with the reason.

    That is: one of the settings that only this job needs is there, or a misspelt name of one.
    `near_names`: variables that look like a misspelt setting, with that setting.
    """
    written = {meant: name for name, meant in near_names.items()}
    own = own_requirements(jobs)
    return {
        job: _why_off(job, needs, written)
        for job, needs in lacking.items()
        if any(need not in needs or need in written for need in own[job])
    }


def _why_off(job: str, lacking: Sequence[str], written: Mapping[str, str]) -> str:
    """Return the reason as dead letters carry it; `written`: settings as they were misspelt."""
    plain = [f"{need} is missing" for need in lacking if need not in written]
    misspelt = [
        f"{need} is missing; did you mean {written[need]}?" for need in lacking if need in written
    ]
    first = "; ".join([*plain, *misspelt[:1]])
    return f"job {job} is off: {' '.join([first, *misspelt[1:]])}"


def unknown_jobs(jobs: Declarations, named: Sequence[str]) -> Iterator[str]:
    """Yield a line per entry of HANDLERS that names no job."""
    for name in named:
        if name not in jobs:
            yield f"HANDLERS: {name[:80]!r} is no job; there are: {', '.join(jobs)}"


def unmet_needs(jobs: Declarations, named: Sequence[str], is_set: IsSet) -> Iterator[str]:
    """Yield a line per setting that a job named in HANDLERS lacks.

    With no job at all a worker would be worse than idle: every message would count as unrouted,
    and be deleted.
    """
    lacking = missing(jobs, is_set)
    for name in named:
        yield from (f"{need}: is missing — HANDLERS names {name}" for need in lacking[name])
    if not named and jobs and all(lacking.values()):
        for name, needs in lacking.items():
            yield f"HANDLERS: no handler is on — {name} lacks {', '.join(needs)}"

"""The whole worker on emulators, verified at the end; what a job's own part of it may import."""

from worker.demo.envelopes import an_id, envelope, iso, platform
from worker.demo.environment import Environment
from worker.demo.plan import Effects, Planned, Trouble
from worker.demo.plan import Job as Demo

__all__ = [
    "Demo",
    "Effects",
    "Environment",
    "Planned",
    "Trouble",
    "an_id",
    "envelope",
    "iso",
    "platform",
]

"""The whole worker on emulators, verified at the end; what a job's own part of it may import."""

from worker.demo.environment import Environment
from worker.demo.traffic import Effects, Fault, Planned, an_id, envelope, iso, platform
from worker.demo.traffic import Job as Demo

__all__ = [
    "Demo",
    "Effects",
    "Environment",
    "Fault",
    "Planned",
    "an_id",
    "envelope",
    "iso",
    "platform",
]

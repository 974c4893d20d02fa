"""Which `detail-type` belongs to which job, whether the job is on or not."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from worker.settings.queue import Events

TYPES_OF_JOB: Mapping[str, str] = {
    "voice": "voice_types",
    "attributes": "attributes_types",
    "workflow": "ended_types",
    "sentiment": "chat_types",
    "reports": "report_types",
}
"""Each job with the field of `Events` that names its types."""


@lru_cache(maxsize=1024)  # types are few; whoever sends ever new ones fills this and no more
def jobs_of_type(detail_type: str, events: Events) -> frozenset[str]:
    """Return the jobs to which events of this type belong; empty for a type of none."""
    return frozenset(
        job
        for job, setting in TYPES_OF_JOB.items()
        if any(fnmatchcase(detail_type, glob) for glob in getattr(events, setting))
    )

"""The bus in front of the queues: a rule per job takes the events of its types to its queue."""

import json
from collections.abc import Mapping
from zlib import crc32

from worker.app.jobs import wanted_events
from worker.events.reading import EventReader


def queues_of(body: str, job_queues: Mapping[str, str]) -> list[str]:
    """Return the URLs of the queues that a message is put on.

    An event that interests two jobs lies on two queues. What no rule takes was put on some queue
    by another way than the bus: always the same one for the same body.
    """
    jobs = EventReader(wanted_events()).jobs_of(_detail_type(body))
    if found := [url for job, url in job_queues.items() if job in jobs]:
        return found
    urls = list(job_queues.values())
    return [urls[crc32(body.encode()) % len(urls)]]


def _detail_type(body: str) -> str:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(event.get("detail-type", "")) if isinstance(event, dict) else ""

"""The intake as a whole: built here, driven by the daemon, shown by /status."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from worker.intake.consumer import Consumer
from worker.intake.delivery import Delivery
from worker.intake.job_state import Jobs
from worker.intake.outcome import Attempts
from worker.intake.poller import Permits
from worker.intake.queue import OpenQueue, Shared, consumer_of
from worker.intake.queue_status import QueueStatusReader
from worker.intake.settlement import Memory
from worker.settings import Settings
from worker.telemetry import Snapshot, metrics


@dataclass(frozen=True, slots=True)
class Intake:
    """The parts of the intake that the daemon drives and that /status shows."""

    queues: Sequence[QueueStatusReader]
    consumers: Sequence[Consumer]
    permits: Permits
    delivery: Delivery
    jobs: Jobs

    def snapshot(self) -> Snapshot:
        """Return the intake's part of /status; called from the server's thread: it only reads."""
        success = metrics.last_success._value.get()  # noqa: SLF001  a gauge has no public getter
        return Snapshot(
            draining=any(one.draining for one in self.consumers),
            quarantine=self.delivery.quarantine.exclusive,
            concurrency=self.permits.count,
            permits_used=self.permits.count - self.permits.free,
            in_flight=sum(one.in_flight for one in self.consumers),
            queues=tuple(one.status() for one in self.queues),
            jobs=tuple(self.jobs.statuses()),
            dead_letter_causes=tuple(self.jobs.causes()),
            last_success_seconds_ago=time.time() - success if success else None,
        )

    def busy(self) -> int:
        """Return the messages in flight that do not wait for the request budget."""
        works = self.delivery.running.items()
        return len({lease for work, lease in works if work.waiting_for != "budget"})

    def acked(self) -> float:
        """Return the messages done since the start."""
        return metrics.messages_acked.labels().value

    def dead_letter_problems(self) -> Iterator[str]:
        """Yield why dead letters are not written, a sentence each."""
        yield from self.jobs.limits_reached()
        for one in self.queues:
            if problem := one.dead_letter_problem():
                yield f"{one.consumer.name}: {problem}"


def assemble(
    queues: Sequence[OpenQueue],
    jobs: Jobs,
    delivery: Delivery,
    settings: Settings,
    random: Random,
) -> Intake:
    """Join queues that are open to the delivery, with a consumer each."""
    permits = Permits(settings.sqs.concurrency, [one.binding.name for one in queues])
    shared = Shared(delivery, permits, Memory(Attempts(), jobs.limit, jobs.idle_seconds))
    consumers = [consumer_of(one, shared, settings, random) for one in queues]
    readers = [
        QueueStatusReader(opened, consumer, settings)
        for opened, consumer in zip(queues, consumers, strict=True)
    ]
    metrics.concurrency_limit.set(permits.count)
    metrics.inflight.set_function(lambda: len(delivery.running))
    metrics.pollers.set_function(lambda: sum(one.pollers for one in consumers))
    return Intake(readers, consumers, permits, delivery, jobs)

"""A secret that is rotated while the worker runs: nothing is lost, and no restart is needed."""

from tests.service.conftest import sample
from worker.intake.settlement import BLOCKED_SECONDS

EVENT = sample("events/platform/sta_sentiment.json")


async def test_a_secret_in_a_file_is_rotated_under_way_and_heals_within_a_minute(
    emulators, start_worker, known_customer, records, settled, eventually, queue_clock, tmp_path
):
    cloud, file = emulators.genesys, tmp_path / "secret"
    file.write_text(f"{cloud.client_secret}\n")
    async with start_worker(GENESYS_CLIENT_SECRET="", GENESYS_CLIENT_SECRET_FILE=file) as worker:
        cloud.client_secret = "rotated"
        cloud.revoke_tokens()
        before = cloud.counts["token"]

        async def refused_again():
            return cloud.counts["token"] > before

        emulators.sqs.send(emulators.queue_url, EVENT)
        await eventually(refused_again)
        file.write_text("rotated\n")
        await eventually(worker.ready, 60)
        queue_clock.skip(BLOCKED_SECONDS[0])  # for so long a message of a blocked job is hidden
        await settled()

    assert len(await records()) == 1
    assert emulators.sqs.messages(emulators.dead_letter_url) == ()

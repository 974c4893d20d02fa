"""WorkerProcess: what was started and never became ready does not run on, and says why."""

import os

import pytest

from worker.demo import process
from worker.demo.process import WorkerFailed, WorkerProcess

NEVER_READY = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
ENDS_BESIDE_ITS_ADDRESS = """
import time
print('{"event":"ops_server_listening","url":"http://127.0.0.1:9"}', flush=True)
time.sleep(0.5)
raise SystemExit("no module of that name")
"""
"""What the first request meets when the rest of a start fails: an address, and no process."""


async def test_a_process_that_is_not_ready_in_time_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "START_SECONDS", 1)
    log = tmp_path / "log"

    with pytest.raises(WorkerFailed, match="not ready in time"):
        async with WorkerProcess({}, log, ("-c", NEVER_READY)):
            pass

    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)


async def test_a_process_whose_start_is_cancelled_is_ended(tmp_path, monkeypatch):
    async def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerProcess, "_listening", interrupted)
    worker = WorkerProcess({}, tmp_path / "log", ("-c", NEVER_READY))

    with pytest.raises(KeyboardInterrupt):
        await worker.start()

    assert worker.returncode == -9


async def test_a_process_that_ends_after_it_listened_is_reported_with_its_log(tmp_path):
    with pytest.raises(WorkerFailed, match=r"(?s)ended with 1:.*no module of that name"):
        async with WorkerProcess({}, tmp_path / "log", ("-c", ENDS_BESIDE_ITS_ADDRESS)):
            pass

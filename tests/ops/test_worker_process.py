"""WorkerProcess: what was started and never became ready does not run on."""

import os

import pytest

from worker.demo import process
from worker.demo.process import WorkerFailed, WorkerProcess

NEVER_READY = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


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

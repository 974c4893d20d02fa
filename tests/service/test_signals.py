"""The second signal ends the process, also one whose loop hangs as it is being closed."""

import asyncio
import signal
import sys

HANGS = """
import asyncio, time
from worker.app.daemon import Signals

async def work():
    signals = Signals()
    signals.listen()
    print("listening", flush=True)
    await signals.force.wait()
    time.sleep(60)

asyncio.run(work())
"""


async def test_a_loop_that_hangs_after_the_second_signal_ends_within_five_seconds():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGS, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"listening\n"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        began = asyncio.get_running_loop().time()
        assert await asyncio.wait_for(process.wait(), 30) == 1
        assert asyncio.get_running_loop().time() - began < 5
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

"""A process that logs, answers its probes and reads from its standard input what to do.

`log COUNT` logs from within the event loop and says, on stderr, the longest time one call took;
`lift` lifts the limit on file sizes; `flush`, `exit`, `leave` (by os._exit) and `crash` end it or
its lines. Its first line on stderr is the address of its ops server.
"""

import asyncio
import contextlib
import os
import resource
import sys
import threading
import time

import structlog

from worker.ops.health import Health
from worker.ops.server import OpsServer
from worker.settings import Ops
from worker.telemetry import Snapshot
from worker.telemetry.logs import audit_logger, configure_logging, flush_logs, log_sink_problem

log = structlog.get_logger()


def say(text):
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def log_lines(count):
    longest = 0.0
    for number in range(count):
        begun = time.monotonic()
        log.info("line", number=number, id="Zoë-名-😀")
        longest = max(longest, time.monotonic() - begun)
        if number % 100 == 0:
            audit_logger().info("audit_line", number=number)
            await asyncio.sleep(0)
    say(f"logged {longest}")


async def obey(commands):
    while True:
        command, *arguments = (await commands.get()).split()
        if command == "log":
            await log_lines(int(arguments[0]))
        elif command == "lift":
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            say("lifted")
        elif command == "flush":
            say(f"flushed {flush_logs(10)}")
        elif command == "leave":
            log.info("last_line")
            flush_logs()
            os._exit(1)
        elif command == "crash":
            raise ValueError("crashed on purpose")
        else:
            log.info("last_line")
            return


async def main():
    loop, commands = asyncio.get_running_loop(), asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(commands.put_nowait, line)

    threading.Thread(target=read, daemon=True).start()
    health = Health(stall_seconds=30, sink=log_sink_problem)
    beating = asyncio.create_task(health.run())
    with OpsServer(Ops(port=0), health, Snapshot) as server:
        say(server.url)
        await obey(commands)
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating


if __name__ == "__main__":
    if len(sys.argv) > 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    configure_logging("info", "json")
    asyncio.run(main())

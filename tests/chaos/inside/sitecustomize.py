"""Makes a worker report how many asyncio tasks it has: on SIGUSR1, into the file `TASKS_FILE`.

Imported by Python itself, as this folder stands on the PYTHONPATH of the worker of `soak`. The
product has no metric for it.
"""

import asyncio
import os
import signal
from pathlib import Path


def _report(_number, _frame):
    # A signal's handler runs in the main thread, and there the loop is running.
    Path(os.environ["TASKS_FILE"]).write_text(str(len(asyncio.all_tasks())))


if "TASKS_FILE" in os.environ:
    signal.signal(signal.SIGUSR1, _report)

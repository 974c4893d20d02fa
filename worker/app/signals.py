"""SIGTERM and SIGINT: the first asks to drain, the second to exit at once."""

import asyncio
import os
import signal
import threading

EXIT_FORCED = 1
HARD_EXIT_SECONDS = 3.0
"""After the second signal: then the process ends, whatever still hangs, at any stage."""


class Signals:
    """Counts signals; must be made in the loop that handles them."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        """Set by the first signal."""

        self.force = asyncio.Event()
        """Set by the second."""

    def listen(self) -> None:
        """Take over both signals from Python's own handlers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._received)

    def came(self) -> None:
        """Note one signal."""
        if self.stop.is_set():
            self.force.set()
        self.stop.set()

    def _received(self) -> None:
        self.came()
        if self.force.is_set():
            # A thread: what hangs may be the loop itself, as it is being closed.
            end = threading.Timer(HARD_EXIT_SECONDS, os._exit, (EXIT_FORCED,))
            end.daemon = True
            end.start()

"""SIGTERM and SIGINT: the first asks to drain, the second to exit at once."""

import asyncio
import os
import signal
import threading

EXIT_SECONDS = 4.0
"""After the second signal the process ends within that time, at any stage of its life."""


class Signals:
    """Counts signals; must be made in the loop that handles them."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        """Set by the first signal."""

        self.force = asyncio.Event()
        """Set by the second."""

        self._listening = False

    def listen(self) -> None:
        """Take over both signals from Python's own handlers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.came)
        self._listening = True

    def came(self) -> None:
        """Note one signal."""
        if self.stop.is_set() and not self.force.is_set():
            self.force.set()
            if self._listening:
                _exit_after(EXIT_SECONDS)
        self.stop.set()


def _exit_after(seconds: float) -> None:
    """End the process, whatever the event loop does by then: a drain, a start, a last close."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()

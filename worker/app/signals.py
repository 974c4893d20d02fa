"""SIGTERM and SIGINT: the first asks to drain, the second to exit at once."""

import asyncio
import signal


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
            loop.add_signal_handler(number, self.came)

    def came(self) -> None:
        """Note one signal."""
        if self.stop.is_set():
            self.force.set()
        self.stop.set()

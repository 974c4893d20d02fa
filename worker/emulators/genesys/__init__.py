"""An emulator of Genesys Cloud: both dialects on one loopback port, with fault switches.

r0 to r4 are the texts of the reference dialect: worker/clients/genesys/README.md, "The reference
dialect". A family of endpoints is one module with a `routes()`; `server.py` lists them.
"""

from worker.emulators.genesys.cloud import (
    Ended,
    GenesysCloud,
    Named,
    Spoken,
    a_conversation,
    a_transcript,
)
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.history import History, MadeUp, Past, as_platform
from worker.emulators.genesys.server import GenesysServer

__all__ = [
    "Ended",
    "GenesysCloud",
    "GenesysServer",
    "History",
    "MadeUp",
    "Named",
    "Past",
    "Spoken",
    "a_conversation",
    "a_flow",
    "a_transcript",
    "as_platform",
]

"""How often Python looks for garbage that no reference count frees."""

import gc

YOUNG_OBJECTS = 10_000
"""New objects between two looks. Python's own 700 are a few messages' worth: at 64 in hand nearly
all of them still live, so the looks find nothing and cost a sixth of the CPU. Ten thousand are a
few MiB at most."""


def spare_collections() -> None:
    """Collect rarely, and never look again at what is there now: code, models and clients stay.

    Off altogether would be faster by little, and errors, whose tracebacks are cycles, would pile
    up.
    """
    gc.collect()
    gc.freeze()
    _, middle, old = gc.get_threshold()
    gc.set_threshold(YOUNG_OBJECTS, middle, old)

"""How much a benchmark does, and where it may put its files."""

import platform
import sysconfig
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Size:
    """What a run of a benchmark is given."""

    rounds: int
    """Times that each figure is taken; the contestants take turns, so that noise hits all alike."""

    messages: int
    """Messages of one round; a benchmark may scale it to what it measures, and says so."""

    quick: bool
    """Whether coarse figures will do."""

    work: Path
    """A folder for environments and temporary files; kept from run to run."""


def python_build() -> str:
    """Return which Python runs this, and whether it was built to be fast."""
    flags = sysconfig.get_config_var("CONFIG_ARGS") or ""
    how = "with PGO" if "--enable-optimizations" in flags else "without --enable-optimizations"
    return f"{platform.python_version()}, {platform.python_compiler()}, configured {how}"

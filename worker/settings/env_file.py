"""A file of variables, for `--env-file`: as Docker, Compose and python-dotenv read it."""

from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from worker.errors import ConfigurationError


def variables_in(path: Path) -> Mapping[str, str]:
    """Return what a file sets: `NAME=value` lines, `export`, comments, quotes; nothing is expanded.

    Raises ConfigurationError that names each line that cannot be read, without its text.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no text in UTF-8"
        raise ConfigurationError([f"--env-file: {str(path)!r} cannot be read: {why}"]) from None
    if bad := [str(line.original.line) for line in lines if line.error]:
        raise ConfigurationError(
            [f"--env-file: {str(path)!r}: line {n} is no NAME=value" for n in bad]
        )
    return {line.key: line.value or "" for line in lines if line.key}

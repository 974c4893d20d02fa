"""The texts of variables before they are values: white space, quotes, and files that hold them.

`X_FILE` names a file that holds the value of `X`, as Docker and Kubernetes mount secrets.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from stat import S_ISREG

from pydantic import SecretStr

FILE = "_FILE"
"""Ending of the variable that names a file."""

MAX_FILE_BYTES = 64 * 1024


def cleaned(text: str) -> str:
    """Remove white space around a value, and one pair of quotes, as `docker --env-file` leaves.

    No setting begins and ends with them. White space is also what is not seen: the mark that
    editors put before a file, and what comes along from a web page.
    """
    text = _seen(text)
    return _seen(text[1:-1]) if len(text) > 1 and text[0] + text[-1] in _PAIRS else text


_UNSEEN = "\u200b\u200e\u200f\u2060\ufeff"
_PAIRS = ('""', "''", "\u201c\u201d", "\u2018\u2019")


def _seen(text: str) -> str:
    return text.strip().strip(_UNSEEN).strip()


def texts_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set, in upper case."""
    return {name.upper(): text for name, value in environ.items() if (text := cleaned(value))}


class FileSecret(SecretStr):
    """A secret that is read again when its file has changed: a rotation needs no restart.

    What cannot be read, or cannot be a secret (half a write), leaves the last one in force.
    """

    def __init__(self, path: Path) -> None:
        """Raise ValueError that says what is wrong with the file."""
        self._path = path
        self._seen = _stamp(path)
        super().__init__(read_file(path))

    def get_secret_value(self) -> str:
        """Return the secret as the file has it now."""
        seen = _stamp(self._path)
        if seen != self._seen:
            self._renew(seen)
        return super().get_secret_value()

    def _renew(self, seen: object) -> None:
        try:
            text = read_file(self._path)
        except ValueError:
            return
        if re.fullmatch(r"[ -~]+", text):
            self._secret_value, self._seen = text, seen


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_file(path: Path) -> str:
    """Return what a file says. Raises ValueError that says what is wrong with it."""
    try:
        if not S_ISREG(path.stat().st_mode):
            raise ValueError(f"{str(path)!r} is no file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = cleaned(content.decode())
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is no text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{str(path)!r} is larger than {MAX_FILE_BYTES} bytes")
    if not text:
        raise ValueError(f"{str(path)!r} is empty")
    return text


def names_given(environ: Mapping[str, str], known: Iterable[str]) -> set[str]:
    """Return the names of the variables that are set, be it by a file."""
    given = set(texts_of(environ))
    files = {name + FILE: name for name in known}
    return {files.get(name, name) for name in given}

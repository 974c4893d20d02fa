"""Records that are made for each message: the type checker lets no one change them."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """Make a dataclass that is frozen for mypy, equal and hashable by its fields.

    `frozen=True` would hold at run time, too: there every field is set by a call, and the thirty of
    a message cost more than parsing its JSON.
    """
    # A hash is unsafe where fields change; here none does.
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(kind)

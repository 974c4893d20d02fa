"""Records that are made for each message: nobody changes them."""

from dataclasses import dataclass, field
from typing import ClassVar, TypeVar, dataclass_transform

from msgspec import Struct

T = TypeVar("T")


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """A frozen value, equal and hashable by its fields, made in a fifth of a dataclass's time.

    Without the garbage collector: a record holds texts, numbers, times and other records, so none
    can be part of a cycle. A copy with changes: `msgspec.structs.replace`.
    """

    unshown: ClassVar[frozenset[str]] = frozenset()
    """Fields that stay out of `repr`, and so out of tracebacks."""

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in self.unshown)
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)!r}' for n in shown)})"


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """Make a dataclass that is frozen for mypy, equal and hashable by its fields.

    `frozen=True` would hold at run time, too: there every field is set by a call, and the thirty of
    a message cost more than parsing its JSON.
    """
    # A hash is unsafe where fields change; here none does.
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(kind)

"""`converter`: msgspec's reading of plain values into a type, prepared where it is made; and decoders of types that
are made for one reader.

The first time msgspec meets a dataclass or a struct it looks its fields up and keeps the answer with the class, for all
to use, before it is complete. Two threads that meet a class first at the same time end the process. So every decoder
and converter is made while a module is imported, which one thread does alone; a test looks for others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def converter(kind: type[T], *, strict: bool = True) -> Callable[[Any], T]:
    """`msgspec.convert` for one type, for any number of threads; to be called while a module is imported.

    The function that it answers raises `msgspec.ValidationError`, a `ValueError`, where a value is no such thing.

    Args:
        kind: What the values become.
        strict: Whether texts are no numbers.
    """
    msgspec.json.Decoder(kind)  # looks up all that `kind` holds

    def convert(value: Any) -> T:
        return msgspec.convert(value, kind, strict=strict)

    return convert


def decoder_of_rows(names: Sequence[str]) -> msgspec.json.Decoder[list[list[Any]]] | None:
    """A decoder of lists of lists of objects that have a number for each of these names, and nothing else: structs with
    their fields in this order. None where a struct cannot have such a field.

    It may be made at any time: its type is a new one, which no other thread can meet before it is complete.
    """
    fields = [(f"field_{place}", float) for place in range(len(names))]
    encoded = {field: name for (field, _), name in zip(fields, names, strict=True)}
    try:
        row = msgspec.defstruct("Row", fields, rename=encoded, forbid_unknown_fields=True, gc=False)
    except ValueError:  # quotes and control characters
        return None
    return msgspec.json.Decoder(list[list[row]])  # type: ignore[valid-type]

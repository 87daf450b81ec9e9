"""`converter`: msgspec's reading of plain values into a type, prepared where it is made.

The first time msgspec meets a dataclass or a struct it looks its fields up and keeps the answer with the class, for all
to use, before it is complete. Two threads that meet a class first at the same time end the process. So every decoder
and converter is made while a module is imported, which one thread does alone; a test looks for others.
"""

from __future__ import annotations

from collections.abc import Callable
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

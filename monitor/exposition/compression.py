"""gzip of a body made of parts, each compressed by itself, so that those that stay need not be compressed again.

Parts are joined to one member, not to a sequence of members: of such a sequence curl reads the first and fails, and
older HTTP clients take the first for everything. Each part is a run of deflate blocks without references to what came
before (`Z_FULL_FLUSH`); their checksum is made from the parts' (as zlib's `crc32_combine` does).
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import NamedTuple

LEVEL = 1
"""The fastest: series repeat their labels so much that higher levels gain little."""

_HEAD = b"\x1f\x8b\x08" + b"\x00" * 5 + b"\x04\xff"
"""Of a member (RFC 1952): deflate, no name, no time, compressed by the fastest algorithm, on no system in particular.
"""
_END = b"\x03\x00"
"""The last deflate block: an empty one."""

_ONE = 1 << 31
"""The polynomial 1, as the CRC of gzip orders its bits."""
_POLYNOMIAL = 0xEDB88320


class Compressed(NamedTuple):
    """A compressed part.

    Attributes:
        data: Deflate blocks that end at a byte.
        size: Bytes of what they are of.
        crc: Its CRC-32.
    """

    data: bytes
    size: int
    crc: int

    @classmethod
    def of(cls, part: bytes) -> Compressed:
        """A part, compressed."""
        deflate = zlib.compressobj(LEVEL, wbits=-zlib.MAX_WBITS)
        data = deflate.compress(part) + deflate.flush(zlib.Z_FULL_FLUSH)
        return cls(data, len(part), zlib.crc32(part))


def member(parts: list[Compressed]) -> bytes:
    """One gzip member of the parts, in this order."""
    crc = size = 0
    for part in parts:
        crc = _times(_shift(part.size), crc) ^ part.crc
        size += part.size
    tail = crc.to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return b"".join([_HEAD, *(part.data for part in parts), _END, tail])


@lru_cache(1024)
def _shift(size: int) -> int:
    """What a CRC is multiplied by where `size` bytes follow: x to the power of 8 `size`."""
    result = _ONE
    power = _ONE >> 8
    while size:
        if size & 1:
            result = _times(power, result)
        power = _times(power, power)
        size >>= 1
    return result


def _times(first: int, second: int) -> int:
    """The product of two polynomials over GF(2), modulo the CRC's."""
    product = 0
    while first:
        if first & _ONE:
            product ^= second
        first = first << 1 & 0xFFFFFFFF
        second = second >> 1 ^ (_POLYNOMIAL if second & 1 else 0)
    return product

"""Passwords against bcrypt hashes: slow by design, so never on the event loop and once per password only."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

KEPT = 100
"""Passwords found right that are kept."""
WAITING = 32
"""Checks that may wait for their turn: a flood of wrong passwords shall fill neither memory nor the hours to come."""

_LONGEST = 72  # bytes; bcrypt looks at no more, and tools that hash longer ones cut them off


class Busy(Exception):
    """Too many passwords wait to be checked."""


class Passwords:
    """Checks passwords one at a time in a thread, and keeps the right ones under a hash that only it can make."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def match(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool:
        """Whether `user` is among `users` (bcrypt hashes by name) and this is the password.

        Raises:
            Busy: Too many others wait.
        """
        known = user in users
        hashed = users[user] if known else self._stand_in(users, user)
        triple = self._digest(user.encode(), hashed, password)
        if self._is_kept(triple):
            return True
        if self._waiting >= WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with self._turn:
                if self._is_kept(triple):  # found right for a request that came with this one
                    return True
                right = await asyncio.to_thread(bcrypt.checkpw, password[:_LONGEST], hashed)
        finally:
            self._waiting -= 1
        if right and known:
            self._right[triple] = None
            if len(self._right) > KEPT:
                self._right.popitem(last=False)
        return right and known

    def _stand_in(self, users: Mapping[str, bytes], user: str) -> bytes:
        """A real user's hash, always the same for a name: an unknown one costs the time that a known one costs."""
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(user.encode())) % len(hashes)]

    def _is_kept(self, triple: bytes) -> bool:
        if triple not in self._right:
            return False
        self._right.move_to_end(triple)
        return True

    def _digest(self, *parts: bytes) -> bytes:
        digest = hashlib.blake2b(key=self._secret)
        for part in parts:
            digest.update(len(part).to_bytes(8) + part)
        return digest.digest()


def credentials(header: str) -> tuple[str, bytes] | None:
    """User and password of an `Authorization: Basic` header; None for anything else."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None

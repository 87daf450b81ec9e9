"""`Caller`: on whose behalf a request is sent to Studio."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

LONGEST_CLOSED = 3600.0
"""Seconds for which a key sends nothing because Studio said so, at most; a project's interval may be less."""


class Pausable(Protocol):
    """What a caller puts down while its request waits, such as a `Hold`."""

    def pause(self) -> None:
        """Put it down."""

    async def resume(self) -> None:
        """Take it up again, in turn."""


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a request is sent.

    Attributes:
        key: The API key.
        closed_at_most: Seconds for which a Retry-After is honoured: the project's interval, `LONGEST_CLOSED` at most.
        hold: What is released while the request waits or fails, and acquired again before its reply is used.
    """

    key: str = field(repr=False)
    closed_at_most: float = LONGEST_CLOSED
    hold: Pausable | None = None

    def pause(self) -> None:
        """Put down what another key could use."""
        if self.hold is not None:
            self.hold.pause()

    async def resume(self) -> None:
        """Take it up again, in turn."""
        if self.hold is not None:
            await self.hold.resume()

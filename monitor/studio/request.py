"""A request to Studio, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from monitor.studio.caller import Caller
from monitor.studio.wire import Reply

T = TypeVar("T", bound=Reply)


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What came of a request.

    Attributes:
        reply: The reply; None where Studio said that it is still the one of the version that was named.
        nbytes: Size of its body.
        etag: The version that Studio gave it; None where it gave none.
        repeated: Whether attempts had failed before, the one that named a version among them.
    """

    reply: T | None
    nbytes: int
    etag: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: `GET` or `POST`.
        call: Its name in metrics, logs and errors.
        path: Below the base URL.
        caller: Whose API key is sent.
        query: Not yet encoded.
        body: Sent as JSON; None for none.
        etag: The version that is known (`If-None-Match`); None to get the reply in any case.
    """

    method: str
    call: str
    path: str
    caller: Caller
    query: Mapping[str, str] | None
    body: object = None
    etag: str | None = None

    @property
    def where(self) -> str:
        """For errors."""
        return f"{self.call} ({self.path})"

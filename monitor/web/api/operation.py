"""`operation`: what a route takes and answers, written at its handler; the OpenAPI document is made of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp.typedefs import Handler

H = TypeVar("H", bound=Callable[..., Any])

JSON = "application/json"
HTML = "text/html"
PLAIN = "text/plain"
CSV = "text/csv"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a route takes and answers.

    Attributes:
        summary: What it is for, in a few words.
        data: Type of an answer's `data`; None where the answer is no JSON.
        plain: Whether the answer is that type itself, without the form of the API's answers.
        media: Media types of an answer.
        status: Of a good answer.
        query: TypedDict of what may stand in the query; None for nothing.
        body: Type of the body; None where it takes none.
        takes: Media type of the body.
        errors: Statuses of its errors.
        changes: Whether it changes something, and wants the admin token or a session.
    """

    summary: str
    data: Any = None
    plain: bool = False
    media: Sequence[str] = (JSON,)
    status: int = 200
    query: Any = None
    body: Any = None
    takes: str = JSON
    errors: Sequence[int] = ()
    changes: bool = False


def operation(summary: str, **fields: Any) -> Callable[[H], H]:
    """Mark a handler with what its route takes and answers."""
    described = Operation(summary=summary, **fields)

    def mark(handler: H) -> H:
        handler.operation = described  # type: ignore[attr-defined]
        return handler

    return mark


def page(summary: str, *errors: int, query: Any = None) -> Callable[[H], H]:
    """Mark the handler of a page."""
    return operation(summary, media=(HTML,), query=query, errors=errors)


def button(summary: str, body: Any = None, *errors: int) -> Callable[[H], H]:
    """Mark the handler of a form, which leads on to a page."""
    statuses = (400, 401, 403, 413, 500, *errors)
    return operation(summary, media=(), status=303, body=body, takes=FORM, errors=statuses)


def operation_of(handler: type | Handler) -> Operation | None:
    """What a handler's route takes and answers; None where nobody wrote it."""
    found = getattr(handler, "operation", None)
    return found if isinstance(found, Operation) else None

"""What it means that Studio does not give what was asked for: which error that is, and whether to try again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping

import msgspec

from monitor.errors import AuthError, InvalidReply, NoResults, NotFound, StudioError, Unreachable
from monitor.net.retry_after import retry_after
from monitor.studio.decoding import decode
from monitor.studio.wire import Reply

LONGEST_MEANT = 86400.0
"""Seconds beyond which a Retry-After is a mistake, and the wait is that of any other failure."""

_reply = msgspec.json.Decoder(Reply)


class BodyTooLarge(InvalidReply):
    """A reply of more than `BODY_LIMIT` bytes; reading it was stopped."""


class Refused(InvalidReply):
    """Studio refused the request as such, for a reason of its own words: another attempt with the same query is of no
    use.
    """


class Retryable(Exception):
    """One attempt failed in a way that may pass. `error` is what it becomes when attempts run out; `not_processed`:
    Studio did nothing for it.
    """

    def __init__(
        self, reason: str, error: StudioError, delay: float | None = None, *, not_processed: bool = False
    ) -> None:
        super().__init__(str(error))
        self.reason = reason
        self.error = error
        self.delay = delay
        self.not_processed = not_processed


def raise_for_status(
    status: int, headers: Mapping[str, str], body: bytearray, where: str, closed_at_most: float
) -> None:
    """Raise what a status of 300 or more means.

    Args:
        status: The HTTP status.
        headers: Of the reply.
        body: The reply's.
        where: The call and its path, for errors.
        closed_at_most: Seconds for which a Retry-After is honoured.

    Raises:
        Retryable: Another attempt may work, after its `delay` where Studio named one.
        StudioError: Another attempt is of no use.
    """
    if status < 300:
        return
    if status in (401, 403):
        raise AuthError(
            f"{where}: Studio refused the API key (HTTP {status})",
            advice="; check that it is this project's key, not expired, and may do this",
        )
    if status != 429:
        raise_for_refusal(body, where, known_only=True)
    if status == 404:
        raise NotFound(f"{where}: Studio answered 404; check the project's id and its impulses")
    if status == 429 or status >= 500:
        delay = wait_of(headers.get("Retry-After"), closed_at_most)
        rate_limited = status == 429
        what = f"{where}: Studio answered {status}" + (
            "; it limits requests: pull less often or lower studio.requests_in_flight" if rate_limited else ""
        )
        raise Retryable(
            "rate_limited" if rate_limited else "server_error", Unreachable(what), delay, not_processed=rate_limited
        )
    if status == 304:
        raise InvalidReply(
            f"{where}: HTTP 304 (not modified) came, though no version was named",
            advice="; look at caches and proxies between here and Studio",
        )
    if status < 400:
        raise InvalidReply(
            f"{where}: Studio redirected (HTTP {status}); the key is not sent elsewhere: put the final address "
            "into studio.url"
        )
    raise_for_refusal(body, where)
    raise Refused(f"{where}: Studio answered {status}")


def raise_for_refusal(body: bytearray, where: str, *, known_only: bool = False) -> None:
    """Raise what a `success: false` means, whatever HTTP status it came with; `known_only`: only where the text is
    known.
    """
    try:
        reply = decode(_reply, body, Counter())
    except msgspec.MsgspecError:
        return
    if not reply.success:
        error = refusal(reply.error or "", where)
        if not (known_only and isinstance(error, InvalidReply)):
            raise error


def refusal(text: str, where: str) -> StudioError:
    """The error that the text of a `success: false` means."""
    lowered = text.lower()
    if "no model testing results" in lowered:
        return NoResults(f"{where}: ", text, "; run model testing in Studio, or wait until training has finished")
    if "cannot find impulse" in lowered or "cannot find project" in lowered:
        return NotFound(f"{where}: ", text)
    return Refused(f"{where}: Studio refused: ", text.strip() or "no reason given")


def wait_of(value: str | None, at_most: float) -> float | None:
    """Seconds to wait, with up to a second of jitter; None where the server names none that can be meant."""
    seconds = retry_after(value)
    if seconds is None or seconds > LONGEST_MEANT:
        return None
    return min(seconds, at_most) + random.uniform(0, 1)


def without_traceback(error: Exception) -> Exception:
    """The error without its traceback and what came before it, whose frames hold copies of a body."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)

"""`Client`: HTTP to Studio. Requests within a budget, retries with backoff, deadlines; every
failure a `StudioError`.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TypeVar

import aiohttp
import msgspec
import stamina

from monitor.errors import AuthError, InvalidReply, NoResults, NotFound, StudioError, Unreachable
from monitor.net.retry_after import retry_after
from monitor.net.tls import not_trusted
from monitor.studio.budget import Budget, Slot
from monitor.studio.decoding import MALFORMED, decode
from monitor.studio.wire import Reply

T = TypeVar("T", bound=Reply)

ATTEMPTS = 5
BODY_LIMIT = 16 * 2**20
"""Bytes of one reply's body, unpacked; a page beyond it is asked for again in smaller pieces."""
TRICKLE_BYTES = 1024
"""A body of which less than this comes in `TRICKLE_SECONDS` is given up: one byte a second would hold a slot for the
whole timeout.
"""
TRICKLE_SECONDS = 10.0
ON_LOOP_LIMIT = 2 * 2**20
"""Bodies beyond this are decoded in a thread: 1 MB takes some 3 ms."""
DECODED_AT_ONCE = 2
"""Such bodies; reading one field by field takes some times its size."""
LONGEST_WAIT = 300.0
"""Seconds a pull waits because Studio said so (Retry-After); beyond it the pull fails at once and later ones until
then.
"""
LONGEST_MEANT = 86400.0
"""Seconds beyond which a Retry-After is a mistake, and the wait is that of any other failure."""
LONGEST_CLOSED = 3600.0
"""Seconds for which a key sends nothing because Studio said so, at most; a project's interval may be less."""


class Observer(Protocol):
    """Who counts what the client does; `code` is the HTTP status, `timeout` or `error`."""

    def request(self, call: str, code: str, seconds: float) -> None: ...  # noqa: D102
    def retry(self, reason: str) -> None: ...  # noqa: D102
    def received(self, nbytes: int) -> None: ...  # noqa: D102
    def unknown(self, field: str, count: int = 1) -> None: ...  # noqa: D102


class BodyTooLarge(InvalidReply):
    """A reply of more than `BODY_LIMIT` bytes; reading it was stopped."""


class Refused(InvalidReply):
    """Studio refused the request as such, for a reason of its own words: another attempt with the same query is of no
    use.
    """


class _Retryable(Exception):
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


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    call: str
    path: str
    caller: Caller
    query: Mapping[str, str] | None
    body: object = None

    @property
    def where(self) -> str:
        """For errors."""
        return f"{self.call} ({self.path})"


class Client:
    """Requests to one Studio.

    Args:
        url: Base URL, such as `https://studio.edgeimpulse.com/v1`.
        observer: Counts requests, retries and bytes.
        timeout: Seconds for one request, its body included.
        in_flight, in_flight_per_key: How many requests may run at once, over all keys and for one.
        proxy: URL of an HTTP proxy; without it HTTPS_PROXY and NO_PROXY count.
        ca_file: PEM file of a private certificate authority.
        backoff: Seconds before the first retry; it doubles up to 30 s, plus up to as much jitter.
    """

    def __init__(
        self,
        url: str,
        observer: Observer,
        *,
        timeout: float = 60.0,
        in_flight: int = 4,
        in_flight_per_key: int = 2,
        proxy: str | None = None,
        ca_file: str | None = None,
        backoff: float = 0.5,
    ) -> None:
        self.url = url.rstrip("/")
        self.observer = observer
        self.timeout = timeout
        self._budget = Budget(in_flight, in_flight_per_key)
        self.in_flight_per_key = self._budget.per_key
        self._backoff = backoff
        self._decoding = asyncio.Semaphore(DECODED_AT_ONCE)
        self._proxy = proxy
        # The budget bounds the connections: waiting in the connector's own queue would count against a request's
        # timeout.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=ssl.create_default_context(cafile=ca_file) if ca_file else True
            ),
            timeout=aiohttp.ClientTimeout(total=timeout),
            trust_env=proxy is None,
            headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; requests still running fail."""
        self._budget.stop()
        await self._session.close()

    def forget_waits(self) -> None:
        """Ask again at once, whatever Studio said about when to come back."""
        self._budget.open_all()

    async def get(
        self,
        call: str,
        path: str,
        caller: Caller,
        decoder: msgspec.json.Decoder[T],
        query: Mapping[str, str] | None = None,
    ) -> tuple[T, int]:
        """One reply and the size of its body in bytes, after as many attempts as it takes.

        Args:
            call: Name of the call in metrics, logs and errors.
            path: Below the base URL.
            caller: Whose API key is sent.
            decoder: Of the documented shape.
            query: Query parameters, not yet encoded.

        Raises:
            AuthError, NotFound, NoResults: At once.
            Unreachable: Attempts ran out, or Studio asked to wait longer than a pull may take.
            InvalidReply: The reply is not of the documented shape, or a refusal of unknown meaning.
        """
        return await self._ask(_Request("GET", call, path, caller, query), decoder)

    async def post(
        self,
        call: str,
        path: str,
        caller: Caller,
        decoder: msgspec.json.Decoder[T],
        query: Mapping[str, str] | None = None,
        *,
        body: object,
    ) -> T:
        """One reply to a POST. An attempt that Studio may have taken is not repeated: after Unreachable it may have
        been.

        Args:
            call, path, caller, decoder, query: As for `get`.
            body: Sent as JSON.

        Raises:
            StudioError: As `get`.
        """
        return (await self._ask(_Request("POST", call, path, caller, query, body), decoder))[0]

    async def _ask(self, request: _Request, decoder: msgspec.json.Decoder[T]) -> tuple[T, int]:
        reasons: list[str] = []

        def on(error: Exception) -> bool | float:
            if not isinstance(error, _Retryable) or (request.method == "POST" and not error.not_processed):
                return False
            if error.delay is not None and error.delay > LONGEST_WAIT:
                return False
            reasons.append(error.reason)
            return True if error.delay is None else error.delay

        retries = stamina.retry_context(
            on=on, attempts=ATTEMPTS, timeout=None, wait_initial=self._backoff, wait_max=30.0, wait_jitter=self._backoff
        )
        try:
            async for attempt in retries:
                if attempt.num > 1:
                    self.observer.retry(reasons[-1])
                with attempt:
                    reply = await self._in_turn(request, decoder)
        except _Retryable as failed:
            await request.caller.resume()
            raise failed.error from failed.__cause__
        except StudioError:
            await request.caller.resume()
            raise
        await request.caller.resume()  # only now: the holder of a request's slot must not wait for another one
        return reply

    async def _in_turn(self, request: _Request, decoder: msgspec.json.Decoder[T]) -> tuple[T, int]:
        """One attempt, when it is the key's turn; while that takes time, and once it has failed, the caller holds
        nothing.
        """
        caller = request.caller
        budget = self._budget
        if self._session.closed:
            raise Unreachable(f"{request.call}: this client was closed, as another configuration or the stop wanted it")
        if (wait := budget.closed_for(caller.key)) > LONGEST_WAIT:
            raise Unreachable(
                f"{request.call}: Studio asked to wait another {wait:.0f} s (Retry-After); no request is sent with "
                "this key until then"
            )
        if not budget.promising(caller.key):
            caller.pause()
        async with budget.slot(caller.key) as slot:
            began = time.monotonic()
            try:
                reply = await self._attempt(request, decoder, slot)
            except (_Retryable, BodyTooLarge):
                budget.attempted(caller.key, worked=False)
                caller.pause()
                raise
            except StudioError:  # an answer, though a refusal: it delays no other request
                budget.attempted(caller.key, worked=True, seconds=time.monotonic() - began)
                raise
            budget.attempted(caller.key, worked=True, seconds=time.monotonic() - began)
        return reply

    async def _attempt(self, request: _Request, decoder: msgspec.json.Decoder[T], slot: Slot) -> tuple[T, int]:
        where = request.where
        caller = request.caller
        async with self._observed(request.call) as observed:
            try:
                async with (
                    self._given_up(slot),
                    self._session.request(
                        request.method,
                        self.url + request.path,
                        params=request.query,
                        json=request.body,
                        headers={"x-api-key": caller.key},
                        proxy=self._proxy,
                        allow_redirects=False,
                    ) as response,
                ):
                    observed.code = str(response.status)
                    body = await self._read(response, where)
            except TimeoutError as error:
                observed.code = "timeout"
                what = f"{where}: no complete reply within {time.monotonic() - slot.since:.0f} s"
                raise _Retryable("timeout", Unreachable(what)) from error
            except aiohttp.ClientPayloadError as error:
                raise _Retryable("truncated", Unreachable(f"{where}: the reply broke off")) from error
            except aiohttp.ClientConnectorCertificateError as error:
                observed.code = "error"
                what, reason, advice = not_trusted(self.url, error, "studio.ca_file")
                failed = Unreachable(f"{request.call}: {what}", reason, advice)
                raise _Retryable("connection", failed, not_processed=True) from error
            except (aiohttp.ClientError, OSError) as error:
                observed.code = "error"
                # the URL is said already: of a connection that was refused only the system's words
                unsent = isinstance(error, aiohttp.ClientConnectorError)
                words = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
                failed = Unreachable(
                    f"{where}: no connection to {self.url} (",
                    f"{type(error).__name__}: {words}",
                    "); check the network, studio.url and studio.proxy",
                )
                raise _Retryable("connection", failed, not_processed=unsent) from error
        self.observer.received(len(body))
        try:
            return await self._reply(response, body, request, decoder), len(body)
        except BaseException:
            with suppress(BufferError):
                body.clear()  # the error's traceback holds it for as long as the error is held
            raise

    async def _reply(
        self, response: aiohttp.ClientResponse, body: bytearray, request: _Request, decoder: msgspec.json.Decoder[T]
    ) -> T:
        """What a body says, if it is a good reply."""
        where = request.where
        self._raise_for_status(response, body, where, request.caller)
        try:
            reply = await self._decode(decoder, body)
        except msgspec.ValidationError as error:
            _raise_for_refusal(body, where)
            raise _Retryable(
                "not_documented", InvalidReply(f"{where}: the reply is not of the documented shape: ", error)
            ) from _alone(error)
        except msgspec.DecodeError as error:
            if "truncated" in str(error):
                raise _Retryable("truncated", Unreachable(f"{where}: the reply broke off")) from _alone(error)
            failed = InvalidReply(
                f"{where}: the reply is not JSON (", response.content_type, "); is studio.url the address of the API?"
            )
            raise _Retryable("not_json", failed) from _alone(error)
        if not reply.success:
            raise _refusal(reply.error or "", where)
        return reply

    async def _decode(self, decoder: msgspec.json.Decoder[T], body: bytearray) -> T:
        """Fast and on the loop where the reply is as documented and not large; what is not takes
        longer, in a thread.
        """
        if len(body) <= ON_LOOP_LIMIT:
            with suppress(*MALFORMED):
                return decoder.decode(body)
        unknown: Counter[str] = Counter()
        async with self._decoding:
            reply = await asyncio.to_thread(decode, decoder, body, unknown)
        for name, count in unknown.items():
            self.observer.unknown(name, count)
        return reply

    async def _read(self, response: aiohttp.ClientResponse, where: str) -> bytearray:
        """The body, in one piece and never a second one; it may not be endless, nor trickle."""
        body = bytearray()
        while True:
            enough = len(body) + TRICKLE_BYTES
            async with asyncio.timeout(TRICKLE_SECONDS):
                while len(body) < enough:
                    if not (chunk := await response.content.readany()):
                        return body
                    body += chunk
                    if len(body) > BODY_LIMIT:
                        body.clear()  # the error's traceback holds it for as long as the error is held
                        raise BodyTooLarge(f"{where}: the reply is larger than {BODY_LIMIT >> 20} MiB")

    def _raise_for_status(self, response: aiohttp.ClientResponse, body: bytearray, where: str, caller: Caller) -> None:
        status = response.status
        if status < 300:
            return
        if status in (401, 403):
            raise AuthError(
                f"{where}: Studio refused the API key (HTTP {status})",
                advice="; check that it is this project's key, not expired, and may do this",
            )
        if status != 429:
            _raise_for_refusal(body, where, known_only=True)
        if status == 404:
            raise NotFound(f"{where}: Studio answered 404; check the project's id and its impulses")
        if status == 429 or status >= 500:
            delay = _retry_after(response.headers.get("Retry-After"), caller.closed_at_most)
            if delay is not None:
                self._budget.close(caller.key, delay)
            rate_limited = status == 429
            what = f"{where}: Studio answered {status}" + (
                "; it limits requests: pull less often or lower studio.requests_in_flight" if rate_limited else ""
            )
            raise _Retryable(
                "rate_limited" if rate_limited else "server_error", Unreachable(what), delay, not_processed=rate_limited
            )
        if status < 400:
            raise InvalidReply(
                f"{where}: Studio redirected (HTTP {status}); the key is not sent elsewhere: put the final address "
                "into studio.url"
            )
        _raise_for_refusal(body, where)
        raise Refused(f"{where}: Studio answered {status}")

    @asynccontextmanager
    async def _given_up(self, slot: Slot) -> AsyncIterator[None]:
        """Ends with a TimeoutError where others need the slot and this takes too long."""
        async with asyncio.timeout(None) as deadline:
            self._budget.may_be_asked_for(slot, lambda: deadline.reschedule(0.0))
            try:
                yield
            finally:
                slot.yield_ = None

    @asynccontextmanager
    async def _observed(self, call: str) -> AsyncIterator[_Observed]:
        observed = _Observed()
        started = time.monotonic()
        try:
            yield observed
        finally:
            self.observer.request(call, observed.code, time.monotonic() - started)


class _Observed:
    code = "error"


def _alone(error: Exception) -> Exception:
    """The error without its traceback and what came before it, whose frames hold copies of a body."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


_reply = msgspec.json.Decoder(Reply)


def _raise_for_refusal(body: bytearray, where: str, *, known_only: bool = False) -> None:
    """Raise what a `success: false` means, whatever HTTP status it came with; `known_only`: only where the text is
    known.
    """
    try:
        reply = decode(_reply, body, Counter())
    except msgspec.MsgspecError:
        return
    if not reply.success:
        error = _refusal(reply.error or "", where)
        if not (known_only and isinstance(error, InvalidReply)):
            raise error


def _refusal(text: str, where: str) -> StudioError:
    lowered = text.lower()
    if "no model testing results" in lowered:
        return NoResults(f"{where}: ", text, "; run model testing in Studio, or wait until training has finished")
    if "cannot find impulse" in lowered or "cannot find project" in lowered:
        return NotFound(f"{where}: ", text)
    return Refused(f"{where}: Studio refused: ", text.strip() or "no reason given")


def _retry_after(value: str | None, at_most: float) -> float | None:
    """Seconds to wait, with up to a second of jitter; None where the server names none that can be meant."""
    seconds = retry_after(value)
    if seconds is None or seconds > LONGEST_MEANT:
        return None
    return min(seconds, at_most) + random.uniform(0, 1)

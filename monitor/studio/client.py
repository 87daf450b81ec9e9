"""`Client`: HTTP to Studio. Requests within a budget, retries with backoff, deadlines; every
failure a `StudioError`.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
import stamina

from monitor import lease
from monitor.errors import InvalidReply, StudioError, Unreachable
from monitor.net.tls import not_trusted
from monitor.studio.body import read_body
from monitor.studio.budget import Budget, Slot
from monitor.studio.caller import Caller
from monitor.studio.decoding import MALFORMED, decode
from monitor.studio.last_readings import LastReadings
from monitor.studio.refusals import (
    BodyTooLarge,
    Retryable,
    raise_for_refusal,
    raise_for_status,
    refusal,
    without_traceback,
)
from monitor.studio.request import Answer, Request, T

ATTEMPTS = 5
READ_BUFFER = 2**18
"""Bytes of a body that may wait to be read, twice as many at most: a page comes without being stopped in between."""
ON_LOOP_LIMIT = 2 * 2**20
"""Bodies beyond this are decoded in a thread: 1 MB takes some 3 ms."""
DECODED_AT_ONCE = 2
"""Such bodies; reading one field by field takes some times its size."""
LONGEST_WAIT = 300.0
"""Seconds a pull waits because Studio said so (Retry-After); beyond it the pull fails at once and later ones until
then.
"""


class Observer(Protocol):
    """Who counts what the client does; `code` is the HTTP status, `timeout` or `error`."""

    def request(self, call: str, code: str, seconds: float) -> None: ...  # noqa: D102
    def retry(self, reason: str) -> None: ...  # noqa: D102
    def received(self, nbytes: int) -> None: ...  # noqa: D102
    def unknown(self, field: str, count: int = 1) -> None: ...  # noqa: D102


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
        self.readings = LastReadings()
        """What the last pulls over this client leave for the next ones."""
        self._proxy = _proxy_of_environment(self.url) if proxy is None else proxy
        # The budget bounds the connections: waiting in the connector's own queue would count against a request's
        # timeout.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=ssl.create_default_context(cafile=ca_file) if ca_file else True
            ),
            timeout=aiohttp.ClientTimeout(total=timeout),
            headers={"Accept": "application/json", "Accept-Encoding": "gzip"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BUFFER,
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
        answer = await self._ask(Request("GET", call, path, caller, query), decoder)
        return _replied(answer), answer.nbytes

    async def get_unless(
        self,
        call: str,
        path: str,
        caller: Caller,
        decoder: msgspec.json.Decoder[T],
        query: Mapping[str, str] | None = None,
        *,
        etag: str | None,
    ) -> Answer[T]:
        """A reply with its version; without the reply where it is still the version `etag` (`If-None-Match`). Only the
        first attempt names it.

        Args:
            call, path, caller, decoder, query: As for `get`.
            etag: As Studio gave it; None to get the reply in any case.

        Raises:
            StudioError: As `get`.
        """
        return await self._ask(Request("GET", call, path, caller, query, etag=etag), decoder)

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
        return _replied(await self._ask(Request("POST", call, path, caller, query, body), decoder))

    async def _ask(self, request: Request, decoder: msgspec.json.Decoder[T]) -> Answer[T]:
        try:
            try:
                reply = await self._in_turn(request, decoder)  # most need no more, and are spared what retrying costs
            except Retryable as failed:
                # what cannot answer about a version may still have the page
                reply = await self._ask_again(replace(request, etag=None), decoder, failed)
        except Retryable as failed:
            await request.caller.resume()
            raise failed.error from failed.__cause__
        except StudioError:
            await request.caller.resume()
            raise
        await request.caller.resume()  # only now: the holder of a request's slot must not wait for another one
        return reply

    async def _ask_again(self, request: Request, decoder: msgspec.json.Decoder[T], first: Retryable) -> Answer[T]:
        """The attempts after the one that failed as `first`.

        Raises:
            Retryable: The last of them failed too, or another one is of no use.
        """
        reasons: list[str] = []

        def on(error: Exception) -> bool | float:
            if not isinstance(error, Retryable) or (request.method == "POST" and not error.not_processed):
                return False
            if error.delay is not None and error.delay > LONGEST_WAIT:
                return False
            reasons.append(error.reason)
            return True if error.delay is None else error.delay

        retries = stamina.retry_context(
            on=on, attempts=ATTEMPTS, timeout=None, wait_initial=self._backoff, wait_max=30.0, wait_jitter=self._backoff
        )
        async for attempt in retries:
            with attempt:
                if attempt.num == 1:
                    raise first
                self.observer.retry(reasons[-1])
                return replace(await self._in_turn(request, decoder), repeated=True)
        raise AssertionError("the last attempt neither answers nor fails")

    async def _in_turn(self, request: Request, decoder: msgspec.json.Decoder[T]) -> Answer[T]:
        """One attempt, when it is the key's turn; while that takes time, and once it has failed, the caller holds
        nothing.
        """
        caller = request.caller
        budget = self._budget
        taken = lease.current.get()
        if taken is not None and taken.closed_for > 0:
            budget.close(caller.key, taken.closed_for)  # as Studio asked, of whoever had the turn before
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
            if taken is not None and not await taken.held():
                raise Unreachable(f"{request.call}: another process has taken over the turn of this project")
            began = time.monotonic()
            try:
                reply = await self._attempt(request, decoder, slot)
            except (Retryable, BodyTooLarge):
                budget.attempted(caller.key, worked=False)
                caller.pause()
                raise
            except StudioError:  # an answer, though a refusal: it delays no other request
                budget.attempted(caller.key, worked=True, seconds=time.monotonic() - began)
                raise
            budget.attempted(caller.key, worked=True, seconds=time.monotonic() - began)
        return reply

    async def _attempt(self, request: Request, decoder: msgspec.json.Decoder[T], slot: Slot) -> Answer[T]:
        where = request.where
        headers = {"x-api-key": request.caller.key}
        if request.etag is not None:
            headers["If-None-Match"] = request.etag
        async with self._observed(request.call) as observed:
            try:
                async with (
                    self._given_up(slot),
                    self._session.request(
                        request.method,
                        self.url + request.path,
                        params=request.query,
                        json=request.body,
                        headers=headers,
                        proxy=self._proxy,
                        allow_redirects=False,
                    ) as response,
                ):
                    observed.code = str(response.status)
                    body = await read_body(response, where)
            except TimeoutError as error:
                observed.code = "timeout"
                what = f"{where}: no complete reply within {time.monotonic() - slot.since:.0f} s"
                raise Retryable("timeout", Unreachable(what)) from error
            except aiohttp.ClientPayloadError as error:
                raise Retryable("truncated", Unreachable(f"{where}: the reply broke off")) from error
            except aiohttp.ClientConnectorCertificateError as error:
                observed.code = "error"
                what, reason, advice = not_trusted(self.url, error, "studio.ca_file")
                failed = Unreachable(f"{request.call}: {what}", reason, advice)
                raise Retryable("connection", failed, not_processed=True) from error
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
                raise Retryable("connection", failed, not_processed=unsent) from error
        self.observer.received(len(body))
        etag = response.headers.get("ETag")
        if response.status == 304 and request.etag is not None:
            return Answer(None, 0, etag or request.etag)
        try:
            return Answer(await self._reply(response, body, request, decoder), len(body), etag)
        except BaseException:
            with suppress(BufferError):
                body.clear()  # the error's traceback holds it for as long as the error is held
            raise

    async def _reply(
        self, response: aiohttp.ClientResponse, body: bytearray, request: Request, decoder: msgspec.json.Decoder[T]
    ) -> T:
        """What a body says, if it is a good reply."""
        where = request.where
        try:
            raise_for_status(response.status, response.headers, body, where, request.caller.closed_at_most)
        except Retryable as error:
            if error.delay is not None:
                self._budget.close(request.caller.key, error.delay)
                if (taken := lease.current.get()) is not None:
                    taken.close(error.delay)
            raise
        try:
            reply = await self._decode(decoder, body)
        except msgspec.ValidationError as error:
            raise_for_refusal(body, where)
            raise Retryable(
                "not_documented", InvalidReply(f"{where}: the reply is not of the documented shape: ", error)
            ) from without_traceback(error)
        except msgspec.DecodeError as error:
            if "truncated" in str(error):
                raise Retryable("truncated", Unreachable(f"{where}: the reply broke off")) from without_traceback(error)
            failed = InvalidReply(
                f"{where}: the reply is not JSON (", response.content_type, "); is studio.url the address of the API?"
            )
            raise Retryable("not_json", failed) from without_traceback(error)
        if not reply.success:
            raise refusal(reply.error or "", where)
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


def _replied(answer: Answer[T]) -> T:
    assert answer.reply is not None  # no version was named
    return answer.reply


class _Observed:
    code = "error"


def _proxy_of_environment(url: str) -> str | None:
    """What HTTPS_PROXY and NO_PROXY say for this address; looked up once, since aiohttp would do it for each request,
    in a thread.
    """
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)

"""One request to a receiver: what it answered, or `Retry`, or `Rejected`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from monitor import __version__
from monitor.net.retry_after import retry_after
from monitor.net.tls import not_trusted
from monitor.notify.errors import Rejected, Retry
from monitor.notify.receivers import Receiver, address, read

TIMEOUT = 10.0
"""Seconds for one request."""

_MAY_PASS = frozenset({408, 425, 429})


def new_session(timeout: float = TIMEOUT) -> aiohttp.ClientSession:
    """Connections for all receivers; HTTPS_PROXY and NO_PROXY are honoured."""
    return aiohttp.ClientSession(
        # Messages are rare: a connection kept open is one that the other side has closed by the time it is needed.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=timeout),
        trust_env=True,
        headers={"User-Agent": f"impulse-monitor/{__version__}", "Content-Type": "application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def post(
    session: aiohttp.ClientSession, receiver: Receiver, url: str, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Send; any 2xx is success.

    Args:
        session: From `new_session`.
        receiver: To whom: its bearer token is sent, and its certificates are trusted.
        url: Where to. Redirects are not followed.
        body: JSON.
        headers: Beside the session's.

    Raises:
        Retry: No connection, no reply in time, 408, 425, 429, 5xx, a redirect, or a file of the receiver that cannot be
            read.
        Rejected: Any other status.
    """
    status, wait = await request(session, receiver, "POST", url, body, headers)
    shown = address(url)
    if 200 <= status < 300:
        return
    if status in _MAY_PASS or status >= 500:
        raise Retry(f"{shown} answered {status}", wait)
    if status < 400:
        raise Retry(f"{shown} redirected (HTTP {status}), which is not followed: put the final address into notify")
    raise Rejected(f"{shown} refused it with {status}{_advice(status, receiver)}", status)


async def request(
    session: aiohttp.ClientSession,
    receiver: Receiver,
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, float | None]:
    """The status that a receiver answers with, and for how many seconds it wants to be left alone, if it says so.

    Raises:
        Retry: There is no answer.
    """
    shown = address(url)
    headers = {**(headers or {}), **await _authorization(receiver, url)}
    trusted = await _trusted(receiver)
    try:
        async with session.request(
            method, url, data=body, headers=headers, ssl=trusted, allow_redirects=False
        ) as response:
            return response.status, retry_after(response.headers.get("Retry-After"))
    except TimeoutError:
        raise Retry(f"{shown} gave no reply within {session.timeout.total:g} s") from None
    except aiohttp.ClientConnectorCertificateError as error:
        raise Retry(not_trusted(shown, error, f"ca_file of the receiver {receiver.name}")) from None
    except (aiohttp.ClientError, OSError) as error:  # whose texts may hold the whole URL
        raise Retry(
            f"no connection to {shown} ({_reason(error)}); check that it runs, and its address in notify"
        ) from None


async def _authorization(receiver: Receiver, url: str) -> dict[str, str]:
    if receiver.bearer_token is None:
        return {}
    token = await read(receiver.bearer_token, f"bearer token of {receiver.name}")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise Retry(
            f"bearer token of {receiver.name}: its file holds characters that no token has; put the token alone into it"
        )
    if "@" in urlsplit(url).netloc:
        raise Retry(f"{receiver.name} has a bearer token, and a user in its URL; remove one of them")
    return {"Authorization": f"Bearer {token}"}


async def _trusted(receiver: Receiver) -> ssl.SSLContext | bool:
    """What the receiver's certificate is checked against; the file is read anew, so that it can be replaced."""
    if receiver.ca_file is None:
        return True
    try:
        return await asyncio.to_thread(ssl.create_default_context, cafile=receiver.ca_file)
    except OSError as error:  # ssl.SSLError, for a file without a certificate, is one
        why = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise Retry(
            f"ca_file of {receiver.name}: the file {receiver.ca_file} cannot be used ({why}); messages wait until it "
            "can"
        ) from None


def _advice(status: int, receiver: Receiver) -> str:
    if status in (401, 403):
        return "; check its bearer_token_file" + (
            ", or the user and password in its URL" if receiver.bearer_token is None else ""
        )
    return "; check its URL" if status in (404, 405, 410) else ""


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or error
    told = getattr(cause, "strerror", None)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__

"""One POST: sent, or `Retry`, or `Rejected`."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from monitor import __version__
from monitor.alerts.notify.errors import Rejected, Retry
from monitor.alerts.notify.receivers import address
from monitor.retry_after import retry_after

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


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Send; any 2xx is success.

    Args:
        session: From `new_session`.
        url: Where to. Redirects are not followed.
        body: JSON.
        headers: Beside the session's.

    Raises:
        Retry: No connection, no reply in time, 408, 425, 429, 5xx, or a redirect.
        Rejected: Any other status.
    """
    shown = address(url)
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            status, wait = response.status, retry_after(response.headers.get("Retry-After"))
    except TimeoutError:
        raise Retry(f"{shown} gave no reply within {session.timeout.total:g} s") from None
    except (aiohttp.ClientError, OSError) as error:  # whose texts may hold the whole URL
        raise Retry(f"no connection to {shown} ({_reason(error)}); check that it runs, and its address in notify") from None
    if 200 <= status < 300:
        return
    if status in _MAY_PASS or status >= 500:
        raise Retry(f"{shown} answered {status}", wait)
    if status < 400:
        raise Retry(f"{shown} redirected (HTTP {status}), which is not followed: put the final address into notify")
    raise Rejected(f"{shown} refused it with {status}", status)


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    told = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__

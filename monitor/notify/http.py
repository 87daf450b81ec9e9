"""HTTP requests to a receiver: what it answered, or `Retry`, or `Rejected`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from monitor import __version__
from monitor.config.receivers import HttpReceiverConfig
from monitor.net.address import address
from monitor.net.retry_after import retry_after
from monitor.net.tls import not_trusted
from monitor.notify.addresses import read
from monitor.notify.errors import Rejected, Retry

TIMEOUT = 10.0
"""Seconds for one request."""

_TRANSIENT = frozenset({408, 425, 429})


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


class Endpoint:
    """A receiver of HTTP requests, which are sent with its token and trust its authorities.

    Args:
        name: The receiver's.
        config: Its URL, token and authorities; files are read at each use.
        session: From `new_session`.
    """

    def __init__(self, name: str, config: HttpReceiverConfig, session: aiohttp.ClientSession) -> None:
        self._name = name
        self._config = config
        self._session = session

    async def url(self) -> str:
        """The receiver's URL as it is now.

        Raises:
            Retry: Its file cannot be read.
        """
        return await read(self._config.address, f"URL of {self._name}")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send; any 2xx is success.

        Args:
            url: Where to. Redirects are not followed.
            body: JSON.
            headers: Beside the session's.

        Raises:
            Retry: No connection, no reply in time, 408, 425, 429, 5xx, a redirect, or a file of the receiver that
                cannot be read.
            Rejected: Any other status.
        """
        status, wait = await self.request("POST", url, body, headers)
        shown = address(url)
        if 200 <= status < 300:
            return
        if status in _TRANSIENT or status >= 500:
            raise Retry(f"{shown} answered {status}", delay=wait)
        if status < 400:
            raise Retry(
                f"{shown} redirected (HTTP {status})",
                advice=", which is not followed: put the final address into notify",
            )
        raise Rejected(f"{shown} refused it with {status}", advice=self._advice(status), status=status)

    async def request(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, float | None]:
        """The status that the receiver answers with, and for how many seconds it wants to be left alone, if it says so.

        Raises:
            Retry: There is no answer.
        """
        shown = address(url)
        headers = {**(headers or {}), **await self._authorization(url)}
        trusted = await self._trusted()
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, ssl=trusted, allow_redirects=False
            ) as response:
                return response.status, retry_after(response.headers.get("Retry-After"))
        except TimeoutError:
            raise Retry(f"{shown} gave no reply within {self._session.timeout.total:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise Retry(*not_trusted(shown, error, f"ca_file of the receiver {self._name}")) from None
        except (aiohttp.ClientError, OSError) as error:  # whose texts may hold the whole URL
            raise Retry(
                f"no connection to {shown} (", _reason(error), "); check that it runs, and its address in notify"
            ) from None

    async def _authorization(self, url: str) -> dict[str, str]:
        if self._config.bearer_token_file is None:
            return {}
        token = await read(self._config.bearer_token_file, f"bearer token of {self._name}")
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise Retry(
                f"bearer token of {self._name}",
                advice=": its file holds characters that no token has; put the token alone into it",
            )
        if "@" in urlsplit(url).netloc:
            raise Retry("has a bearer token, and a user in its URL", advice="; remove one of them")
        return {"Authorization": f"Bearer {token}"}

    async def _trusted(self) -> ssl.SSLContext | bool:
        """What the receiver's certificate is checked against; the file is read again, so that it can be replaced."""
        file = self._config.ca_file
        if file is None:
            return True
        try:
            return await asyncio.to_thread(ssl.create_default_context, cafile=file)
        except OSError as error:  # ssl.SSLError, for a file without a certificate, is one
            why = "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
            raise Retry(
                f"ca_file of {self._name}: the file ", file, f" cannot be used ({why}); messages wait until it can"
            ) from None

    def _advice(self, status: int) -> str:
        if status in (404, 405, 410):
            return "; check its URL"
        if status not in (401, 403):
            return ""
        if self._config.bearer_token_file is not None:
            return "; check its bearer_token_file"
        return "; check its bearer_token_file, or the user and password in its URL"


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or error
    message = getattr(cause, "strerror", None)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__

"""Addresses and secrets of receivers: reading them at each use, and what of them may be shown."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from monitor.logs import secrets
from monitor.notify.errors import Retry

_PORTS = {"http": 80, "https": 443}


def address(url: str) -> str:
    """What may be shown of an HTTP URL: `scheme://host:port`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        host = None
    if not host:
        return "(not a URL of http or https)"
    return f"{parts.scheme}://[{host}]:{port}" if ":" in host else f"{parts.scheme}://{host}:{port}"


async def read(value: SecretStr | Path, meaning: str) -> str:
    """A value that must not be shown, as it is now: a file is read at each use, so that it can be replaced.

    Raises:
        Retry: Its file cannot be read or is empty; the message waits until that is cured.
    """
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
    else:
        try:
            text = (await asyncio.to_thread(value.read_text, encoding="utf-8")).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Retry(
                f"{meaning}: the file ", value, f" cannot be read ({why}); messages wait until it can"
            ) from None
        if not text:
            raise Retry(f"{meaning}: the file ", value, " is empty; messages wait until it holds the value")
    if text.rstrip("/") != address(text):
        secrets.add(text)
    return text

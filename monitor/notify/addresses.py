"""Addresses and secrets of receivers: reading them at each use."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pydantic import SecretStr

from monitor.logs import secrets
from monitor.net.address import address
from monitor.notify.errors import Retry


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

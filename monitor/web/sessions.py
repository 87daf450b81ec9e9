"""`Signer`: sessions, tokens of forms, and messages to the next page, all without state on the server.

What is signed is keyed from the admin token: any replica that has the token takes it, and another token ends all.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass

from pydantic import SecretStr

COOKIE = "impulse-monitor-session"
"""Name of the session's cookie."""
FORM_COOKIE = "impulse-monitor-form"
"""Name of the cookie that a login form's token belongs to."""
LASTS = 12 * 3600
"""Seconds that a session lasts."""
FORM_LASTS = 3600
"""Seconds that a login form can be sent for."""
MESSAGE_LASTS = 60
"""Seconds for which a message to the next page is shown."""
_SKEW = 60
"""Seconds that the clocks of two replicas may differ."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login that holds.

    Attributes:
        value: Of its cookie.
        until: Unix seconds when it ends.
    """

    value: str
    until: float


class Signer:
    """Signs, and reads what it or a replica has signed.

    Args:
        token: The admin token.
    """

    def __init__(self, token: SecretStr) -> None:
        self._token = token.get_secret_value().encode()
        self._key = hmac.digest(self._token, b"impulse-monitor: key of sessions", "sha256")

    def is_token(self, given: str) -> bool:
        """Whether this is the admin token."""
        return hmac.compare_digest(_bytes(given.strip()), self._token)

    def new_session(self, now: float) -> Session:
        """A session that begins at `now` (Unix seconds)."""
        return Session(self._sealed("session", f"{int(now)} {secrets.token_urlsafe(16)}"), now + LASTS)

    def session(self, value: str, now: float) -> Session | None:
        """The session of a cookie; None where it has ended, or is none of this token."""
        began = self._began("session", value, now, LASTS)
        return None if began is None else Session(value, began + LASTS)

    def form_token(self, cookie: str) -> str:
        """The token that forms must have whose cookie this is."""
        return self._mac("form", cookie)

    def is_form_token(self, given: str, cookie: str) -> bool:
        """Whether a form's token is the one of the cookie."""
        return hmac.compare_digest(_bytes(given), self.form_token(cookie).encode())

    def new_message(self, text: str, now: float) -> str:
        """A text that the next page shows, as it can stand in an address."""
        return self._sealed("message", f"{int(now)} {text}")

    def message(self, value: str, now: float) -> str:
        """The text of a message that is not older than `MESSAGE_LASTS`; empty where it is, or is none."""
        if self._began("message", value, now, MESSAGE_LASTS) is None:
            return ""
        return (self._opened("message", value) or "").partition(" ")[2]

    def _began(self, purpose: str, value: str, now: float, lasts: float) -> int | None:
        text = self._opened(purpose, value)
        if text is None:
            return None
        began = int(text.partition(" ")[0])
        return began if -_SKEW <= now - began < lasts else None

    def _sealed(self, purpose: str, text: str) -> str:
        payload = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode().rstrip("=")
        return f"{payload}.{self._mac(purpose, payload)}"

    def _opened(self, purpose: str, value: str) -> str | None:
        payload, _, mac = value.partition(".")
        if not hmac.compare_digest(_bytes(mac), self._mac(purpose, payload).encode()):
            return None
        try:
            return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
        except (binascii.Error, ValueError):  # signed, but by a version with another form
            return None

    def _mac(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self._key, purpose.encode() + b"\0" + _bytes(text), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    # aiohttp keeps bytes that are no UTF-8 as surrogates: encoded strictly they would be an error of ours
    return text.encode("utf-8", "surrogateescape")

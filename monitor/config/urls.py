"""URLs and addresses that an operator writes."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator, SecretStr, ValidationInfo, WithJsonSchema
from yarl import URL

from monitor.config.paths import resolve, secret_text
from monitor.logs import secrets
from monitor.net.address import address


def _split(url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and (parts.port is None or parts.port > 0)
    except ValueError:  # its message repeats the text
        valid = False
    if not valid or any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"is not a URL that can be used here; write for example {example}")
    if parts.netloc.count("@") > 1:  # whose rest would be taken for the host, and shown
        raise ValueError("holds an @ in its user or password; write %40 in place of it")
    if parts.password:
        secrets.add(parts.password)
        secrets.add(unquote(parts.password))
    return parts


def _http_url(url: str) -> str:
    example = "https://studio.example.com/v1"
    parts = _split(url, ("http", "https"), example)
    if not parts.hostname:
        raise ValueError(f"names no host; write for example {example}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"must not hold a user, a query or a fragment; write for example {example}")
    return str(URL(url)).rstrip("/")  # as it may stand in a link: escaped, and the host in ASCII


def _shown_store(url: SecretStr) -> str:
    from monitor.store.engine import describe, parse  # takes a moment, which most commands need not spend

    text = url.get_secret_value()
    return text if text.startswith("sqlite:") else describe(parse(text))


SHOWN_ADDRESS = PlainSerializer(lambda url: address(url.get_secret_value()), return_type=str, when_used="json")
"""How a URL is shown that may hold secrets: scheme, host and port."""


def _studio_url(url: str) -> str:
    parts = urlsplit(url)
    if not parts.path or (parts.hostname == "studio.edgeimpulse.com" and parts.path != "/v1"):
        raise ValueError(f"is not the address of Studio's API; write {parts.scheme}://{parts.netloc}/v1")
    return url


def _proxy_url(url: SecretStr) -> SecretStr:
    example = "http://proxy.example.com:3128"
    if not _split(url.get_secret_value(), ("http", "https"), example).hostname:
        raise ValueError(f"names no host; write for example {example}")
    return url


def receiver_url(url: SecretStr) -> SecretStr:
    """The URL of an Alertmanager or a webhook; its path, query and user may be secret.

    Raises:
        ValueError: It is not one of http or https; the message repeats nothing of it.
    """
    example = "https://hooks.example.com/alerts"
    parts = _split(url.get_secret_value(), ("http", "https"), example)
    if not parts.hostname:
        raise ValueError(f"names no host; write for example {example}")
    if parts.fragment:
        raise ValueError(f"must not hold a fragment (#...); write for example {example}")
    return url


def apprise_url(url: SecretStr) -> SecretStr:
    """An Apprise URL, of which all may be secret; whether there is such a service is found out when it is used.

    Raises:
        ValueError: It is no URL at all; the message repeats nothing of it.
    """
    url = secret_text(url)
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url.get_secret_value()):
        raise ValueError("is not an Apprise URL; write for example mailto://user:password@example.com")
    return url


def _store_url(url: SecretStr, info: ValidationInfo) -> SecretStr:
    text = url.get_secret_value()
    usage = "write sqlite:///file.db (relative to this file), sqlite:////absolute/file.db or postgresql://user@host/database"
    if text.startswith("sqlite:///"):
        file = text.removeprefix("sqlite:///")
        if not file.strip("/") or file == ":memory:" or "?" in file or "\0" in file:
            raise ValueError(f"must name a file, without options; {usage}")
        path = resolve(Path(file), info)
        if info.context and path.is_dir():
            raise ValueError(f"is a folder; {usage}")
        if info.context and not path.parent.is_dir():
            raise ValueError("is in a folder that does not exist; create the folder or write another path")
        return SecretStr(f"sqlite:///{path}")
    if text.startswith("postgresql:"):
        if not _split(text, ("postgresql",), "postgresql://user@host/database").path.strip("/"):
            raise ValueError(f"names no database; {usage}")
        _check_postgresql(text)
        return url
    raise ValueError(f"is not a store that exists; {usage}")


def _check_postgresql(url: str) -> None:
    from monitor.store import StoreError  # takes a moment, which most configurations need not spend
    from monitor.store.engine import parse

    try:
        parse(url)
    except StoreError as error:
        raise ValueError(str(error).removeprefix("the store's URL ")) from None


HttpUrl = Annotated[str, AfterValidator(_http_url), WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"})]
StudioUrl = Annotated[HttpUrl, AfterValidator(_studio_url)]
"""An address whose path leads to an API: Studio's is below `/v1`."""
ProxyUrl = Annotated[
    SecretStr, AfterValidator(_proxy_url), SHOWN_ADDRESS, WithJsonSchema({"type": "string", "pattern": "^https?://.+$"})
]
StoreUrl = Annotated[
    SecretStr,
    AfterValidator(_store_url),
    PlainSerializer(_shown_store, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^(sqlite:///|postgresql://).+$"}),
]
"""Secret, because a PostgreSQL URL may hold a password."""


class Address(NamedTuple):
    """Where to listen. An empty host is every interface; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> Address:
    """Where to listen, as it is written.

    Raises:
        ValueError: It is no address; the message says what to write.
    """
    if isinstance(value, Address):
        return value
    match = (
        re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})", value)
        if isinstance(value, str)
        else None
    )
    if match is None or int(match[3]) > 65535 or not _is_ipv6(match[1]):
        raise ValueError("write HOST:PORT, such as 127.0.0.1:9890, [::1]:9890 or :9890 for every interface")
    return Address(match[1] or match[2], int(match[3]))


def _is_ipv6(host: str | None) -> bool:
    try:
        return host is None or bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False


_listen_text = {"type": "string", "pattern": r"^(\[.+\]|[^:\[\]]*):[0-9]{1,5}$"}
Listen = Annotated[
    Address,
    PlainValidator(parse_address),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(_listen_text),
]

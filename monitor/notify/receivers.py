"""`Receiver`: who is to be told, and what of it may be shown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from monitor.engine.sharding import Shard
from monitor.logs import secrets
from monitor.notify.errors import Retry

if TYPE_CHECKING:
    from monitor.config import Config

Kind = Literal["alertmanager", "webhook", "apprise"]
Secret = SecretStr | Path
"""A value that must not be shown, or the file that holds it: files are read at each use, so that what they hold can be
changed.
"""

_OF_SHARD = "@"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Receiver:
    """Someone to be told. Two that are equal are the same: a reload leaves such a one alone.

    Attributes:
        name: Unique among all receivers; it names the queue in the store, and is a label of metrics.
        kind: Which notifier sends to it.
        url: Of the Alertmanager (its base URL), of the webhook, or for Apprise. Any part but scheme, host and port may
            be secret; for Apprise all of it is.
        secret: Key of the webhook's signature; None sends unsigned.
        bearer_token: Sent as `Authorization: Bearer`; None sends none. Not for Apprise.
        ca_file: Certificates to trust instead of the system's, in PEM form; read at each use. Not for Apprise.
    """

    name: str
    kind: Kind
    url: Secret = field(repr=False)
    secret: Secret | None = field(default=None, repr=False)
    bearer_token: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None


def receivers_of(config: Config) -> tuple[Receiver, ...]:
    """The receivers that a configuration names."""
    return tuple(
        Receiver(
            entry.called,
            entry.kind,
            entry.to.address,
            secret=getattr(entry.to, "secret_file", None),
            bearer_token=getattr(entry.to, "bearer_token_file", None),
            ca_file=getattr(entry.to, "ca_file", None),
        )
        for entry in config.notify
    )


def queue_of(receiver: str, shard: Shard) -> str:
    """The receiver's queue in the store: one for each shard, since several may share a database; the first one's is
    named like it, unless that name looks like another one's queue."""
    return receiver if shard.index == 0 and _OF_SHARD not in receiver else f"{receiver}{_OF_SHARD}{shard.index}"


def owner_of(queue: str) -> tuple[str, int]:
    """The receiver that a queue is for, and the index of the shard that fills and empties it."""
    receiver, _, index = queue.rpartition(_OF_SHARD)
    return (receiver, int(index)) if receiver and index.isdecimal() else (queue, 0)


def address(url: str) -> str:
    """What may be shown of an HTTP URL: `scheme://host:port`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        host = None
    if not host:
        return "(not a URL of http or https)"
    return f"{parts.scheme}://[{host}]:{port}" if ":" in host else f"{parts.scheme}://{host}:{port}"


async def read(value: Secret, meaning: str) -> str:
    """The value as it is right now.

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
            raise Retry(f"{meaning}: the file {value} cannot be read ({why}); messages wait until it can") from None
        if not text:
            raise Retry(f"{meaning}: the file {value} is empty; messages wait until it holds the value")
    if text.rstrip("/") != address(text):
        secrets.add(text)
    return text

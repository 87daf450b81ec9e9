"""The envelope of stored documents: which format, in which version, and the content.

A document written before there were envelopes has none, and is read as version 0 of the format that was expected.
Fields that a reader does not know are ignored: the version is raised only where an older reader would misread what is
written.

Documents that are stored as bytes also carry a CRC-32 of their content, so that a flipped bit is noticed. Those of the
first release have the number 1 in the place of their format.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.store.errors import StoreTooNew

_FIRST = 1
"""The `format` of bytes that the first release wrote."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How documents become bytes.

    Attributes:
        encode, decode: Of any value.
        parts: The values of an object, still encoded.
        wrap: The encoded content as a value of its envelope.
        unwrap: The encoded content from such a value, as `parts` gives it.
    """

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes | msgspec.Raw], Any]
    parts: Callable[[bytes], dict[str, msgspec.Raw]]
    wrap: Callable[[bytes], Any]
    unwrap: Callable[[msgspec.Raw], bytes]


JSON = Codec(
    msgspec.json.encode, msgspec.json.decode, msgspec.json.Decoder(dict[str, msgspec.Raw]).decode, msgspec.Raw, bytes
)
"""The content is JSON in JSON."""

MESSAGE_PACK = Codec(
    msgspec.msgpack.encode,
    msgspec.msgpack.decode,
    msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode,
    bytes,
    msgspec.msgpack.Decoder(bytes).decode,
)
"""The content is MessagePack in a binary value of MessagePack."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One format of documents.

    Attributes:
        format: Its name, also for people: `impulse-monitor evaluation`.
        version: The one that is written, and the newest that is read.
    """

    format: str
    version: int

    def seal(self, content: Any, **beside: Any) -> dict[str, Any]:
        """A document with this content; `beside` is written next to it, for those who need not read the content."""
        return {"format": self.format, "version": self.version, **beside, "content": content}

    def open(self, document: Any) -> Any:
        """The content of a document; the document itself where it has no envelope.

        Raises:
            StoreTooNew: A newer version wrote it.
            ValueError: It is a document of another format, or none at all.
        """
        if not isinstance(document, dict):
            raise ValueError(f"no {self.format}, but {type(document).__name__}")
        if "format" not in document:
            return document
        if document["format"] != self.format:
            raise ValueError(f"no {self.format}, but {document['format']!r}")
        version = document.get("version")
        if not isinstance(version, int) or version < 1 or "content" not in document:
            raise ValueError(f"a broken envelope of {self.format}")
        if version > self.version:
            raise StoreTooNew(
                f"a stored document ({self.format}) has version {version}, this version of Impulse Monitor reads up "
                f"to {self.version}; "
                "run the version that wrote it, or a newer one"
            )
        return document["content"]

    def seal_bytes(self, content: bytes, codec: Codec) -> bytes:
        """A document with this content, encoded by the same codec, and with its checksum."""
        return codec.encode(self.seal(codec.wrap(content), crc32=zlib.crc32(content)))

    def open_bytes(self, data: bytes, codec: Codec, first: str) -> bytes:
        """The content that `seal_bytes` made a document of.

        Args:
            data: The document.
            codec: Of the document and its content.
            first: The name of the content in documents of the first release.

        Raises:
            StoreTooNew: A newer version wrote it.
            ValueError: It is damaged, of another format, or no document at all.
        """
        parts = codec.parts(data)
        header = {name: codec.decode(parts[name]) for name in ("format", "version", "crc32") if name in parts}
        if "format" not in header:
            raise ValueError(f"no {self.format}, but an object without a format")
        if header["format"] == _FIRST and first in parts:
            wrapped = parts[first]
        else:
            wrapped = self.open(header | {name: parts[name] for name in ("content",) if name in parts})
        content = codec.unwrap(wrapped)
        if zlib.crc32(content) != header.get("crc32"):
            raise ValueError("its checksum does not fit")
        return content

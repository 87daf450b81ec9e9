"""The envelope of stored documents: which format, in which version, and the content.

A document written before there were envelopes has none, and is read as version 0 of the format that was expected.
Fields that a reader does not know are ignored: the version is raised only where an older reader would misread what is
written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monitor.store.errors import StoreTooNew


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
        if not isinstance(version, int) or "content" not in document:
            raise ValueError(f"a broken envelope of {self.format}")
        if version > self.version:
            raise StoreTooNew(
                f"a stored document ({self.format}) has version {version}, this version of Impulse Monitor reads up "
                f"to {self.version}; "
                "run the version that wrote it, or a newer one"
            )
        return document["content"]

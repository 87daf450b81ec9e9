"""Names that others chose, cut to a length that series, pages and sentences can bear."""

from __future__ import annotations

import hashlib

LONGEST_NAME = 256
"""Characters."""
_DIGEST = 8


def shown(name: str) -> str:
    """The name, if it is not longer than `LONGEST_NAME`; else its beginning, an ellipsis and a digest, so that no two
    names become one.

    What was cut stays as it is when it is cut again.
    """
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[: LONGEST_NAME - _DIGEST - 1]}…{digest}"


def brief(text: str, at_most: int = LONGEST_NAME) -> str:
    """A text in a sentence, cut to `at_most` characters, the last of which then is `…`."""
    return text if len(text) <= at_most else text[: at_most - 1] + "…"

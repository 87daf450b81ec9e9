"""`brief`: names that others chose, no longer than labels of series and sentences can bear."""

from __future__ import annotations

LONGEST_NAME = 200
"""Characters of a name of a project, an impulse or a block, which every series of a target repeats; Studio's own fields hold fewer."""


def brief(text: str, at_most: int = LONGEST_NAME) -> str:
    """`text`, cut to `at_most` characters, the last of which then is `…`."""
    return text if len(text) <= at_most else text[: at_most - 1] + "…"

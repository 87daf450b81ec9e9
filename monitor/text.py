"""Names that others chose, as series, pages, sentences, terminals and spreadsheets can bear them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_NAME = 256
"""Characters."""
_DIGEST = 8
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTIONS = {*"\u061c\u200e\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
_FORMULA = set("=+-@\uff1d\uff0b\uff0d\uff20")
_SKIPPED = {"Cc", "Cf", "Zs", "Zl", "Zp"}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


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


def printable(text: str) -> str:
    """A text for eyes: what would move a cursor, end a line or turn the direction of writing is `\\ufffd`."""
    return "".join("\ufffd" if _is_command(each) else each for each in text)


def _is_command(character: str) -> bool:
    return character in _DIRECTIONS or unicodedata.category(character) in _UNPRINTABLE


def spreadsheet(text: str) -> str:
    """A text as a field of CSV: with an apostrophe before what a spreadsheet might take for a formula.

    That begins with `=`, `+`, `-`, `@` or their full-width forms, and is no number. Programs pass over what cannot be
    seen before it, or take it away; a control character at the beginning is marked by itself.
    """
    first = next((each for each in text if unicodedata.category(each) not in _SKIPPED), "")
    risky = first in _FORMULA or unicodedata.category(text[:1] or " ") == "Cc"
    return f"'{text}" if risky and not _NUMBER.fullmatch(text) else text


def csv_field(value: object) -> object:
    """A value as a field of CSV: empty where it is not known, and no text a formula."""
    if value is None:
        return ""
    return spreadsheet(value) if isinstance(value, str) else value


def storable(text: str) -> str:
    """A text without what no database's text can hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Search:
    """What a `searchable` text must have.

    Attributes:
        words: Each of these, anywhere, as `searchable_word` gives them.
        lines: One of each group, as `searchable_line` gives them.
    """

    words: tuple[str, ...] = ()
    lines: tuple[tuple[str, ...], ...] = ()

    def matches(self, text: str) -> bool:
        """Whether a text from `searchable` has it."""
        return all(word in text for word in self.words) and all(
            any(f"\n{line}\n" in text for line in lines) for lines in self.lines
        )


def searchable(names: Iterable[tuple[str, str]]) -> str:
    """Names by what they are names of, as a text that a `Search` looks into: a line each, regardless of case."""
    return "\n".join(["", *(searchable_line(key, name) for key, name in names), ""])


def searchable_line(key: str, name: str) -> str:
    """A name as a line of such a text, such as `project:vibration`."""
    return searchable_word(f"{key}:{shown(name)}")


def searchable_word(text: str) -> str:
    """A text as it stands within a line of such a text."""
    return " ".join(storable(text).casefold().split())

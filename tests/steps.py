"""Pages of numbered steps with commands, for tests that walk them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


@dataclass(frozen=True)
class Step:
    """One step: its title, its commands, and what it says to write into the configuration."""

    title: str
    commands: tuple[str, ...]
    configuration: str


def steps(page: str, section: str = "", replaced: Mapping[str, str] | None = None) -> list[Step]:
    """The steps of a page of `docs/`, or of one of its sections.

    Args:
        page: Its file name.
        section: The heading; empty for a page whose steps come before any.
        replaced: What the page's examples stand for, in commands and configuration.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    if section:
        text = text.split(f"\n## {section}\n")[1]
    for example, meant in (replaced or {}).items():
        text = text.replace(example, meant)
    parts = re.split(r"^\d+\. \*\*(.*?)\*\*", text.split("\n## ")[0], flags=re.MULTILINE)[1:]
    return [
        Step(title, tuple("".join(_blocks(body, "sh")).splitlines()), "".join(_blocks(body, "yaml")))
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def _blocks(body: str, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", body, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]

"""The threat model names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_claim_has_its_test() -> None:
    """Each row of the threat model in docs/security.md names a test, and each of these exists."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").split("## Threat model")[1]
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    named = [re.findall(r"`(tests/[^`:]+)::(test_\w+)`", row) for row in rows]

    assert len(rows) > 10
    for row, tests in zip(rows, named, strict=True):
        assert tests, row
        for path, name in tests:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), (
                f"{path}::{name}"
            )

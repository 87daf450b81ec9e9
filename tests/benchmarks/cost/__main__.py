"""`python -m tests.benchmarks cost [SECTION …] [--quick] [--write]`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import cost
from tests.benchmarks._rows import Row, head, markdown, show
from tests.benchmarks.cost.section import Section

PAGE = Path(__file__).parents[3] / "docs" / "benchmarks.md"
ORDER = ("pull", "unchanged", "evaluation", "scrape", "store", "process", "fleet", "start")
PEERS = ("aiohttp", "msgspec", "numpy", "prometheus-client", "edgeimpulse-api", "requests", "scikit-learn")


def machine() -> str:
    """One line: when, on what, with which versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    today = datetime.now(UTC).date()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Measured {today} on {os.cpu_count()} cores ({platform.machine()}), {python}, {versions}."


def write(name: str, section: Section, rows: list[Row]) -> None:
    """Replace the section's table in the docs.

    Raises:
        LookupError: The page has no place for it.
    """
    text = PAGE.read_text(encoding="utf-8")
    begins, ends = f"<!-- cost {name} -->", "<!-- end -->"
    table = f"{begins}\n{section.title}\n\n{machine()}\n\n{markdown(section.columns, rows)}\n{ends}"
    text, count = re.subn(f"{re.escape(begins)}.*?{ends}", lambda _: table, text, count=1, flags=re.DOTALL)
    if not count:
        raise LookupError(f'{PAGE.name} has no place for this table: add "{begins}" and "{ends}", each on its own line')
    PAGE.write_text(text, encoding="utf-8")


def main() -> int:
    """Measure the sections that are named, or all of them."""
    there = {path.stem for path in Path(cost.__file__).parent.glob("*.py")}
    names = [name for name in ORDER if name in there]
    parser = argparse.ArgumentParser(prog="tests.benchmarks cost", description=cost.__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"one of {', '.join(names)}; all without any")
    parser.add_argument("--quick", action="store_true", help="less of each, done within minutes")
    parser.add_argument("--write", action="store_true", help="state the tables in docs/benchmarks.md")
    options = parser.parse_args()
    unknown = set(options.sections) - set(names)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(names)}")
    print(machine())
    for name in options.sections or names:
        section: Section = importlib.import_module(f"tests.benchmarks.cost.{name}").SECTION
        head(f"{name}: {section.title}", *section.columns)
        rows = []
        for row in section.rows(options.quick):
            show(row)
            rows.append(row)
        if options.write:
            write(name, section, rows)
    return 0


sys.exit(main())

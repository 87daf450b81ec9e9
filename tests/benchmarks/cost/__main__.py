"""`python -m tests.benchmarks cost [SECTION …] [--quick] [--write]`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks import cost
from tests.benchmarks._rows import Row, head, markdown, show
from tests.benchmarks.cost import _stores
from tests.benchmarks.cost.section import Section

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "benchmarks.md"
ORDER = ("pull", "unchanged", "evaluation", "scrape", "store", "process", "fleet", "start")
PEERS = (
    "aiohttp",
    "msgspec",
    "numpy",
    "prometheus-client",
    "edgeimpulse-api",
    "requests",
    "scikit-learn",
    "faster-coco-eval",
    "pycocotools",
)


def provenance(*, quick: bool) -> str:
    """One line: when, how, of which commit, on what, with which versions of what is installed."""
    words = f"Measured {datetime.now(UTC).date()}{' with `--quick`' if quick else ''}"
    if found := commit():
        words += f" at {found}"
    machine = ", ".join(filter(None, [platform.machine(), processor()]))
    versions = [f"{platform.python_implementation()} {platform.python_version()}", _stores.postgresql_version()]
    for name in PEERS:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return f"{words} on {os.cpu_count()} cores ({machine}), {', '.join(filter(None, versions))}."


def commit() -> str:
    """The commit that is measured, with `-dirty` where the code differs from it; empty outside of a repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changes = _git("diff", "--name-only", "HEAD", "--", "monitor", "tests")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}-dirty" if changes else head


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def processor() -> str:
    """Its model, as Linux names it; empty where it does not."""
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    named = re.search(r"^model name\s*:\s*(.+)$", said, re.MULTILINE)
    return named[1] if named else ""


def write(name: str, section: Section, measured: str, rows: list[Row]) -> None:
    """Replace the section's table in the docs; `measured` says when and on what.

    Raises:
        LookupError: The page has no place for it.
    """
    text = PAGE.read_text(encoding="utf-8")
    begins, ends = f"<!-- cost {name} -->", "<!-- end -->"
    table = f"{begins}\n{section.title}\n\n{measured}\n\n{markdown(section.columns, rows)}\n{ends}"
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
    measured = provenance(quick=options.quick)
    print(measured)
    for name in options.sections or names:
        section: Section = importlib.import_module(f"tests.benchmarks.cost.{name}").SECTION
        head(f"{name}: {section.title}", *section.columns)
        rows = []
        for row in section.rows(options.quick):
            show(row)
            rows.append(row)
        if options.write:
            write(name, section, measured, rows)
    return 0


sys.exit(main())

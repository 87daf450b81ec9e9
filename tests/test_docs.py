"""What a stranger reads: links lead somewhere, commands are as they are described, nothing is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import monitor
from monitor.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
OF_ALL = {"--help", "--version", "--config"}
"""Options that are described once for all commands."""


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the repository, and to a heading in it, leads there."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            dead.append(link)

    assert [] == dead


def test_every_page_is_reachable() -> None:
    """From the README one gets to every page by links, of a folder to all that is in it."""
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page.is_dir():
            waiting += page.glob("*.md")
        elif page.suffix == ".md" and page not in seen:
            seen.add(page)
            links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
            waiting += [page.parent / link for link in links if "://" not in link]

    assert set() == set(PAGES) - seen


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name, command


def test_every_command_is_described() -> None:
    """The table of commands in operation.md names every command and its options, and the text no other option."""
    text = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8").partition("\n## Endpoints")[0]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    missing, known = [], set(OF_ALL)
    for name, command in commands(main):
        first, _, last = name.partition(" ")
        described = [
            row
            for row in rows
            if re.search(rf"`impulse-monitor {first}\b", row) and re.search(rf"\b{last or first}\b", row)
        ]
        missing += [] if described else [name]
        for option in (option for parameter in command.params for option in parameter.opts if option.startswith("--")):
            known.add(option)
            if (
                option not in OF_ALL
                and not (described and option in described[0])
                and f"`{option}`" not in text.rpartition("|\n")[2]
            ):
                missing.append(f"{name} {option}")

    assert ([], set()) == (missing, set(re.findall(r"--[a-z][a-z.-]*", text)) - known)


def test_readme() -> None:
    """The README is short, has a small picture, and leads through the commands to one's own projects; each command in
    it is one, with these options.
    """
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", text)
    blocks = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    named = [line.split() for line in re.findall(r"\bimpulse-monitor ([^#\n]*)", blocks)]
    table = dict(commands(main))
    above = click.Context(main, **main.context_settings)  # without it a command would keep other names of --help
    for words in named:
        name = next(name for name in (" ".join(words[:2]), words[0]) if name in table)
        table[name].make_context(name, words[len(name.split()) :], parent=above)

    assert len(text.splitlines()) < 150
    assert "```mermaid" in text
    assert (ROOT / picture).stat().st_size < 150_000
    assert ["demo", "init", "check", "pull", "run", "notify"] == [words[0] for words in named]


def test_every_benchmark_is_described() -> None:
    """benchmarks.md has a part for each benchmark, and for no other."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    folder = ROOT / "tests" / "benchmarks"
    there = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    there |= {path.parent.name for path in folder.glob("*/__main__.py")}

    assert there == set(re.findall(r"^## `(\w+)`", text, re.MULTILINE))


def test_files_to_touch_exist() -> None:
    """Each file that architecture.md names under *If you want to add* exists."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("## If you want to add")[1]
    named = re.findall(r"`((?:monitor|docs|tests)/[\w/.-]+)`", page)

    assert len(named) > 10
    where = {"monitor": Path(monitor.__file__).parents[1]}  # the package may be installed elsewhere
    assert [] == [path for path in named if not (where.get(path.partition("/")[0], ROOT) / path).exists()]


def test_sizes_are_what_the_program_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of sizes in scale.md is what the program beside it prints."""
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- sizes -->\n.*\n.*\n((?:\|.*\n)+)<!-- end -->", text)
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(program, {})

    assert table == capsys.readouterr().out

"""The map of the house is as the code is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.architecture import ROOT, Room, arrows_up, direct, layers, outside, rooms

PAGE = ROOT / "docs" / "architecture.md"


def room(name: str, *imports: str) -> Room:
    """A room that is made up."""
    return Room(name, Path(name), "", 1, frozenset(imports))


def test_map_is_as_the_command_draws_it(tmp_path: Path) -> None:
    """`python -m tests.architecture docs/architecture.md` changes nothing."""
    copy = tmp_path / "architecture.md"
    copy.write_bytes(PAGE.read_bytes())
    subprocess.run([sys.executable, "-m", "tests.architecture", str(copy)], cwd=ROOT, check=True, timeout=60)

    assert PAGE.read_text(encoding="utf-8") == copy.read_text(encoding="utf-8")


def test_every_room_has_a_place() -> None:
    """Each room is in one layer, or among those that are left out of the layers, and in no two places."""
    placed = Counter([*(name for layer in layers() for name in layer), *outside()])

    assert {1} == set(placed.values())
    assert rooms().keys() == placed.keys()


def test_every_room_says_what_it_is() -> None:
    """Each room's docstring begins with a sentence, of which the map is made."""
    assert [] == [name for name, found in rooms().items() if not found.meaning.endswith(".")]


def test_no_arrow_up() -> None:
    """No room imports one of its own layer or above, anywhere in its files."""
    assert [] == arrows_up(rooms(), layers())


def test_two_files_know_the_library_of_the_scheduler() -> None:
    """Of APScheduler one file knows the scheduler, one the calendar, and no other any of it."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "monitor").rglob("*.py")
        if re.search(r"^\s*(from|import) apscheduler", path.read_text(encoding="utf-8"), re.MULTILINE)
    }

    assert {"monitor/config/crontab.py", "monitor/engine/local.py"} == found


def test_an_arrow_up_is_found() -> None:
    """An import of a room above, or beside, is an arrow up; one of a room below is none."""
    found = {"cli": room("cli", "web", "store"), "web": room("web", "store"), "store": room("store", "cli", "net")}

    assert [("store", "cli"), ("store", "net")] == arrows_up(
        found | {"net": room("net")}, [("cli",), ("web",), ("store", "net")]
    )


def test_direct_arrows() -> None:
    """The diagram leaves out an arrow that follows from others, however long the way is."""
    found = {"a": room("a", "b", "c", "d"), "b": room("b", "c"), "c": room("c", "d"), "d": room("d")}

    assert [("a", "b"), ("b", "c"), ("c", "d")] == direct(found)

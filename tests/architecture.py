"""The map of the house in `docs/architecture.md`, drawn from the code: rooms by layer, and who imports whom.

`python -m tests.architecture docs/architecture.md` writes it between the comments `<!-- map: NAME -->` and
`<!-- end of map -->`; what is around them is written by hand. Layers are those of `.importlinter`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "monitor"
_MAP = re.compile(r"(<!-- map: (\w+) -->\n).*?(<!-- end of map -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Room:
    """A module or package directly below `monitor`.

    Attributes:
        name: Its name, without `.py`.
        path: The folder or file.
        meaning: The first sentence of its docstring.
        files: How many Python files it has.
        imports: The rooms that it imports anywhere, also in a function or for types only.
    """

    name: str
    path: Path
    meaning: str
    files: int
    imports: frozenset[str]


def layers(root: Path = ROOT) -> list[tuple[str, ...]]:
    """The layers of `.importlinter`, the highest first, with the rooms of each."""
    return [tuple(re.split(r"\s*[|:]\s*", line.strip())) for line in _contract(root, "layers")]


def outside(root: Path = ROOT) -> frozenset[str]:
    """The rooms that `.importlinter` leaves out of the layers."""
    return frozenset(line.strip() for line in _contract(root, "exhaustive_ignores"))


def _contract(root: Path, key: str) -> list[str]:
    parser = ConfigParser()
    parser.read(root / ".importlinter", encoding="utf-8")
    return parser["importlinter:contract:layers"][key].strip().splitlines()


def rooms(root: Path = ROOT) -> dict[str, Room]:
    """All rooms of the package, by name."""
    package = root / PACKAGE
    paths = [path for path in sorted(package.iterdir()) if path.suffix == ".py" or (path / "__init__.py").exists()]
    names = frozenset(path.stem for path in paths) - {"__init__"}
    return {path.stem: _room(path, root, names) for path in paths if path.stem in names}


def _room(path: Path, root: Path, names: frozenset[str]) -> Room:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    imported = frozenset(name for file in files for name in _imported(file, root))
    docstring = ast.get_docstring(ast.parse(_head(path).read_text(encoding="utf-8"))) or ""
    return Room(path.stem, path, _first_sentence(docstring), len(files), imported & names - {path.stem})


def _head(path: Path) -> Path:
    return path / "__init__.py" if path.is_dir() else path


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]


def _imported(file: Path, root: Path) -> Iterator[str]:
    """Names directly below the package that a file imports."""
    within = file.relative_to(root).with_suffix("").parts
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            dotted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = within[: len(within) - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            dotted = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (parts[1] for name in dotted if (parts := name.split("."))[0] == PACKAGE and len(parts) > 1)


def arrows_up(found: Mapping[str, Room], ordered: Iterable[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Imports of a room that is not below the one that imports it."""
    height = {name: -place for place, layer in enumerate(ordered) for name in layer}
    return [
        (room.name, other)
        for room in found.values()
        for other in sorted(room.imports)
        if room.name in height and other in height and height[other] >= height[room.name]
    ]


def direct(found: Mapping[str, Room]) -> list[tuple[str, str]]:
    """Who imports whom, without the arrows that follow from others: A to C where A imports B, and B imports C."""
    known = {name: {other for other in found[name].imports if other in found} for name in found}
    below: dict[str, set[str]] = {}

    def reach(name: str) -> set[str]:
        if name not in below:
            below[name] = set().union(known[name], *map(reach, known[name]))
        return below[name]

    return [
        (name, other)
        for name in found
        for other in sorted(known[name])
        if not any(other in reach(between) for between in known[name] - {other})
    ]


def table(root: Path = ROOT) -> str:
    """The rooms as a Markdown table, the highest layer first; those outside the layers last."""
    found = rooms(root)
    lines = ["| room | what it is | files | imports |", "|---|---|---|---|"]
    for layer in [*layers(root), *((name,) for name in sorted(outside(root) & found.keys()))]:
        for name in layer:
            room = found[name]
            title = f"{name}/" if room.path.is_dir() else f"{name}.py"
            imports = ", ".join(sorted(room.imports)) or "–"
            lines.append(f"| `{title}` | {room.meaning} | {room.files} | {imports} |")
    return "\n".join(lines) + "\n"


def diagram(root: Path = ROOT) -> str:
    """Who imports whom as a mermaid flowchart: the folders in layers, without arrows that follow from others."""
    found = rooms(root)
    placed = {name: found[name] for layer in layers(root) for name in layer if found[name].path.is_dir()}
    lines = ["```mermaid", "flowchart TD", *(f"    {above} --> {below}" for above, below in direct(placed)), "```"]
    return "\n".join(lines) + "\n"


def with_maps(page: str, root: Path = ROOT) -> str:
    """The page with its maps as the code is now.

    Raises:
        KeyError: A map has a name that there is none of.
    """
    drawn = {"rooms": table, "imports": diagram}
    return _MAP.sub(lambda found: found[1] + drawn[found[2]](root) + found[3], page)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(with_maps(target.read_text(encoding="utf-8")), encoding="utf-8")

"""One YAML file as plain data that remembers its lines.

YAML 1.2's core schema, not PyYAML's 1.1: `off`, `no`, `1:30` and `2024-01-01` are text, as an editor's schema check
sees them. A key written twice is a problem, where PyYAML would silently take the last. `${NAME}` is replaced in texts
after parsing, so that a `#` or `:` in a secret means nothing to YAML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from monitor.config.problems import ConfigError, Problem

Loc = tuple[str | int, ...]
"""Where a value stands: keys and indices from the top."""

_TEMPLATE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\})?")
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own convention


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


@dataclass(slots=True)
class Document:
    """A parsed file.

    Attributes:
        path: The file, as the operator named it.
        data: Mappings, lists and scalars; None for an empty file.
        lines: The line of each value; for a value of a mapping that of its key.
        problems: What is wrong with the text itself.
        broken: Values that a problem already speaks of; what stands there is a placeholder.
        templates: Texts with `${NAME}` as they were written.
    """

    path: Path
    data: Any = None
    lines: dict[Loc, int] = field(default_factory=lambda: {(): 1})
    problems: list[Problem] = field(default_factory=list)
    broken: set[Loc] = field(default_factory=set)
    templates: dict[Loc, str] = field(default_factory=dict)

    def locate(self, loc: Loc) -> Loc:
        """The part of `loc` that exists in the file; pydantic adds the names of union members, and keys that are
        missing.
        """
        found: Loc = ()
        for part in loc:
            if (*found, part) in self.lines:
                found = (*found, part)
        return found

    def problem(self, loc: Loc, message: str) -> Problem:
        """A problem at the nearest existing place."""
        place = self.locate(loc)
        return Problem(self.path, self.lines[place], key_name(place), message)


def key_name(loc: Loc) -> str:
    """`('projects', 0, 'id')` as `projects[0].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def read(path: Path, environ: Mapping[str, str]) -> Document:
    """The file's content, with `${NAME}` replaced from `environ`.

    Raises:
        OSError: The file cannot be read.
        ConfigError: It is not YAML, so that nothing else can be said about it.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
        root = yaml.compose(text, _Loader)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(path, line, "", "is not UTF-8 text; save the file as UTF-8")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Problem(path, line, "", "holds a control character; remove it")]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(path, text, error)]) from None
    except RecursionError:
        raise ConfigError([Problem(path, 1, "", "is nested too deeply; write it flatter")]) from None
    document = Document(path)
    if root is not None:
        document.data = _Walk(document, environ).value(root, (), root)
    return document


def _syntax_problem(path: Path, text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = text.splitlines()
    if isinstance(error, yaml.composer.ComposerError) and "alias" in (error.problem or ""):
        message = "refers to an anchor that is not defined; put a text that begins with * into quotes"
    else:
        message = f"is not valid YAML: {error.problem or error.context}; fix the line or the one before it"
    if line < len(lines) and "${" in lines[line]:
        message += " (inside [...] and {...}, put ${NAME} into quotes)"
    return Problem(path, line + 1, "", message)


class _Walk:
    """Turns nodes into data, and writes down lines and problems on the way."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._open: list[yaml.Node] = []
        self._named: list[yaml.Node] = []

    def value(self, node: yaml.Node, loc: Loc, place: yaml.Node) -> Any:
        """What `node` holds; `place` is the node whose line stands for it (a mapping's key)."""
        self._document.lines[loc] = place.start_mark.line + 1
        if any(node is other for other in self._open):
            return self._broken(loc, "refers to itself; write the values out")
        if node.tag.rpartition(":")[0] != "tag:yaml.org,2002":
            return self._broken(
                loc, "has a YAML tag (!...), which means nothing here; put a text that begins with ! into quotes"
            )
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return {key.value: self.value(item, (*loc, key.value), key) for key, item in self._pairs(node, loc)}
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*loc, index), item) for index, item in enumerate(node.value)]
            return self._scalar(node, loc)
        finally:
            self._open.pop()

    def _broken(self, loc: Loc, message: str, *, unset: bool = False) -> str:
        self._document.problems.append(replace(self._document.problem(loc, message), unset=unset))
        self._document.broken.add(loc)
        return ""

    def _pairs(self, node: yaml.MappingNode, loc: Loc) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        own: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, item in node.value:
            if key.tag == _MERGE:
                merged |= {
                    pair[0].value: pair for source in self._sources(key, item, loc) for pair in self._pairs(source, loc)
                }
            elif not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                self._complain(key, loc, "has a key that is not text; put it into quotes")
            elif key.value in own:
                first = own[key.value][0].start_mark.line + 1
                self._complain(key, (*loc, key.value), f"is written twice, first on line {first}; remove one")
            else:
                own[key.value] = (key, item)
        return list((merged | own).values())

    def _sources(self, key: yaml.Node, item: yaml.Node, loc: Loc) -> Iterator[yaml.MappingNode]:
        """The mappings that `<<: ...` takes in; the first of several wins, so it comes last."""
        for source in reversed(item.value) if isinstance(item, yaml.SequenceNode) else [item]:
            if isinstance(source, yaml.MappingNode) and all(source is not other for other in self._open):
                yield source
            else:
                self._complain(key, loc, "merges (<<) something that is not a mapping; write an alias of a mapping")

    def _complain(self, key: yaml.Node, loc: Loc, message: str) -> None:
        if all(key is not other for other in self._named):  # an alias brings the same node again
            self._named.append(key)
            self._document.problems.append(
                Problem(self._document.path, key.start_mark.line + 1, key_name(loc), message)
            )

    def _scalar(self, node: yaml.Node, loc: Loc) -> Any:
        text: str = node.value
        match node.tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= 100:
                return int(text)
            case "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            case _:
                return self._expand(text, loc)

    def _expand(self, text: str, loc: Loc) -> str:
        messages: dict[str, bool] = {}  # and whether a variable is not set
        named = False

        def value(match: re.Match[str]) -> str:
            nonlocal named
            named |= match[1] is not None
            if match[0] == "$${":
                return "${"
            if match[1] is None:
                messages["holds a ${ that begins no ${NAME}; write $${ for the characters themselves"] = False
            elif match[1] not in self._environ:
                missing = f"the environment variable {match[1]} is not set; set it, or write $${{ for the characters "
                messages[f"{missing}themselves"] = True
            return self._environ.get(match[1] or "", "")

        expanded = _TEMPLATE.sub(value, text)
        if named:
            self._document.templates[loc] = text
        for message, unset in messages.items():
            self._broken(loc, message, unset=unset)
        return "" if messages else expanded

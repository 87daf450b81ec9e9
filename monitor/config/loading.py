"""From the operator's files to a `Config`, or to every problem they have."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from monitor.config.base import ConfigModel
from monitor.config.document import Document, Loc, read
from monitor.config.models import BUDGETS, Config, IncludedFile, ProjectConfig, Schedule, TargetSelection
from monitor.config.paths import Files
from monitor.config.problems import ConfigError, Problem
from monitor.targets import LABEL_NAMES

S = TypeVar("S", bound=ConfigModel)

_SHORT = 60.0  # seconds; below this an interval is allowed but rarely meant


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    Attributes:
        config: With the included files' projects after the main file's, and every path absolute.
        warnings: What can be used but is probably not meant.
        files: The files that were read, the main one first.
        unreadable: The files of keys, URLs and tokens that hold none. What needs one fails until it is right, the rest
            runs.
        lines: Where the values of the main file stand, for what is found out about them later.
        templates: Values of `config` that `${NAME}` stands for, as they were written, by place.
    """

    config: Config
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    lines: Mapping[Loc, int] = field(repr=False)
    unreadable: tuple[Problem, ...] = ()
    templates: Mapping[Loc, str] = field(default_factory=dict, repr=False)

    def problem(self, loc: Loc, message: str) -> Problem:
        """A problem at a place of the main file, or at the nearest one that exists."""
        return Document(self.files[0], lines=dict(self.lines)).problem(loc, message)

    def exceeded_budgets(self, shards: int) -> tuple[Problem, ...]:
        """A warning for each number of requests to Studio that is smaller than the number of shards that share it: each
        takes one at least, so that together they exceed it.
        """
        return tuple(
            self.problem(
                ("studio", budget),
                f"is {whole}, but {shards} shards share it, and each sends 1 at least: {shards} at the same time; "
                f"write {budget}: {shards} or more if Studio may be asked so often, or --shard.total {whole} or less",
            )
            for budget in BUDGETS
            if (whole := getattr(self.config.studio, budget)) < shards
        )


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Loaded:
    """Read the configuration at `path` and the files it includes.

    Reads small files (keys and certificates too, to see that they can be read), so call it off the event loop.

    Raises:
        ConfigError: With every problem of every file.
    """
    main = _main(path, environ)
    report = _Report()
    documents = [main, *_read_included(main, environ, report)]
    config = _validate(Config, main, report)
    projects: list[ProjectConfig] = []
    templates = dict[Loc, str]()
    selections: list[tuple[Document, Loc, TargetSelection]] = []
    for document in documents:
        report.problems += document.problems
        if document is not main:
            _validate(IncludedFile, document, report)
        for loc, entry in _entries(document):
            project = _checked(ProjectConfig, document, loc, entry, report)
            templates |= {
                ("projects", len(projects), *place[2:]): text
                for place, text in document.templates.items()
                if place[:2] == loc
            }
            if project is not None:
                projects.append(project)
                _warn_schedule(document, (*loc, "schedule", "every"), project.schedule, report)
            selection = _selection(entry)
            if selection is not None:
                selections.append((document, loc, selection))
    report.problems += _same_targets(selections)
    order = {document.path: index for index, document in enumerate(documents)}
    if report.problems or config is None:
        problems = report.problems + report.unreadable
        raise ConfigError(sorted(problems, key=lambda problem: (order.get(problem.path, len(order)), problem.line)))
    config = config.model_copy(update={"projects": tuple(projects)})
    _warn_schedule(main, ("schedule", "every"), config.schedule, report)
    _warn_rest(main, config, report)
    files = tuple(document.path for document in documents)
    templates |= {place: text for place, text in main.templates.items() if place[0] != "projects"}
    return Loaded(config, tuple(report.warnings), files, main.lines, tuple(report.unreadable), templates)


def load_for_store(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration at `path` for what only reads the store. Where environment variables are not set that the store
    does not need, such as that of an API key, everything but the store and the address of Studio is as by default.

    Raises:
        ConfigError: With every problem of every file, but for these.
    """
    try:
        return load(path, environ).config
    except ConfigError as error:
        if not all(problem.unset for problem in error.problems):
            raise
        main = read(path, environ)
        needed = [problem for problem in error.problems if problem.path == path and problem.key in _FOR_STORE]
    if needed:
        raise ConfigError(needed)
    data = {name: main.data[name] for name in ("store", "studio") if name in main.data}
    if isinstance(data.get("studio"), dict):
        data["studio"] = {name: value for name, value in data["studio"].items() if f"studio.{name}" in _FOR_STORE}
    return Config.model_validate(data, context=Files(_folder(main)))


_FOR_STORE = ("store", "studio.url", "studio.site")
"""The keys that matter to what only reads the store."""


def _main(path: Path, environ: Mapping[str, str]) -> Document:
    try:
        return read(path, environ)
    except OSError as error:
        raise ConfigError(
            [Problem(path, 1, "", f"cannot be read ({error.strerror}); name a file that exists with --config")]
        ) from None


def fingerprint(path: Path, environ: Mapping[str, str] = os.environ) -> str:
    """sha256 over the content of the file at `path` and of all it includes now; whatever state they are in.

    Another value than at the last load, good or bad, means that loading again would read something else. Take it before
    loading. Blocks for the time of reading small files.
    """
    files = [path]
    with suppress(OSError, ConfigError):  # nothing is included by a file that cannot be read
        files += [file for _, matches in _included(read(path, environ)) for file in matches]
    digest = hashlib.sha256()
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        digest.update(f"{file}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


class _Report:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.unreadable: list[Problem] = []


def _folder(document: Document) -> Path:
    # not resolve(): Kubernetes mounts files through symbolic links, whose ends are deleted with the next version
    return Path(os.path.abspath(document.path)).parent


def _included(main: Document) -> Iterator[tuple[Loc, list[Path]]]:
    """For each usable entry of `include`, its place and the files it stands for, sorted."""
    patterns = main.data.get("include") if isinstance(main.data, dict) else None
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else []):
        if isinstance(pattern, str) and pattern and ("include", index) not in main.broken:
            path = main.path.parent / pattern
            yield ("include", index), sorted(map(Path, glob.glob(str(path)))) if glob.has_magic(pattern) else [path]


def _read_included(main: Document, environ: Mapping[str, str], report: _Report) -> Iterator[Document]:
    seen = {os.path.abspath(main.path)}
    for loc, files in _included(main):
        if not files:
            report.warnings.append(main.problem(loc, "matches no file; check the pattern if there should be one"))
        for file in files:
            if os.path.abspath(file) == os.path.abspath(main.path):
                report.problems.append(
                    main.problem(loc, "includes this file itself; keep included files in a folder of their own")
                )
            if os.path.abspath(file) in seen:
                continue
            seen.add(os.path.abspath(file))
            try:
                yield read(file, environ)
            except OSError as error:
                message = f"names a file that cannot be read ({error.strerror}); fix its path or permissions"
                report.problems.append(main.problem(loc, message))
            except ConfigError as error:
                report.problems += error.problems


def _entries(document: Document) -> Iterator[tuple[Loc, Any]]:
    projects = document.data.get("projects") if isinstance(document.data, dict) else None
    for index, entry in enumerate(projects if isinstance(projects, list) else []):
        yield ("projects", index), entry


def _validate(model: type[S], document: Document, report: _Report) -> S | None:
    """The file without its projects, which are validated one by one so that each is compared with the others if it can
    be.
    """
    data = {} if document.data is None else document.data
    if isinstance(data, dict) and isinstance(data.get("projects"), list):
        data = {**data, "projects": []}
    return _checked(model, document, (), data, report)


def _checked(model: type[S], document: Document, loc: Loc, data: Any, report: _Report) -> S | None:
    folder = _folder(document)
    try:
        return model.model_validate(data, context=Files(folder))
    except ValidationError as error:
        places = [((*loc, *each["loc"]), each["msg"]) for each in error.errors(include_url=False, include_input=False)]
    found = [
        document.problem(place, message) for place, message in places if document.locate(place) not in document.broken
    ]
    try:
        checked = model.model_validate(data, context=Files(folder, secrets=False))
    except ValidationError:
        report.problems += found
        return None
    report.unreadable += found
    return checked


def _selection(entry: Any) -> TargetSelection | None:
    """Which targets an entry stands for, also where the rest of it is wrong; None if that cannot be said."""
    try:
        return TargetSelection.model_validate(
            {name: entry[name] for name in TargetSelection.model_fields if name in entry}
        )
    except (ValidationError, TypeError):
        return None


def _same_targets(selections: list[tuple[Document, Loc, TargetSelection]]) -> Iterator[Problem]:
    for index, (document, loc, selection) in enumerate(selections):
        for other, place, earlier in selections[:index]:
            if selection.overlaps(earlier):
                first = f"{other.path}:{other.lines[place]}"
                message = (
                    f"gives the same target as the entry at {first}; keep impulses, variants or category "
                    "apart, "
                    "or remove one"
                )
                yield document.problem(loc, message)
                break


def _warn_schedule(document: Document, loc: Loc, schedule: Schedule | None, report: _Report) -> None:
    if schedule is not None and schedule.interval < _SHORT:
        report.warnings.append(
            document.problem(loc, "is under 1m: many requests for results that change rarely; write 1m or more")
        )


def _warn_rest(main: Document, config: Config, report: _Report) -> None:
    known = {*LABEL_NAMES, *(name for project in config.projects for name in project.labels)}
    for index, alert in enumerate(config.alerts):
        for name in alert.match or ():
            if name not in known:
                message = (
                    "is a label of no project, so that the alert is for none; write one of "
                    f"{', '.join(LABEL_NAMES)}, or a project's own"
                )
                report.warnings.append(main.problem(("alerts", index, "match", name), message))
    if not config.projects:
        report.warnings.append(
            main.problem(("projects",), "no project is configured, so nothing is watched; write one below projects:")
        )
    if not config.notify and config.rules():
        message = "no receiver is configured, so nobody is notified of alerts; write one below notify:"
        report.warnings.append(Problem(main.path, main.lines.get(("notify",), 1), "notify", message))
    if any(config.stale_after_of(project) < config.schedule_of(project).interval for project in config.projects):
        message = "is shorter than a schedule's interval: figures leave between two pulls; write 3 intervals"
        report.warnings.append(main.problem(("stale_after",), message))

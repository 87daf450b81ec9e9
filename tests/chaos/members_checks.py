"""What `members` checks at the end: the runs in the store against the requests that Studio got, and what was told."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.store import columns
from tests.chaos.members_parts import Books
from tests.notify.notify_parts import Inbox

CLOCKS = 3.0
"""Seconds by which what is said of a time may be wrong: the service corrects a clock by what asking for it took."""
IN_FLIGHT = 1.0
"""Seconds that a request may take to arrive, or an answer to be read."""


@dataclass(frozen=True)
class Row:
    """One row of `run`: the newest sample of what it found (None where it failed), and how many runs it stands for."""

    target: str
    started: float
    ended: float
    times: int
    newest: int | None


class Agreement:
    """Whether two replicas that are written to all the time come to show the same.

    A target is agreed on once both show the same of it, of a pull that is at least as new as the newest that either
    showed at the beginning; so is what is of no target.

    Args:
        shown: The series of each replica at the beginning.
    """

    def __init__(self, shown: Sequence[Mapping[str, float]]) -> None:
        self._newest: dict[Part, float] = {}
        for series in shown:
            for part, values in _parts(series).items():
                self._newest[part] = max(self._newest.get(part, 0.0), values.get(_PULLED, 0.0))
        self._open = set(self._newest)
        self._differing: list[str] = []

    def holds(self, one: Mapping[str, float], other: Mapping[str, float]) -> bool:
        """Whether all is agreed on by now."""
        if not one or not other:
            return False
        ours, theirs = _parts(one), _parts(other)
        self._open |= (ours.keys() ^ theirs.keys()) - self._newest.keys()
        self._differing = []
        for part in sorted(self._open):
            left, right = ours.get(part, {}), theirs.get(part, {})
            if left == right and left.get(_PULLED, 0.0) >= self._newest.get(part, 0.0):
                self._open.discard(part)
            else:
                names = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
                self._differing.append(f"{part} {[(name, left.get(name), right.get(name)) for name in names[:3]]}")
        return not self._open

    def __str__(self) -> str:
        return f"{len(self._differing)} parts, {'; '.join(self._differing[:4])}"


Part = tuple[str, ...]
_LABELS = [re.compile(f'[{{,]{name}="([^"]*)"') for name in ("project_id", "impulse_id", "variant", "category")]
_PULLED = "edge_impulse_last_pull_timestamp_seconds"


def _parts(series: Mapping[str, float]) -> dict[Part, dict[str, float]]:
    """The series of each target; those of none together. The time of a pull is named without its labels."""
    found: dict[Part, dict[str, float]] = defaultdict(dict)
    for name, value in series.items():
        labels = [pattern.search(name) for pattern in _LABELS]
        part = tuple(label[1] for label in labels if label is not None) if all(labels) else ()
        found[part][_PULLED if part and name.startswith(_PULLED) else name] = value
    return found


def check_told(expected: Mapping[int, Sequence[str]], hook: Inbox) -> list[str]:
    """What the webhook was told of each target otherwise than expected, or with another start at the end."""
    told: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for request in list(hook.requests):
        for alert in request.json["alerts"]:
            labels = alert["labels"]
            told[int(labels["project_id"]), labels["variant"]].append((alert["status"], alert["startsAt"]))
    problems = [f"told of {key}, which is well: {said}" for key, said in told.items() if key[0] not in expected]
    for number, wanted in expected.items():
        for variant in ("int8", "float32"):
            said = told[number, variant]
            if [status for status, _ in said] != list(wanted):
                problems.append(f"told of {number} {variant} {[status for status, _ in said]}, not {list(wanted)}")
            pairs = zip(said[::2], said[1::2], strict=False)
            if any(begin[1] != end[1] for begin, end in pairs):
                problems.append(f"{number} {variant} ended with another start: {said}")
    return problems


def _requests(path: Path) -> list[tuple[float, str, int | None, dict[str, str], bool]]:
    return [tuple(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def check_refused(path: Path, project: int, refused: Sequence[float], seconds: float) -> list[str]:
    """The requests for a project that came although Studio had asked to wait."""
    asked = [each for each in _requests(path) if each[2] == project]
    return [
        f"{call} of {project} {at - since:.1f} s after it was to wait for {seconds:g} s"
        for since in refused
        for at, call, *_ in asked
        if since + IN_FLIGHT < at < since + seconds - 0.1
    ]


async def check_runs(books: Books, path: Path, since: float, counted: float, epochs: Mapping[str, int]) -> list[str]:
    """What is wrong with the runs that were written since then. Turns are counted from `counted` on, when the projects
    had these epochs.

    A run written twice, or by a process that had lost its turn, shows as content that is older than that of the run
    before, as a run while another one goes on, as more runs than turns were taken, or as more than Studio was read.
    """
    statement = (
        "SELECT run.target_id, started, last_seen, times, data FROM run LEFT JOIN result_set"
        " ON result_set.id = result_set_id WHERE started >= $1 ORDER BY run.target_id, run.id"
    )
    found = await books.rows(statement, since)
    # one more: a turn may have begun before, and its run later
    turns = {project: epoch - epochs[project] + 1 for project, epoch in (await books.epochs()).items()}
    rows = await asyncio.to_thread(lambda: [_row(each) for each in found])
    readings = _readings(path, since)
    by_target: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_target[row.target].append(row)
    problems = [] if rows else ["no run was written"]
    for target, runs in by_target.items():
        problems += _wrong(target, runs, readings.get(target, []))
        taken, written = turns[target.split("-")[0]], sum(run.times for run in runs if run.started >= counted)
        if written > taken:
            problems.append(f"{target}: {written} runs in {taken} turns")
    total = sum(row.times for row in rows)
    print(f"{total} runs of {len(by_target)} targets, in {sum(turns.values())} turns", flush=True)
    return problems


def _row(found: Mapping[str, Any]) -> Row:
    newest = int(columns.decode(found["data"]).sample_id.max()) if found["data"] is not None else None
    return Row(found["target_id"], found["started"], found["last_seen"], found["times"], newest)


def _readings(path: Path, since: float) -> dict[str, list[float]]:
    """When the results of each target were read from their beginning."""
    found: dict[str, list[float]] = defaultdict(list)
    for at, call, project, query, _ in _requests(path):
        if call == "result/page" and at >= since and query.get("offset", "0") == "0":
            found[f"{project}-{query.get('impulseId', '1')}-{query['variant']}-testing"].append(at)
    return found


def _wrong(target: str, runs: Sequence[Row], readings: Sequence[float]) -> list[str]:
    problems = []
    newest, before = 0, None
    needed = 0
    for run in runs:
        if before is not None and run.started < before.ended - CLOCKS:
            problems.append(f"{target}: a run began {before.ended - run.started:.1f} s before the one before ended")
        before = run
        if run.newest is None:
            continue
        if run.newest < newest:
            problems.append(f"{target}: a run of sample {run.newest} was written after one of sample {newest}")
        needed += run.times + (run.newest > newest)  # what is new is read twice
        newest = max(newest, run.newest)
        if not any(run.started - CLOCKS <= at <= run.ended + CLOCKS for at in readings):
            problems.append(f"{target}: nothing was read during a run")
    if needed > len(readings) + 1:
        problems.append(f"{target}: its runs need {needed} readings, Studio saw {len(readings)}")
    return problems

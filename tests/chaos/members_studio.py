"""Studio in a process of its own for `members`: `PROJECTS EVERY`, and a line of JSON on its input for each command.

It serves that many small projects, whose test sets change every so many seconds: each reading of a turn is of another
content, by whose newest sample it is told apart. It answers each command by a line of JSON on its output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from monitor.simulator import GeneratedProject, Studio, projects, serve
from monitor.simulator.faults import Delay, Status
from monitor.simulator.project import Impulse
from monitor.simulator.studio import Request

FIRST = 1001
"""The first project's number."""
SAMPLES = 24
LATENCY = 0.05
LAST_CALL = "training-metadata"
"""What a pull that found something new asks last, before it writes."""


class Log(list[Request]):
    """All requests, and when each project was last asked for results."""

    def __init__(self) -> None:
        super().__init__()
        self.read: dict[int, float] = {}

    def append(self, request: Request) -> None:
        """Take note of one."""
        super().append(request)
        if request.call == "result/page" and request.project is not None:
            self.read[request.project] = request.time


def project(number: int) -> GeneratedProject:
    """A small classifier with two variants."""
    impulse = Impulse(1, "spectral", variants=projects.BOTH)
    made = projects.classification(number, f"line-{number}", sizes={"testing": SAMPLES}, impulses=(impulse,))
    made.kept_models = len(projects.BOTH)
    made.fresh_media = False
    return made


async def change(studio: Studio, every: float) -> None:
    """Exchange a sample of each project every so many seconds, one project after the other."""
    while True:
        for number in list(studio.projects):
            studio.generated(number).swap(1)
            await asyncio.sleep(every / len(studio.projects))


class Commands:
    """What can be asked of it; each is a method that takes the command's fields."""

    def __init__(self, studio: Studio, log: Log) -> None:
        self._studio = studio
        self._log = log

    def quality(self, projects: list[int], quality: float) -> None:
        """Let models be that good from now on."""
        for number in projects:
            self._studio.generated(number).edit(quality=quality)

    async def slow(self, seconds: float) -> int | None:
        """Let the next last call of a pull take so long: of which project it is; None where none came in a while."""
        fault = self._studio.fail(Delay(seconds), LAST_CALL)
        before, ends = len(self._log), time.monotonic() + 30
        while time.monotonic() < ends:
            met = next((each for each in self._log[before:] if fault.action in each.faults), None)
            if met is not None:
                return met.project
            await asyncio.sleep(0.05)
        self._studio.heal(fault)
        return None

    def refuse(self, project: int, seconds: int) -> None:
        """Answer the project's next request for results by 429 with a Retry-After."""
        self._studio.fail(Status(429, retry_after=str(seconds)), "result/page", project)

    def refused(self, project: int) -> float | None:
        """When the project last met that."""
        return next((each.time for each in reversed(self._log) if _is_refused(each) and each.project == project), None)

    def unread(self, since: float) -> list[int]:
        """The projects that were not asked for results since then."""
        return [number for number in self._studio.projects if self._log.read.get(number, 0.0) < since]

    def most_in_flight(self) -> int:
        """The most requests that were open at a time for one key."""
        return max(self._studio.most_in_flight_by_key.values(), default=0)

    def dump(self, path: str) -> int:
        """Write all requests into a file: time, call, project, target, whether it was refused."""
        with Path(path).open("w", encoding="utf-8") as stream:
            for each in self._log:
                row = (each.time, each.call, each.project, each.query, _is_refused(each))
                stream.write(json.dumps(row) + "\n")
        return len(self._log)


def _is_refused(request: Request) -> bool:
    return any(isinstance(action, Status) and action.code == 429 for action in request.faults)


async def obey(commands: Commands) -> None:
    """Answer commands until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command: dict[str, Any] = json.loads(line)
        answer = getattr(commands, command.pop("do"))(**command)
        if asyncio.iscoroutine(answer):
            answer = await answer
        print(json.dumps(answer), flush=True)


async def main(number: int, every: float) -> None:
    """Serve until the input ends."""
    studio = Studio([project(FIRST + each) for each in range(number)], latency=LATENCY)
    log = Log()
    studio.requests = log  # type: ignore[assignment]
    async with serve(studio) as url:
        keys = {each.id: each.api_key for each in studio.projects.values()}
        print(json.dumps({"url": url, "keys": keys}), flush=True)
        changes = asyncio.create_task(change(studio, every))
        await obey(Commands(studio, log))
        changes.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await changes


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))

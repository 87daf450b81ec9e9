"""`ProjectTurn`: what one turn of a project asks once for all of its targets, and what its runs know of each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from monitor.config import Config, ProjectConfig
from monitor.logs import secrets
from monitor.results import Block, BlockKind
from monitor.studio.budget import Hold
from monitor.studio.caller import LONGEST_CLOSED
from monitor.studio.client import Client, Observer
from monitor.studio.project import StudioProject

T = TypeVar("T")


def new_client(config: Config, observer: Observer, processes: int = 1) -> Client:
    """The client that a configuration asks for.

    Args:
        config: The configuration.
        observer: Counts requests.
        processes: How many share the budget of requests, in equal parts; each has one request at least.

    Raises:
        OSError: `studio.ca_file` cannot be read, or holds no certificate.
    """
    studio = config.studio
    return Client(
        studio.url,
        observer,
        timeout=studio.timeout,
        in_flight=studio.share("requests_in_flight", processes),
        in_flight_per_key=studio.share("requests_in_flight_per_key", processes),
        proxy=studio.proxy.get_secret_value() if studio.proxy else None,
        ca_file=str(studio.ca_file) if studio.ca_file else None,
    )


async def studio_project(client: Client, project: ProjectConfig, interval: float = LONGEST_CLOSED) -> StudioProject:
    """The project's calls, with its key as it is right now: key files are read at each use, so that keys rotate without
    a restart.

    Args:
        client: Sends the requests.
        project: Its entry in the configuration.
        interval: Seconds between two pulls, beyond which no Retry-After is honoured.

    Raises:
        AuthError: The key file cannot be read.
    """
    read = project.read_key
    key = (read() if project.api_key_file is None else await asyncio.to_thread(read)).get_secret_value()
    secrets.add(key)
    return StudioProject(client, project.id, key, closed_at_most=interval)


LONGEST_WAIT = 60.0
"""Seconds that a run waits at most for that of another target of its turn ..."""
_PART_OF_INTERVAL = 0.25
"""... and for which part of the time between two turns: a slow target must not hold up its siblings."""


@dataclass(frozen=True, slots=True)
class OtherRun:
    """How the run of another target of the turn went.

    Attributes:
        taken_part: Whether that target is pulled in this turn.
        ended: Whether its run has ended.
        fingerprint: Of its result set; None where its run was not good.
    """

    taken_part: bool = False
    ended: bool = False
    fingerprint: str | None = None


ELSEWHERE = OtherRun()
"""That of a target that is not pulled in the turn."""


class ProjectTurn:
    """A project's calls during one turn, and how its runs go. The key is read once; what is the same for all targets is
    asked once, by whichever needs it first. None waits with its place among the pulls held, neither for Studio nor for
    another run.

    Args:
        client: Sends the requests.
        project: The project's entry in the configuration.
        interval: Seconds between two turns.
    """

    def __init__(self, client: Client, project: ProjectConfig, interval: float = LONGEST_CLOSED) -> None:
        self._client = client
        self._project = project
        self._interval = interval
        self._answers: dict[Hashable, _Answer] = {}
        self._runs: dict[str, asyncio.Future[str | None]] = {}

    def begins(self, target_id: str) -> None:
        """Say that a target is pulled in this turn."""
        self._runs.setdefault(target_id, asyncio.get_running_loop().create_future())

    def ends(self, target_id: str, fingerprint: str | None) -> None:
        """Say that a target's run has ended and is recorded; only the first time counts.

        Args:
            target_id: The target.
            fingerprint: Of its result set; None where the run was not good.
        """
        self.begins(target_id)
        if not self._runs[target_id].done():
            self._runs[target_id].set_result(fingerprint)

    async def run_of(self, target_id: str, hold: Hold | None = None) -> OtherRun:
        """How the run of another target of this turn went, once it has ended; it is waited for `LONGEST_WAIT` at most,
        and a quarter of the time between two turns.

        Args:
            target_id: The other target.
            hold: What is put down meanwhile.
        """
        run = self._runs.get(target_id)
        if run is None:
            return ELSEWHERE
        if not run.done():
            if hold is not None:
                hold.pause()
            await asyncio.wait({run}, timeout=min(LONGEST_WAIT, self._interval * _PART_OF_INTERVAL))
            await _resume(hold)
        return OtherRun(True, run.done(), run.result() if run.done() else None)

    async def studio(self, hold: Hold | None = None) -> StudioProject:
        """The calls of one target.

        Args:
            hold: What is put down while a request of this target waits.

        Raises:
            AuthError: The key file cannot be read.
        """
        studio = await self._once("key", self._open, hold)
        return studio.on_behalf_of(hold)

    async def stale_impulses(self, hold: Hold | None = None, *, again: bool = False) -> dict[int, bool]:
        """By impulse id, whether the data set changed since its features were generated; empty where unknown.

        Args:
            hold: Of the target that asks.
            again: Ask although the turn has an answer already: something has changed since.
        """
        return await self._ask("stale impulses", hold, StudioProject.optional_stale_impulses, again=again)

    async def trained(
        self, blocks: tuple[Block, ...], hold: Hold | None = None, *, again: bool = False
    ) -> float | None:
        """Unix time of the newest training of `blocks`; None where none is known. Arguments as `stale_impulses`."""
        times = []
        for block in blocks:
            if block.kind is not BlockKind.UNKNOWN:

                def one(studio: StudioProject, block: Block = block) -> Awaitable[float | None]:
                    return studio.optional_trained((block,))

                times.append(await self._ask(("trained", block.id, block.type), hold, one, again=again))
        return max((time for time in times if time is not None), default=None)

    def forget(self) -> None:
        """Ask again from now on: a job has changed what was known."""
        self._answers = {name: answer for name, answer in self._answers.items() if name == "key"}

    async def _open(self, _hold: _Waiting) -> StudioProject:
        return await studio_project(self._client, self._project, self._interval)

    async def _ask(
        self, name: Hashable, hold: Hold | None, call: Callable[[StudioProject], Awaitable[T]], *, again: bool
    ) -> T:
        studio = await self.studio(hold)

        async def ask(waiting: _Waiting) -> T:
            return await call(studio.on_behalf_of(waiting))

        return await self._once(name, ask, hold, again=again)

    async def _once(
        self,
        name: Hashable,
        ask: Callable[[_Waiting], Awaitable[T]],
        hold: Hold | None,
        *,
        again: bool = False,
    ) -> T:
        """The answer to a question of the turn. The first to ask may be cancelled: the others still get it."""
        answer = self._answers.get(name)
        if answer is None or again:
            answer = self._answers[name] = _Answer(ask)
        found: T = await answer.wait(hold)
        return found


class _Waiting:
    """The places of all who wait for one answer: put down together, and taken up again by each for itself."""

    def __init__(self) -> None:
        self._holds: list[Hold] = []
        self._paused = False

    def join(self, hold: Hold) -> None:
        """Wait too."""
        self._holds.append(hold)
        if self._paused:
            hold.pause()

    def pause(self) -> None:
        """Put down what others could use."""
        self._paused = True
        for hold in self._holds:
            hold.pause()

    async def resume(self) -> None:
        """The request has ended; each of those who wait takes up its own place."""
        self._paused = False


class _Answer:
    """One question under way or answered."""

    def __init__(self, ask: Callable[[_Waiting], Awaitable[Any]]) -> None:
        self._waiting = _Waiting()
        self._task = asyncio.ensure_future(ask(self._waiting))
        self._task.add_done_callback(_retrieved)

    async def wait(self, hold: Hold | None) -> Any:
        """The answer; the failure of the question is raised for each who waits."""
        if not self._task.done() and hold is not None:
            self._waiting.join(hold)
        try:
            answer = await asyncio.shield(self._task)
        except Exception:
            await _resume(hold)
            raise
        await _resume(hold)  # not where the asker was cancelled: it wants no place any more
        return answer


async def _resume(hold: Hold | None) -> None:
    if hold is not None:
        await hold.resume()


def _retrieved(task: asyncio.Future[Any]) -> None:
    """A question whose askers have all gone is not an error that nobody heard of."""
    if not task.cancelled():
        task.exception()

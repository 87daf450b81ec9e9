"""`Fleet`: the parts of a process that shares its turns with others through PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from monitor import lease
from monitor.alerts.states import Transition
from monitor.config import Config
from monitor.engine.base import Role
from monitor.engine.fleet import FleetEngine
from monitor.live.alert_clock import AlertClock
from monitor.live.follower import Follower
from monitor.live.live import Live
from monitor.live.watchlist import Watchlist
from monitor.notify import Dispatcher, ReceiverStatus
from monitor.service.membership import FleetClock, Membership, Observer
from monitor.store import StoreError
from monitor.store.fleet import FleetSession, Process
from monitor.targets import TargetKey
from monitor.views.service_problems import FleetProblems

_RECEIVERS = msgspec.json.Encoder()
_receivers = msgspec.json.Decoder(tuple[ReceiverStatus, ...])

PROJECTS_KEPT = 500
"""Of how many projects a process that only takes turns keeps what it knows between two of them: others may have the
next one, and the store has all of it.
"""
PARTING = 5.0
"""Seconds for messages in flight to end when another process is to send."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process of a fleet is made of, beside what every process has."""

    engine: FleetEngine
    session: FleetSession
    follower: Follower
    watchlist: Watchlist
    live: Live
    dispatcher: Dispatcher
    alert_clock: AlertClock


class Fleet:
    """Takes turns, leads where nobody else does, and follows what the others write, as far as its role says.

    Args:
        parts: It.
        role: What it does.
        clock: Corrected by the server's.
        observer: Shows how the fleet does.
        listening: `host:port` that it serves HTTP on, once it does.
        config: The configuration that runs.
    """

    def __init__(
        self,
        parts: Parts,
        role: Role,
        clock: FleetClock,
        observer: Observer,
        listening: Callable[[], str],
        config: Callable[[], Config],
    ) -> None:
        self._parts = parts
        self._role = role
        self._listening = listening
        self._address = ""
        self._config = config
        self._digested: tuple[Config, str] | None = None
        self._epochs: dict[str, int] = {}
        self._alerts: asyncio.Task[None] | None = None
        parts.engine.prepare = self._prepare
        self.membership = Membership(
            parts.session,
            role,
            clock,
            observer,
            lambda: self._address,
            self._digest,
            lambda: _RECEIVERS.encode(parts.dispatcher.receivers),
            self._hear,
            self._lead,
            self._follow,
            parts.follower.sweep,
        )

    def is_busy(self, transition: Transition) -> bool:
        """Whether the project that an alert is about has a turn, anywhere."""
        try:
            project = TargetKey.parse(transition.target_id).project_id
        except ValueError:  # a project's
            return False
        return str(project) in self._parts.engine.busy

    def unready(self) -> str:
        """What keeps the process from being ready, in a sentence; empty where nothing does."""
        if not self._parts.session.is_open:
            return "the connection to the fleet's PostgreSQL is not made yet"
        if self._role.shows and not self._parts.follower.caught_up:
            return "what the fleet knows has not been read yet"
        return ""

    @property
    def problems(self) -> FleetProblems:
        """What may be the matter."""
        there = self.membership.processes
        away = not self._parts.session.is_open
        return FleetProblems(
            away,
            sum(Role(each.role).works for each in there) if there and not away else None,
            tuple(f"{each.role} on {each.host}" for each in self.membership.differing),
        )

    @property
    def processes(self) -> Sequence[Process]:
        """The processes that were alive at the last look."""
        return self.membership.processes

    @property
    def leads(self) -> bool:
        """Whether this process leads."""
        return self.membership.leads

    def start(self) -> None:
        """Begin to take turns and to follow."""
        if self._role.shows:
            self._parts.follower.follow()
        self._parts.engine.start()

    async def run(self) -> None:
        """Keep the connection, lead where nobody does, and follow, until cancelled."""
        self._address = await asyncio.to_thread(reachable, self._listening())  # may ask a name server
        async with asyncio.TaskGroup() as group:
            group.create_task(self.membership.run())
            group.create_task(self._parts.follower.run())

    async def stop(self, grace: float) -> None:
        """Hand the lead over, end the turns in `grace` seconds, and leave."""
        await self.membership.retire()
        await self._parts.engine.stop(grace)
        await self.membership.leave()

    def _digest(self) -> str:
        """Of the configuration that runs, made once of each: it may have many projects."""
        config = self._config()
        if self._digested is None or self._digested[0] is not config:
            self._digested = config, config_digest(config)
        return self._digested[1]

    def _hear(self, report: bytes) -> None:
        """What the process that leads says of the receivers."""
        try:
            self._parts.dispatcher.hear(_receivers.decode(report) if report else ())
        except msgspec.MsgspecError:  # of another release
            self._parts.dispatcher.hear(())

    async def _prepare(self, project: str) -> None:
        """Know of a project what the store knows: another process may have had its last turn."""
        taken = lease.current.get()
        epoch = taken.epoch if taken is not None else 0
        if self._epochs.get(project) != epoch - 1:
            parts = self._parts
            entries = parts.live.entries_of(int(project))
            try:
                await parts.watchlist.read_again([entry.name for entry in entries])
                targets = [target.id for entry in entries for target in parts.live.targets_of(entry)]
                await parts.follower.refresh(targets)
                await parts.follower.refresh_alerts(targets)
            except StoreError:
                self._epochs.pop(project, None)
                return  # the pulls meet the same, and what they find is shown all the same
        self._epochs.pop(project, None)
        self._epochs[project] = epoch
        if not self._role.shows and not self.leads:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forget what is known of the projects whose turns here were longest ago, beyond `PROJECTS_KEPT`."""
        for project in list(self._epochs)[: max(0, len(self._epochs) - PROJECTS_KEPT)]:
            del self._epochs[project]
            for entry in self._parts.live.entries_of(int(project)):
                for target in self._parts.live.targets_of(entry):
                    if target.pull is None:
                        self._parts.follower.forget(target)

    async def _lead(self) -> None:
        parts = self._parts
        if not parts.follower.caught_up:
            await parts.follower.catch_up()
        await parts.engine.lead()
        await parts.dispatcher.start()
        self._alerts = asyncio.create_task(parts.alert_clock.run(), name="alert clock")

    async def _follow(self) -> None:
        parts = self._parts
        if self._alerts is not None:
            self._alerts.cancel()
            await asyncio.gather(self._alerts, return_exceptions=True)
            self._alerts = None
        await parts.engine.follow()
        await parts.dispatcher.stop(PARTING)
        if not self._role.shows:
            parts.follower.rest()


def reachable(listening: str) -> str:
    """`host:port` under which other machines reach what listens on `host:port`, as far as that can be told."""
    host, _, port = listening.rpartition(":")
    if host.strip("[]") not in ("", "0.0.0.0", "::"):
        return listening
    name = socket.gethostname()
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return f"{name}:{port}"
    addresses = [str(info[4][0]) for info in found]
    address = next((each for each in addresses if not each.startswith(("127.", "::1", "fe80"))), name)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def config_digest(config: Config) -> str:
    """Tells configurations apart by what they say, wherever their files are; secrets and what is a process's own have
    no part in it.
    """
    said = config.model_dump_json(exclude={"http": True, "store": True})
    return hashlib.sha256(said.encode()).hexdigest()

"""`Membership`: that this process is one of a fleet: its signs of life, whether it leads, and the server's time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from uuid import uuid4

import structlog

from monitor import __version__
from monitor.engine.base import Role
from monitor.store.errors import StoreError
from monitor.store.fleet import BEAT, FleetSession, Process

CLOCKS_APART = 0.5
"""Seconds by which a machine's clock may differ from the server's before it is corrected: less is within what asking
takes.
"""

log = structlog.get_logger()


class FleetClock:
    """Unix seconds by the server's clock, as far as it was asked: machines whose clocks differ agree.

    Args:
        clock: Unix seconds; one that is not this machine's own is not corrected.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._corrected = clock is time.time
        self._ahead = 0.0

    def __call__(self) -> float:
        """Unix seconds."""
        return self._clock() + self._ahead

    def adjust(self, now: float, took: float) -> None:
        """The server's time is `now`, give or take the `took` seconds that asking for it took."""
        ahead = now - self._clock()
        if self._corrected and abs(ahead - self._ahead) > CLOCKS_APART + took:
            log.warning("clock.differs", seconds=round(-ahead, 1), why="PostgreSQL's clock is taken for the time")
            self._ahead = ahead


class Observer(Protocol):
    """Who shows how the fleet does."""

    def workers(self, number: int | None) -> None: ...  # noqa: D102
    def leader(self, leads: bool) -> None: ...  # noqa: D102
    def configurations_differ(self, number: int | None) -> None: ...  # noqa: D102


class Membership:
    """Keeps the fleet's connection, and leads where nobody else does.

    Args:
        session: The connection.
        role: What the process does.
        clock: Corrected by the server's.
        observer: Shows how the fleet does.
        address: `host:port` that it serves HTTP on.
        digest: Of the configuration that runs.
        report: What it says of itself to the others.
        heard: Called with what the process that leads says of itself.
        lead: Awaited once this process leads; where it fails another process may.
        follow: Awaited once it no longer does.
        connected: Called whenever the connection was made anew.
    """

    def __init__(
        self,
        session: FleetSession,
        role: Role,
        clock: FleetClock,
        observer: Observer,
        address: Callable[[], str],
        digest: Callable[[], str],
        report: Callable[[], bytes],
        heard: Callable[[bytes], None],
        lead: Callable[[], Awaitable[None]],
        follow: Callable[[], Awaitable[None]],
        connected: Callable[[], None],
    ) -> None:
        self._session = session
        self._role = role
        self._clock = clock
        self._observer = observer
        self._address = address
        self._digest = digest
        self._report = report
        self._heard = heard
        self._lead = lead
        self._follow = follow
        self._connected = connected
        self._host = socket.gethostname()
        self._reported = False
        self.leads = False
        self.processes: Sequence[Process] = ()
        """Those that were alive at the last look."""

    @property
    def differing(self) -> tuple[Process, ...]:
        """The live processes whose configuration is not the leader's."""
        leader = next((each for each in self.processes if each.leads), None)
        if leader is None:
            return ()
        return tuple(each for each in self.processes if each.digest != leader.digest)

    async def connect(self) -> None:
        """Connect, and be listed.

        Raises:
            StoreError: PostgreSQL cannot be reached, or refuses it.
        """
        await self._session.open()
        self._connected()
        await self._beat()

    async def run(self) -> None:
        """Keep the connection, give signs of life and lead where nobody does, until cancelled."""
        while True:
            try:
                await self.look()
                self._reported = False
            except StoreError as error:
                (log.debug if self._reported else log.warning)("fleet.away", error=str(error))
                self._reported = True
                await self._stand_down()
            except Exception:  # a bug met in one look must not end the looking
                log.exception("fleet.crashed")
                await self._stand_down()
            await asyncio.sleep(BEAT if self._session.is_open else BEAT / 2)

    async def look(self) -> None:
        """Connect where there is no connection, give a sign of life, and lead where nobody does.

        Raises:
            StoreError: PostgreSQL cannot be reached, or refuses it.
        """
        if not self._session.is_open:
            await self._stand_down()
            await self.connect()
        else:
            await self._beat()
        if not self.leads and await self._session.try_to_lead():
            self.leads = True
            try:
                await self._lead()
            except BaseException:
                await self._session.close()  # and with it the lock: another one may have more luck
                raise
            log.info("fleet.leads", process=self._session.process_id)
            await self._beat()

    async def retire(self) -> None:
        """Lead no more, so that another process does at once; the connection stays."""
        if not self.leads:
            return
        self.leads = False
        await self._follow()
        try:
            await self._session.lead_no_more()
        except StoreError as error:
            log.debug("fleet.away", error=str(error))

    async def leave(self) -> None:
        """Be listed no longer, and disconnect."""
        try:
            await self._session.leave()
        except StoreError as error:
            log.debug("fleet.away", error=str(error))
        await self._session.close()

    async def _beat(self) -> None:
        began = time.monotonic()
        processes, now = await self._session.beat(
            self._role,
            self._host,
            self._address(),
            __version__,
            self._digest(),
            leads=self.leads,
            report=self._report() if self.leads else b"",
        )
        self._clock.adjust(now, time.monotonic() - began)
        self.processes = tuple(each for each in processes if each.alive)
        for each in self.processes:
            if each.leads:
                self._heard(each.report)
        self._observer.leader(self.leads)
        self._observer.workers(sum(Role(each.role).works for each in self.processes) if self.leads else None)
        self._observer.configurations_differ(len(self.differing) if self.leads else None)

    async def _stand_down(self) -> None:
        if self.leads:
            self.leads = False
            log.warning("fleet.leads_no_more", process=self._session.process_id)
            await self._session.close()
            await self._follow()
        self._observer.leader(False)


def new_process_id() -> str:
    """An id of this start of the process."""
    return uuid4().hex

"""`FleetSession`: one connection to PostgreSQL that a process of a fleet keeps: who is there, who leads, who has which
turn, and what has changed.

Each question is one statement, so that nothing is half done when the connection breaks. Times are the server's: the
machines' clocks may differ.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from monitor.lease import Lease
from monitor.store import fleet_statements as statements
from monitor.store.errors import StoreUnavailable
from monitor.store.fleet_statements import GONE
from monitor.store.own_connection import OwnConnection
from monitor.store.together import Together
from monitor.store.transaction import CHANGES

T = TypeVar("T")

BEAT = 2.0
"""Seconds between two signs of life of a process."""
_ANSWER = 10.0
"""Seconds that an answer may take; beyond it the connection is given up."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the fleet.

    Attributes:
        id: Of this start of it.
        role, host, version: What it is, where, and of which release.
        address: `host:port` that it serves HTTP on.
        started: Unix seconds by the server's clock.
        age: Seconds since its last sign of life.
        digest: Of its configuration.
        leads: Whether it said that it leads.
        report: What it says of itself to the others; empty for nothing.
    """

    id: str
    role: str
    host: str
    address: str
    version: str
    started: float
    age: float
    digest: str
    leads: bool
    report: bytes = field(default=b"", repr=False)

    @property
    def alive(self) -> bool:
        """Whether it has given a sign of life lately."""
        return self.age < GONE


@dataclass(frozen=True, slots=True)
class Taken:
    """A turn that was taken.

    Attributes:
        lease: That it is this process's.
        late: For how many seconds what is to be done has been due, by name.
    """

    lease: Lease
    late: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Standing:
    """How turns stand.

    Attributes:
        due: The projects of which something is due and nobody has the turn: since when, in Unix seconds by the server's
            clock.
        running: The projects that have a turn.
        following: Seconds until something else is due; infinite where nothing is planned.
        missing: Whether turns that are due are not offered.
    """

    due: Mapping[str, float]
    running: frozenset[str]
    following: float
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Offers:
    """How a queue offers turns, as parts of statements: what is decided and what is offered is so at once.

    Attributes:
        offer: Offers the turns of the projects in `standing` that have none (`runs`) and are not offered yet.
        missing: Whether that of `standing.project` is not offered.
        withdraw: Withdraws those of the projects in `ended`.
    """

    offer: str
    missing: str
    withdraw: str


class FleetSession:
    """What a process of a fleet asks of PostgreSQL beside the store.

    Args:
        url: Of the store.
        process_id: Of this start of the process.

    Attributes:
        process_id: As given.
        heard: Called with the payload of each announcement of a change.
        offers: How turns are offered, where they are.
    """

    def __init__(self, url: str, process_id: str) -> None:
        self._url = url
        self.process_id = process_id
        self.heard: Callable[[str], None] = lambda payload: None
        self.offers: Offers | None = None
        self._connection: OwnConnection | None = None
        self._lock = asyncio.Lock()
        self._asking: set[asyncio.Future[Any]] = set()
        self._taking = Together(self._take)
        self._ending = Together(self._end)

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as is known."""
        return self._connection is not None

    async def open(self) -> None:
        """Connect, and listen.

        Raises:
            StoreError: The server cannot be reached, or refuses it.
        """
        connection = OwnConnection(self._url, "impulse-monitor fleet")
        try:
            await connection.open()
            await connection.driver.add_listener(CHANGES, self._on_change)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def close(self) -> None:
        """Disconnect; who leads leads no more."""
        connection = self._connection
        self._connection = None
        if connection is not None:
            await connection.close()

    def _on_change(self, _connection: object, _pid: object, _channel: object, payload: object) -> None:
        self.heard(str(payload))

    async def asked(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """What the connection answers to a question, which goes on when its asker is cancelled; one that it does not
        answer ends the connection.

        Raises:
            StoreError: It is not connected, or breaks.
        """
        task = asyncio.ensure_future(self._ask(question))
        self._asking.add(task)
        task.add_done_callback(self._asked)
        return await asyncio.shield(task)

    def _asked(self, task: asyncio.Future[Any]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # that of a question whose asker was cancelled is no error that nobody heard of

    async def _ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        async with self._lock:
            connection = self._connection
            if connection is None:
                raise StoreUnavailable("PostgreSQL cannot be reached by the fleet's own connection; it is tried again")
            try:
                async with asyncio.timeout(_ANSWER):
                    return await question(connection.driver)
            except Exception as error:
                if self._connection is connection:
                    self._connection = None
                    await connection.close()
                raise connection.explained(error) from error

    async def _fetch(self, statement: str, *values: object) -> Sequence[Any]:
        return await self.asked(lambda driver: _rows(driver, statement, values))

    async def _value(self, statement: str, *values: object) -> Any:
        return await self.asked(lambda driver: driver.fetchval(statement, *values))

    async def beat(
        self, role: str, host: str, address: str, version: str, digest: str, *, leads: bool, report: bytes = b""
    ) -> tuple[list[Process], float]:
        """Give a sign of life; answers all processes, and the server's time in Unix seconds."""
        rows = await self._fetch(statements.BEAT, self.process_id, role, host, address, version, digest, leads, report)
        now = rows[0]["now"]
        names = ("id", "role", "host", "address", "version", "started", "age", "digest", "leads", "report")
        return [Process(**{name: row[name] for name in names}) for row in rows], now

    async def leave(self) -> None:
        """Be listed no longer."""
        await self._fetch("DELETE FROM process WHERE id = $1", self.process_id)

    async def try_to_lead(self) -> bool:
        """Lead from now on, until the connection is closed, if nobody else does; who does but gave no sign of life for
        long is cut off, and may be followed at the next attempt.
        """
        return bool(await self._value(statements.LEAD))

    async def lead_no_more(self) -> None:
        """Let another process lead."""
        await self._fetch(f"SELECT pg_advisory_unlock({statements.LEADER})")

    async def take(self, project: str) -> Taken | None:
        """Take the turn of a project; None where it is another's, or there is no such project."""
        return await self._taking.ask(project)

    async def _take(self, projects: Sequence[str]) -> Sequence[Taken | None]:
        asked = time.monotonic()
        rows = await self._ask(lambda driver: _rows(driver, statements.TAKE, (projects, self.process_id)))
        late: dict[str, dict[str, float]] = {}
        leases: dict[str, Lease] = {}
        for row in rows:
            project = row["project"]
            late.setdefault(project, {})
            if project not in leases:
                leases[project] = Lease(project, row["epoch"], asked)
                if row["closed_for"] > 0:
                    leases[project].close(row["closed_for"])
            if row["name"] is not None:
                late[project][row["name"]] = row["late"]
        taken = {project: Taken(lease, late[project]) for project, lease in leases.items()}
        return [taken.pop(project, None) for project in projects]  # of two who ask for one, one gets it

    async def confirm(self, leases: Iterable[Lease]) -> None:
        """Confirm leases, and note until when their keys are closed; those that another process has are lost."""
        held = {lease.project: lease for lease in leases}
        if not held:
            return
        asked = time.monotonic()
        epochs = [lease.epoch for lease in held.values()]
        closed = [lease.closed_for for lease in held.values()]
        kept = {row["project"] for row in await self._fetch(statements.CONFIRM, list(held), epochs, closed)}
        for project, lease in held.items():
            if project in kept:
                lease.confirm(asked)
            else:
                lease.lose()

    async def end(self, lease: Lease, following: Mapping[str, float]) -> bool:
        """End a turn.

        Args:
            lease: It.
            following: When each thing that was done is due next, in Unix seconds by the server's clock.

        Returns:
            Whether it was still this process's.
        """
        return await self._ending.ask((lease, following))

    async def _end(self, ends: Sequence[tuple[Lease, Mapping[str, float]]]) -> Sequence[bool]:
        held = [(lease.project, lease.epoch, lease.closed_for) for lease, _ in ends]
        following = [(lease.project, name, at) for lease, times in ends for name, at in times.items()]
        withdrawn = f", withdrawn AS ({self.offers.withdraw})" if self.offers is not None else ""
        statement = f"{statements.END}{withdrawn} SELECT project FROM ended"
        values = (*_columns(held, 3), *_columns(following, 3))
        rows = await self._ask(lambda driver: _rows(driver, statement, values))
        ended = {row["project"] for row in rows}
        return [lease.project in ended for lease, _ in ends]

    async def plan(self, wanted: Iterable[tuple[str, str, float, float]]) -> None:
        """Plan what turns do: its name, its project, in how many seconds it is due where it is not planned yet, and in
        how many at the latest where it is.
        """
        rows = list(wanted)
        if rows:
            await self._fetch(statements.PLAN, *_columns(rows, 4))

    async def run_now(self, name: str, delay: float) -> None:
        """Let something be due in `delay` seconds, unless it is sooner."""
        await self._fetch(statements.RUN_NOW, name, delay)

    async def unplan(self, names: Iterable[str]) -> None:
        """Let some things be due no more."""
        await self._fetch(statements.UNPLAN, list(names))

    async def keep(self, names: Iterable[str]) -> None:
        """Let everything else be due no more."""
        await self._fetch(statements.KEEP, list(names))

    async def standing(self, *, offer: bool = False) -> Standing:
        """How turns stand, before those that are due are offered.

        Args:
            offer: Whether to offer them.
        """
        offers = self.offers
        offered = f", offered AS ({offers.offer})" if offer and offers is not None else ""
        missing = offers.missing if offers is not None else "false"
        rows = await self._fetch(f"{statements.DUE}{offered}{statements.STANDING % missing}")
        due = {
            row["project"]: row["at"] for row in rows if row["project"] and row["at"] is not None and not row["runs"]
        }
        running = frozenset(row["project"] for row in rows if row["runs"])
        following = next((row["at"] for row in rows if row["project"] is None), None)
        lacking = any(row["missing"] and not row["runs"] for row in rows)
        return Standing(due, running, math.inf if following is None else following, lacking)

    async def open_all(self) -> None:
        """Let every key be used at once."""
        await self._fetch("UPDATE turn SET closed_until = 0 WHERE closed_until > 0")

    async def forget(self) -> None:
        """Forget the processes that are gone for long."""
        await self._fetch(statements.FORGET)

    async def snapshot(self) -> int:
        """The oldest transaction that has not ended: what has not been seen by now is of it or a later one."""
        number: int = await self._value(statements.SNAPSHOT)
        return number

    async def changed_since(self, snapshot: int) -> list[str]:
        """What was changed by this transaction or a later one, as far as these have ended."""
        return [row["subject"] for row in await self._fetch(statements.CHANGED, snapshot)]


async def _rows(driver: Any, statement: str, values: Sequence[object]) -> Sequence[Any]:
    rows: Sequence[Any] = await driver.fetch(statement, *values)
    return rows


def _columns(rows: Sequence[tuple[Any, ...]], number: int) -> list[list[Any]]:
    """The columns of rows of so many."""
    return [[row[column] for row in rows] for column in range(number)]

"""What a store knows of each target, read without changing it: for `check`, beside a service that may be running."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, Text, cast, func, select, text

from monitor.compare.comparison import Comparison
from monitor.errors import PullState
from monitor.figures.units import undecided
from monitor.store import documents, engine, schema
from monitor.store.migrate import check_version
from monitor.store.probing import explained, postgresql_server, sqlite_file

YEAR = 365 * 86_400.0
_run = schema.run.c


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What the good runs of one target say, of the last year.

    Attributes:
        target_id: `TargetKey.id`.
        comparison: That of the last one; None where there is none that can be read.
        changed: How often the result set was another one than before.
        trainings: How often the model was trained again.
        seconds: From the first to the last of them.
        undecided: Whether there are too few groups to tell whether their samples are alike.
    """

    target_id: str
    comparison: Comparison | None
    changed: int
    trainings: int
    seconds: float
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What a store knows.

    Attributes:
        targets: Those that have good runs, by id.
        discoveries: What was found of the projects, as `live.discoveries` keeps it.
    """

    targets: tuple[Surveyed, ...] = ()
    discoveries: tuple[bytes, ...] = ()


async def survey(url: str, now: float, *, servers: bool) -> Survey:
    """What a store knows of each target; nothing where it does not exist yet or has the tables of another version.

    Args:
        url: As the configuration has it.
        now: Unix seconds.
        servers: Whether a database server is asked, and not only a file.

    Raises:
        StoreError: It cannot be read: why, and what to do.
    """
    parsed = engine.parse(url)
    where = engine.describe(parsed)
    with explained(where):
        if parsed.get_backend_name() == "sqlite":
            return await asyncio.to_thread(_survey_sqlite, Path(str(parsed.database)), where, now)
        return await _survey_postgresql(parsed, where, now) if servers else Survey()


def _survey_sqlite(path: Path, where: str, now: float) -> Survey:
    if not path.exists():
        return Survey()
    with sqlite_file(path, "ro") as connection:
        return _survey(connection, where, now)


async def _survey_postgresql(url: URL, where: str, now: float) -> Survey:
    async with postgresql_server(url) as connection:
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        return await connection.run_sync(_survey, where, now)


def _survey(connection: Connection, where: str, now: float) -> Survey:
    if not check_version(connection, where):
        return Survey()
    good = _run.state == str(PullState.OK)
    seen = (
        func.max(_run.last_seen, _run.finished)
        if connection.dialect.name == "sqlite"
        else func.greatest(_run.last_seen, _run.finished)
    )
    past = (
        select(
            _run.target_id,
            func.max(_run.id).label("last"),
            func.count().filter(_run.changed).label("changed"),
            func.count(_run.trained.distinct()).label("trained"),
            (func.max(seen) - func.min(_run.finished)).label("seconds"),
        )
        .where(good, seen >= now - YEAR)
        .group_by(_run.target_id)
        .subquery()
    )
    columns = (cast(schema.figures.c[name], Text).label(name) for name in ("comparison", "evaluation"))
    last = select(past, *columns).select_from(past.join(schema.run, _run.id == past.c.last).outerjoin(schema.figures))
    targets = [
        Surveyed(
            row.target_id,
            _readable(row.comparison),
            row.changed,
            max(row.trained - 1, 0),
            row.seconds,
            _undecided(row.evaluation),
        )
        for row in connection.execute(last.order_by(past.c.target_id))
    ]
    kept = select(schema.state.c.value).where(schema.state.c.kind == "discovery").order_by(schema.state.c.key)
    return Survey(tuple(targets), tuple(bytes(value) for value in connection.execute(kept).scalars()))


def _readable(document: str | None) -> Comparison | None:
    try:
        return documents.load_comparison(document) if document else None
    except ValueError:  # the next good pull makes another one
        return None


def _undecided(document: str | None) -> bool:
    try:
        return undecided(documents.load_evaluation(document).units) if document else False
    except ValueError:  # likewise
        return False

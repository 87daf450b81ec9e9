"""What can go wrong with the store, and what to do about it.

::

    MonitorError
    └── StoreError             the store refused something; `str()` says what, where, and what to do next
        ├── StoreUnavailable   it cannot be used right now (full, locked, unreachable, read-only); may recover by itself
        ├── StoreRefused       it is well, but does not take this: it refers to what is gone, or is too large
        │   └── StoreFenced    another process has taken the turn over that this would be written for
        ├── StoreCorrupt       what is stored is damaged
        └── StoreTooNew        it was written by a newer version than this one
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from monitor.errors import LONGEST_ERROR, SHORTEST_QUOTE, MonitorError, quoted


class StoreError(MonitorError):
    """The store refused something."""


class StoreUnavailable(StoreError):
    """The store cannot be used right now; the next attempt may succeed without a restart."""


class StoreRefused(StoreError):
    """The store is well, but does not take what it was given."""


class StoreFenced(StoreRefused):
    """Another process of the fleet has taken over the turn that this was to be written for."""


class StoreCorrupt(StoreError):
    """The database, or a result set in it, is damaged."""


class StoreTooNew(StoreError):
    """The database, or a result set in it, was written by a newer version."""


_RESTART = "and start the service again"
_POOLED = (
    "is behind a pooler such as PgBouncer; write `?prepared_statements=off` at the end of `store` in the "
    f"configuration, {_RESTART}"
)
_GOES_ON = "the store goes on by itself, with nothing lost"
_START_ANEW = "move the file away to go on with an empty store, or stop the service and put a copy in its place"

_SQLITE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_BUSY: (
        StoreUnavailable,
        "is locked by another program; end that program or wait for it, then " + _GOES_ON,
    ),
    sqlite3.SQLITE_FULL: (StoreUnavailable, "cannot grow, the disk is full; free some space, then " + _GOES_ON),
    sqlite3.SQLITE_READONLY: (StoreUnavailable, "may not be written; let this user write the file and its folder"),
    sqlite3.SQLITE_CANTOPEN: (
        StoreUnavailable,
        "cannot be opened or created; check that its folder exists and this user may write there",
    ),
    sqlite3.SQLITE_IOERR: (
        StoreUnavailable,
        "cannot be read or written, the disk reports an error; check the disk and its mount",
    ),
    sqlite3.SQLITE_CORRUPT: (StoreCorrupt, "is damaged; " + _START_ANEW),
    sqlite3.SQLITE_NOTADB: (StoreCorrupt, "is not a SQLite database, or is damaged; " + _START_ANEW),
    sqlite3.SQLITE_TOOBIG: (
        StoreRefused,
        "cannot hold a value of this size; use PostgreSQL, or narrow the project's filters",
    ),
    sqlite3.SQLITE_CONSTRAINT: (StoreRefused, "refused it: it refers to a run that is not in the store (any more)"),
}
"""By primary result code (https://www.sqlite.org/rescode.html)."""

_POSTGRESQL: dict[str, tuple[type[StoreError], str]] = {
    "53100": (StoreUnavailable, "cannot grow, the server's disk is full; free some space there, then " + _GOES_ON),
    "55P03": (
        StoreUnavailable,
        "is locked by another session; see pg_locks, end that session or wait for it, then " + _GOES_ON,
    ),
    "42P05": (StoreUnavailable, _POOLED),
    "26000": (StoreUnavailable, _POOLED),
    "3D000": (
        StoreUnavailable,
        f"does not exist; create the database, or correct `store` in the configuration {_RESTART}",
    ),
    "25006": (StoreUnavailable, f"is read-only (a standby?); name the primary server in `store` {_RESTART}"),
    "42501": (StoreUnavailable, "denies this user a right it needs; make the user the owner of the database"),
    "3F000": (StoreUnavailable, "has no schema that this user may use; make the user the owner of the database"),
    "28": (
        StoreUnavailable,
        f"refuses this user; see the server's pg_hba.conf, or correct user and password in `store` {_RESTART}",
    ),
    "08": (
        StoreUnavailable,
        f"cannot be reached; check that the server runs, or correct the address in `store` {_RESTART}",
    ),
    "40": (StoreUnavailable, "undid it because another session got in the way; the next run tries again"),
    "53": (StoreUnavailable, "is short of resources; see the server's log"),
    "57": (StoreUnavailable, "is stopping, starting or cancelled it; once it runs, the store goes on by itself"),
    "23503": (StoreRefused, "refused it: it refers to a run that is not in the store (any more)"),
    "22": (StoreRefused, "cannot hold a value of this kind or size"),
    "XX": (StoreCorrupt, "reports an internal error or damaged data; see the server's log, restore a copy"),
}
"""By SQLSTATE, else by its class (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

_PGBOUNCER = {"startup parameter": (StoreUnavailable, _POOLED), "authentication failed": _POSTGRESQL["28"]}
"""By what is said: PgBouncer gives all that it refuses by itself the SQLSTATE 08P01."""

_FOR_COMMANDS = (
    (f"then {_GOES_ON}", "then try again"),
    ("once it runs, the store goes on by itself", "try again once it runs"),
    ("the store goes on by itself", "then try again"),
    ("the next run tries again", "try again"),
    (f", {_RESTART}", ""),
    (f" {_RESTART}", ""),
    ("`store` in the configuration", "its URL"),
    ("in `store`", "in its URL"),
    (_START_ANEW, "restore a copy that is whole"),
)
"""What a service does by itself or reads in its configuration, and what to do instead where a command was given URLs.
"""

_UNREACHABLE = _POSTGRESQL["08"][1]


def explain(error: BaseException, where: str) -> StoreError | None:
    """What an exception of a driver means for the operator; None for an exception that is not the database's doing.

    Args:
        error: As it was raised.
        where: The store's address, without secrets.
    """
    chain = list(_chain(error))
    for cause in chain:
        if (code := getattr(cause, "sqlite_errorcode", None)) is not None and (known := _SQLITE.get(code & 0xFF)):
            return _error(known, where, cause)
        if getattr(cause, "sqlstate", None) == "08P01":
            for said, known in _PGBOUNCER.items():
                if said in str(cause):
                    return _error(known, where, cause)
        if isinstance(state := getattr(cause, "sqlstate", None), str) and (
            known := _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2])
        ):
            return _error(known, where, cause)
    for cause in chain:
        if isinstance(cause, TimeoutError):
            return StoreUnavailable(
                f"store {where} did not answer in time; see whether it or its disk hangs; the store goes on by itself"
            )
        if isinstance(cause, OSError) or ("connection" in str(cause) and _of_asyncpg(cause)):
            return _error((StoreUnavailable, _UNREACHABLE), where, cause)
    if isinstance(error, (SQLAlchemyError, sqlite3.Error)) or _of_asyncpg(error):
        return _error((StoreError, "refused it; please report this"), where, chain[-1])
    return None


def for_command(error: StoreError) -> StoreError:
    """The same error for a command that was given the store's URL: it ends, while a service goes on by itself."""
    said = str(error)
    for of_service, of_command in _FOR_COMMANDS:
        said = said.replace(of_service, of_command)
    return type(error)(said)


def _error(known: tuple[type[StoreError], str], where: str, cause: BaseException) -> StoreError:
    kind, advice = known
    said = str(cause).split("\n", 1)[0]
    if said.startswith("<class "):  # as SQLAlchemy's errors for asyncpg do
        said = said.partition(">: ")[2]
    room = LONGEST_ERROR - len(f"store  {advice}")
    if len(where) > room:
        where = f"…{where[1 - room :]}"  # the end of a path says more than its beginning
    room -= len(f"{where} ()")
    # the advice says it in better words
    quote = f" ({quoted(said, room)})" if room >= min(len(said), SHORTEST_QUOTE) else ""
    return kind(f"store {where} {advice}{quote}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was raised from, the outermost first."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or getattr(cause, "orig", None)


def _of_asyncpg(error: BaseException) -> bool:
    """Whether asyncpg raised it: the driver's own class, which is imported only where PostgreSQL is used."""
    return type(error).__module__.partition(".")[0] == "asyncpg"

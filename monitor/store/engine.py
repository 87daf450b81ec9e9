"""From a store's URL to a SQLAlchemy engine whose connections are set up as the store needs them."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from monitor.errors import not_installed
from monitor.store.errors import StoreError
from monitor.store.sqlite_cursor import use_one_message

CONNECT_TIMEOUT = 10.0
"""Seconds for PostgreSQL to accept a connection, unless `connect_timeout` says otherwise."""
RECYCLE = 300
"""Seconds that a connection to PostgreSQL is used: firewalls forget idle ones without a word, and
only a timeout shows.
"""
LONGEST_IDLE = 8.0
"""Seconds that a transaction on PostgreSQL may wait for its client: a little is computed meanwhile, and a fleet's turn
cannot be taken over before.
"""
WAL_KEPT = 64 * 2**20
"""Bytes that SQLite's write-ahead log keeps on disk after one large result set blew it up."""

_SQLITE = "sqlite:///"
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SERVERS = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
_OPTIONS: Mapping[str, tuple[str, str]] = {
    "application_name": (r"[\x20-\x7e]{1,63}", "a name of up to 63 characters"),
    "connect_timeout": (r"[1-9][0-9]{0,3}", "seconds, 1 or more"),
    "host": (r".+", "a host, or the folder of a socket"),
    "passfile": (r".+", "the path of a file"),
    "port": (r"[0-9]{1,5}", "a number"),
    "prepared_statement_cache_size": (r"[0-9]{1,6}", "a number; 0 for none"),
    "prepared_statements": (r"on|off", "on or off"),
    "sslmode": ("|".join(_MODES), f"one of {', '.join(_MODES)}"),
    "target_session_attrs": ("|".join(_SERVERS), f"one of {', '.join(_SERVERS)}"),
}
"""The options of a PostgreSQL URL: what each may be, as a pattern and in words. Only `host` may be repeated."""
_OURS = ("application_name", "connect_timeout", "prepared_statement_cache_size", "prepared_statements")
PING_AFTER = 30.0
"""Seconds for which a connection to PostgreSQL may have been idle without being asked whether it still answers."""
WRITES = "impulse_monitor_writes"
"""Execution option of connections that write: they begin a transaction. SQLite then takes its lock at BEGIN, where
waiting for it is possible.
"""


def _as_is(text: str) -> str:
    return text


PLAIN: Mapping[str, Any] = {"hide_parameters": True, "json_serializer": _as_is, "json_deserializer": _as_is}
"""Options of every engine: JSON is text, and errors do not repeat what is stored."""


def parse(url: str) -> URL:
    """The URL of a store, with the driver that serves it.

    Raises:
        StoreError: It is none of the forms that the configuration accepts, or has an unknown option.
    """
    if url.startswith(_SQLITE):  # the rest is a path as it is: spaces, % and ? included
        return URL.create("sqlite+aiosqlite", database=url.removeprefix(_SQLITE))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername != "postgresql":
        raise StoreError(
            "the store's URL is not sqlite:///file.db nor postgresql://user@host/database; write one of the two"
        )
    if "@" in (parsed.host or "") + (parsed.database or ""):  # the rest of a password, which must not be shown
        raise StoreError("the store's URL holds an @ in its user or password; write %40 in place of it")
    if "@" in url.partition("?")[2]:
        raise StoreError("the store's URL holds an @ in its options; write %40 in place of it")
    if missing := not_installed("asyncpg", "postgresql"):
        raise StoreError(f"the store's URL needs PostgreSQL's driver asyncpg, {missing}")
    _check_options(parsed.query)
    if ssl := parsed.query.get("sslmode"):  # the name everyone knows, from libpq; asyncpg's own is `ssl`
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": ssl})
    parsed = parsed.set(drivername="postgresql+asyncpg")
    try:
        parsed.get_dialect()().create_connect_args(parsed)
    except (ArgumentError, ValueError):  # its message repeats the text
        raise StoreError(
            "the store's URL has hosts or ports that do not go together; write host=NAME:PORT for each"
        ) from None
    return parsed


def _check_options(options: Mapping[str, str | tuple[str, ...]]) -> None:
    if unknown := sorted(options.keys() - _OPTIONS.keys()):
        raise StoreError(
            f"the store's URL has options that are not known: {', '.join(unknown)}; write only {', '.join(_OPTIONS)}"
        )
    for name, value in options.items():
        pattern, meant = _OPTIONS[name]
        if not isinstance(value, str) and name != "host":
            raise StoreError(f"the store's URL has {name} more than once; keep one")
        if not all(re.fullmatch(pattern, each) for each in ([value] if isinstance(value, str) else value)):
            raise StoreError(f"the store's URL has an option {name} that cannot be used; write {meant}")


def shareable(url: str) -> bool:
    """Whether several processes can share their turns by a store: a PostgreSQL that keeps locks and listeners for a
    connection, which a pooler in transaction mode does not.

    Raises:
        StoreError: The URL is none that the configuration accepts.
    """
    parsed = parse(url)
    return parsed.get_backend_name() == "postgresql" and parsed.query.get("prepared_statements") != "off"


def describe(url: URL) -> str:
    """Where a store is, for people: no password, and of the options only the host's socket."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "localhost"
    user = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{user}{host}{port}/{url.database}"


def new_engine(
    url: URL, lock_timeout: float, pool: type[Pool] | None = None, verify: Callable[[], None] = lambda: None
) -> AsyncEngine:
    """An engine for the store.

    JSON goes in and comes out as text: it is made and read in a worker thread, not in the event loop.

    Args:
        url: As `parse` gives it.
        lock_timeout: Seconds that a statement waits for another program's lock.
        pool: Another kind of pool than SQLAlchemy's default.
        verify: Called before each connection to a SQLite file; none is made where it raises.
    """
    options: dict[str, Any] = {
        **PLAIN,
        "poolclass": pool,
    }
    if pool is None:
        # the connection that was last in use is taken: its caches are warm, and it needs no ping
        options["pool_use_lifo"] = True
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(url, **options)
        prepare_sqlite(engine.sync_engine, lock_timeout)
        event.listen(engine.sync_engine, "do_connect", lambda *_: verify())
        use_one_message(engine.sync_engine)
        return engine
    ours = {name: value for name, value in url.query.items() if name in _OURS and isinstance(value, str)}
    pooled = ours.get("prepared_statements") == "off"
    lock = f"{round(lock_timeout * 1000)}ms"
    connect = _pooled_connection() if pooled else _own_connection(lock)
    connect["timeout"] = float(ours.get("connect_timeout", CONNECT_TIMEOUT))
    connect["server_settings"]["application_name"] = ours.get("application_name", "impulse-monitor")
    if (size := ours.get("prepared_statement_cache_size")) is not None and not pooled:
        connect["prepared_statement_cache_size"] = connect["statement_cache_size"] = int(size)
    url = url.difference_update_query(_OURS)
    engine = create_async_engine(url, pool_recycle=RECYCLE, connect_args=connect, **options)
    _ping_idle(engine.sync_engine)
    if pooled:
        event.listen(
            engine.sync_engine,
            "begin",
            lambda connection: connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{lock}'"),
        )
    return engine


def reading(url: URL) -> dict[str, Any]:
    """The execution options of connections that only read: each statement stands for itself, without BEGIN and
    ROLLBACK around it.

    A pooler in transaction mode gives statements outside a transaction to any connection, so that there the preparation
    of a statement could go to one and its execution to another: behind one, reads are transactions, too. SQLite's
    connections need no option (`prepare_sqlite`).
    """
    if url.get_backend_name() == "sqlite" or url.query.get("prepared_statements") == "off":
        return {WRITES: False}
    return {WRITES: False, "isolation_level": "AUTOCOMMIT"}


def _ping_idle(engine: Engine) -> None:
    """Ask connections that were idle for a while whether they still answer, in one statement.

    The pool's own ping is made of three, before each use: BEGIN and ROLLBACK are around it for poolers' sake. This one
    is a single message of the protocol, which any connection behind a pooler may take. That a server has closed a
    connection its driver knows by itself.
    """

    @event.listens_for(engine, "checkin")
    def returned(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        driver = connection.driver_connection
        idle = time.monotonic() - record.info.get("idle_since", math.inf)  # a new one was never idle
        if driver.is_closed():
            raise DisconnectionError
        if idle > PING_AFTER:
            try:
                connection.run_async(lambda driver: driver.execute(";"))
            except Exception as error:
                raise DisconnectionError from error


def _own_connection(lock_timeout: str) -> dict[str, Any]:
    """How to connect to the server itself."""
    # A client that vanished gives its locks back after minutes, not hours; one that was stopped in the middle of a
    # transaction, while another process waits to take its turn over, after seconds.
    idle = f"{round(LONGEST_IDLE * 1000)}ms"
    settings = {"lock_timeout": lock_timeout, "tcp_keepalives_idle": "60", "idle_in_transaction_session_timeout": idle}
    return {"server_settings": settings}


def _pooled_connection() -> dict[str, Any]:
    """How to connect to a pooler that gives each transaction another connection: nothing may be left on it for the next
    one.

    https://www.pgbouncer.org/features.html#sql-feature-map-for-pooling-modes; a pooler refuses settings at the start,
    too.
    """
    return {
        "server_settings": {},
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"monitor_{uuid4().hex}",
    }


def new_sqlite_engine(url: URL, lock_timeout: float) -> Engine:
    """An engine for a SQLite file whose connections write and are used by one thread, apart from the store's own.

    Args:
        url: As `parse` gives it.
        lock_timeout: Seconds that a statement waits for another program's lock.
    """
    engine = create_engine(url.set(drivername="sqlite"), poolclass=NullPool, **PLAIN)
    prepare_sqlite(engine, lock_timeout)
    return engine.execution_options(**{WRITES: True})


def prepare_sqlite(engine: Engine, lock_timeout: float) -> None:
    """Set up the connections of an engine for SQLite, and when their transactions begin."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: `begun` does
        cursor = connection.cursor()
        try:
            for pragma in (
                f"busy_timeout={round(lock_timeout * 1000)}",
                "journal_mode=WAL",
                "synchronous=FULL",  # an acknowledged transaction is on the disk, not only in the log's page cache
                "foreign_keys=ON",
                f"journal_size_limit={WAL_KEPT}",
                # Debian's SQLite writes zeros over all that is deleted: a large result set held its lock meanwhile
                "secure_delete=FAST",
            ):
                cursor.execute(f"PRAGMA {pragma}")
        except Exception:
            connection.close()  # nobody else would: the pool has not taken it yet
            raise
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

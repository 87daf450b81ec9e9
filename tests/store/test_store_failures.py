"""What the store says when it cannot be used, and that it goes on by itself."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitor.store import Message, Store, StoreCorrupt, StoreError, StoreUnavailable, errors
from monitor.store.engine import new_engine, parse
from tests.store.store_sets import TARGET, add, result_set, run

NOBODY = 65534


async def goes_on(store: Store, runs: int) -> None:
    """The store finds out by itself that it can be written again, and has what was acknowledged."""
    assert not store.healthy
    assert await store.check()
    assert store.healthy
    assert store.problem is None
    await add(store, run(99))
    assert len(await store.runs(TARGET)) == runs + 1


@pytest.fixture
def path(sqlite: str) -> Path:
    """The file that `sqlite` names."""
    return Path(sqlite.removeprefix("sqlite:///"))


async def test_sqlite_survives_a_loss_of_power(sqlite: str) -> None:
    """On SQLite every commit waits for the disk, readers do not hold up writers, and references are enforced."""
    names = ("journal_mode", "synchronous", "foreign_keys")
    engine = new_engine(parse(sqlite), lock_timeout=1)
    async with engine.connect() as connection:
        found = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in names]
    await engine.dispose()

    assert found == ["wal", 2, 1]


async def test_not_open() -> None:
    """A store that was not opened is not healthy, and says so."""
    store = Store("sqlite:////nowhere/at/all.db")
    assert not store.healthy
    assert "is not open yet" in str(store.problem)
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///{folder}/none/x.db",
        "mysql://u:s3cret@host/db",
        "sqlite://s3cret",
        "s3cret",
        "postgresql://u:s3cret@host:port/db",
        "postgresql://u:s3cret@127.0.0.1:9/db",
        "postgresql://u:s3cret@127.0.0.1:9/db?sslmode=disable",
        "postgresql://u@127.0.0.1/db?password=s3cret",
    ],
)
async def test_no_such_store(url: str, tmp_path: Path) -> None:
    """A URL that leads nowhere is an error that says what to do, and shows no password anywhere."""
    with pytest.raises(
        StoreError, match=r"write one of the two|correct it in the configuration|check that|write only"
    ) as caught:
        async with Store(url.format(folder=tmp_path)):
            pytest.fail("it opened")

    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_repr_has_no_password() -> None:
    """A store's repr shows where it is, without the password."""
    store = Store("postgresql://watcher:s3cret@db.example.com:5433/monitor?sslmode=require")
    assert repr(store) == "Store(postgresql://watcher@db.example.com:5433/monitor)"


async def test_locked_file(sqlite: str, path: Path) -> None:
    """A file that another program holds is given up after the lock timeout; reading works meanwhile; then the store
    goes on.
    """
    async with Store(sqlite, lock_timeout=0.2) as store:
        await add(store, run(1))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match=r"100%25.db is locked by another program; end that program"):
            await add(store, run(2))
        assert len(await store.runs(TARGET)) == 1
        assert not await store.check()
        other.execute("ROLLBACK")
        other.close()

        await goes_on(store, 1)


async def test_locked_for_a_moment(sqlite: str, path: Path) -> None:
    """A lock that is released in time is waited for, without stopping the event loop."""
    async with Store(sqlite, lock_timeout=120) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(add(store, run(1)))
        await asyncio.sleep(0.2)
        assert not writing.done()
        other.execute("ROLLBACK")
        other.close()

        await writing
        assert store.healthy


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to have a header" * 100, b"SQLite format 3\0" + bytes(4096)]
)
async def test_not_a_database(sqlite: str, path: Path, content: bytes) -> None:
    """A file that is no database is left as it is."""
    path.write_bytes(content)
    with pytest.raises(
        StoreCorrupt, match=r"move the file away to go on with an empty store, or stop the service and put a copy"
    ):
        async with Store(sqlite):
            pytest.fail("it opened")

    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "ask",
    [lambda store: store.runs(TARGET), lambda store: store.messages("chat"), lambda store: store.drift_states(TARGET)],
    ids=["runs", "messages", "drift states"],
)
async def test_damaged_file(sqlite: str, path: Path, ask: Callable[[Store], Awaitable[object]]) -> None:
    """Pages overwritten with rubbish are an error that names the file, not a crash and not wrong runs."""
    async with Store(sqlite) as store:
        for number in range(50):
            await add(store, run(number), result_set(seed=number))
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))

    with pytest.raises(StoreCorrupt, match=r"100%25.db is damaged; move the file away"):
        async with Store(sqlite) as store:
            await ask(store)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder of one's own, as a user whom permissions bind."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        os.chmod(name, 0o777)
        if root:
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)
            os.chmod(name, 0o777)


async def test_read_only_folder(unprivileged: Path) -> None:
    """A store that cannot be created says who must be allowed what; once that is done, it opens."""
    folder = unprivileged / "in"
    folder.mkdir()
    folder.chmod(0o555)
    store = Store(f"sqlite:///{folder}/x.db")
    with pytest.raises(StoreUnavailable, match=r"x.db cannot be opened or created; check that its folder exists"):
        await store.open()
    folder.chmod(0o755)

    await store.open()
    assert store.healthy
    await store.close()


async def test_read_only_file(unprivileged: Path) -> None:
    """A file that may not be written says so."""
    file = unprivileged / "x.db"
    async with Store(f"sqlite:///{file}") as store:
        await add(store, run(1))
    file.chmod(0o444)
    with pytest.raises(StoreUnavailable, match=r"x.db may not be written; let this user write the file and its folder"):
        async with Store(f"sqlite:///{file}"):
            pytest.fail("it opened")


FULL = """
import asyncio, dataclasses, pathlib, sys
sys.path[:0] = sys.argv[1:2]
from tests.store.store_sets import TARGET, drift_state, result_set, run
from monitor.store import Message, Store, StoreUnavailable

async def add(store, number):
    results = result_set(2000, seed=number)
    packed = await store.pack(TARGET, results, results.fingerprint())
    async with store.transaction() as tx:
        await tx.enqueue(Message("chat", "A", number, bytes(100)))
        await tx.put_drift_states(TARGET, {5: drift_state(1000, seed=number)})
        await tx.add_run(dataclasses.replace(run(number), fingerprint=packed.fingerprint), packed)

async def main():
    ballast = pathlib.Path("/mnt/ballast")
    ballast.write_bytes(bytes(2**20))
    async with Store("sqlite:////mnt/x.db") as store:
        written = 0
        try:
            while written < 1000:
                await add(store, written)
                written += 1
        except StoreUnavailable as error:
            print(error)
        assert not store.healthy
        assert len(await store.runs(TARGET)) == written > 0
        ballast.unlink()
        assert await store.check() and store.healthy
        assert await store.message_counts() == {"chat": written}
        kept = (await store.drift_states(TARGET))[5].evidence.reference.value
        assert (kept == drift_state(1000, seed=written - 1).evidence.reference.value).all()
        await add(store, written)
        assert len(await store.runs(TARGET)) == written + 1
        assert await store.message_counts() == {"chat": written + 1}

asyncio.run(main())
"""


def test_full_disk(program: Callable[[str], str]) -> None:
    """On a full disk a run is refused as a whole and what was acknowledged can be read; with room again, the store goes
    on.
    """
    inside = [
        program("unshare"),
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount -t tmpfs -o size=4m tmpfs /mnt && exec "$@"',
        "sh",
    ]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a small disk in a namespace")
    done = subprocess.run(
        [*inside, sys.executable, "-c", FULL, str(Path(__file__).parents[2])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "store /mnt/x.db cannot grow, the disk is full; free some space, then the store goes on by itself, with "
        "nothing lost"
    )


async def test_server_stops_and_comes_back(server: Any, postgresql: str) -> None:
    """While PostgreSQL is away every access fails with what to do; when it is back, the store goes on."""
    async with Store(postgresql) as store:
        await add(store, run(1))
        server.control("-m", "immediate", "stop")
        try:
            for access in (lambda: add(store, run(2)), lambda: store.runs(TARGET)):
                with pytest.raises(
                    StoreUnavailable, match=r"postgresql://postgres@/tmp/.* (cannot be reached|is stopping)"
                ):
                    await access()
            assert not await store.check()
        finally:
            server.start()

        await goes_on(store, 1)


async def test_server_stops_inside_a_transaction(server: Any, postgresql: str) -> None:
    """A transaction that loses its server is not acknowledged, and nothing of it is there later."""

    async def losing(store: Store) -> None:
        async with store.transaction() as tx:
            await tx.add_run(run(1))
            await tx.enqueue(Message("chat", "A", 1.0, b""))
            server.control("-m", "immediate", "stop")
            server.start()

    async with Store(postgresql) as store:
        with pytest.raises(StoreUnavailable, match=r"cannot be reached|is stopping"):
            await losing(store)

        await goes_on(store, 0)
        assert await store.message_counts() == {}


@asynccontextmanager
async def frozen(database: str, server: Any) -> AsyncIterator[None]:
    """The server's processes for this database stand still, as if the network were cut."""
    connection = await asyncpg.connect(host=str(server.folder), user="postgres", database="postgres")
    rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE datname = $1", database)
    await connection.close()
    assert rows
    for row in rows:
        os.kill(row["pid"], signal.SIGSTOP)
    try:
        yield
    finally:
        for row in rows:
            os.kill(row["pid"], signal.SIGCONT)


async def test_server_does_not_answer(server: Any, database: str) -> None:
    """A server that takes statements and never answers is given up in time; the store goes on with new connections."""
    async with Store(server.url(database), timeout=0.5) as store:
        await add(store, run(1))
        async with frozen(database, server):
            with pytest.raises(StoreUnavailable, match="did not answer in time"):
                await asyncio.wait_for(add(store, run(2)), 120)

        await goes_on(store, 1)


async def test_connections_that_nobody_answers(server: Any, database: str) -> None:
    """After one connection proved dead the other idle ones are not tried, each for its own timeout."""
    async with Store(server.url(database), timeout=0.5) as store:
        await asyncio.gather(*(store.runs(TARGET) for _ in range(5)))
        async with frozen(database, server):
            with pytest.raises(StoreUnavailable, match="did not answer in time"):
                await asyncio.wait_for(store.runs(TARGET), 120)
            assert await asyncio.wait_for(store.check(), 120)

        await add(store, run(1))


async def test_closes_without_an_answer(server: Any, database: str) -> None:
    """A store closes in some seconds, whether a statement or idle connections are left without an answer."""
    store = Store(server.url(database))
    await store.open()
    await asyncio.gather(*(store.runs(TARGET) for _ in range(3)))
    async with frozen(database, server):
        asking = asyncio.create_task(store.runs(TARGET))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.wait_for(store.close(), 120)
        await asyncio.gather(asking, return_exceptions=True)

    assert asking.cancelled()


async def test_locked_table(server: Any, database: str) -> None:
    """A table that another session holds is given up after the lock timeout."""
    async with Store(server.url(database), lock_timeout=0.2) as store:
        other = await asyncpg.connect(host=str(server.folder), user="postgres", database=database)
        async with other.transaction():
            await other.execute("LOCK TABLE run")
            with pytest.raises(StoreUnavailable, match="is locked by another session; see pg_locks"):
                await add(store, run(1))
        await other.close()

        await goes_on(store, 0)


async def test_servers_disk_is_full(server: Any, database: str) -> None:
    """PostgreSQL's own report of a full disk becomes an error that says where to free space."""
    async with Store(server.url(database)) as store:
        await server.execute(
            "CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; "
            "CREATE TRIGGER disk_full BEFORE INSERT ON run EXECUTE FUNCTION disk_full()",
            database,
        )
        with pytest.raises(
            StoreUnavailable, match=r"cannot grow, the server's disk is full.*\(could not extend file\)"
        ):
            await add(store, run(1))
        await server.execute("DROP TRIGGER disk_full ON run", database)

        await goes_on(store, 0)


@pytest.mark.parametrize(
    ("database_name", "user", "said"),
    [
        ("nosuch", "postgres", "does not exist; create the database"),
        ("postgres", "nobody", "refuses this user; see the server's pg_hba.conf"),
    ],
)
async def test_wrong_database_or_user(server: Any, database_name: str, user: str, said: str) -> None:
    """PostgreSQL's refusals say what in the configuration to correct."""
    with pytest.raises(StoreUnavailable, match=said):
        async with Store(server.url(database_name, user)):
            pytest.fail("it opened")


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        ("", "has no schema that this user may use"),
        ("GRANT USAGE ON SCHEMA public TO guest", "denies this user a right it needs"),
    ],
)
async def test_no_rights(server: Any, database: str, grant: str, said: str) -> None:
    """A user who may not create tables is told that it has to own the database."""
    await server.execute(f"DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN; {grant}", database)
    try:
        with pytest.raises(StoreUnavailable, match=f"{said}.*; make the user the owner of the database"):
            async with Store(server.url(database, "guest")):
                pytest.fail("it opened")
    finally:
        await server.execute("DROP OWNED BY guest; DROP ROLE guest", database)


async def test_errors_of_others_stay_theirs(store: Store) -> None:
    """An error that is not the database's passes through a transaction unchanged, and the store stays healthy."""
    for kind in (ConnectionError, TimeoutError):
        with pytest.raises(kind):
            async with store.transaction():
                raise kind

    assert store.healthy


async def test_nothing_is_asked_of_a_store_that_is_not_open(url: str) -> None:
    """Before it was opened, and after that failed, a store refuses to be asked: its tables may be
    missing or too new.
    """
    store = Store(url)
    try:
        with pytest.raises(StoreUnavailable, match="is not open yet"):
            await store.last_good(TARGET)
        await store.open()
        assert await store.last_good(TARGET) is None
    finally:
        await store.close()


async def test_file_that_is_no_database_leaves_no_connection_open(tmp_path: Path) -> None:
    """Each failed attempt closes what it opened: an unclosed connection would warn when it is collected."""
    path = tmp_path / "x.db"
    path.write_bytes(b"this is no database " * 200)
    store = Store(f"sqlite:///{path}")
    try:
        for _ in range(3):
            with pytest.raises(StoreCorrupt):
                await store.open()
            with pytest.raises(StoreCorrupt):
                await store.last_good(TARGET)
    finally:
        await store.close()
    gc.collect()


async def test_tasks_that_meet_a_failing_store_leave_no_connection_open(sqlite: str, path: Path) -> None:
    """Each connection of a pool that was given up is closed, however many tasks held one: an unclosed one would warn
    when collected.
    """

    async def ask() -> None:
        for _ in range(20):
            with suppress(StoreError):
                await store.message_counts()

    async with Store(sqlite, lock_timeout=0.05) as store:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("ALTER TABLE message RENAME TO gone")
            await asyncio.gather(*(ask() for _ in range(6)))
            other.execute("ALTER TABLE gone RENAME TO message")
        other.close()
        assert await store.check()
    gc.collect()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("colour=red", "options that are not known: colour; write only application_name, connect_timeout, host,"),
        ("sslmode=on", "an option sslmode that cannot be used; write one of disable, allow, prefer,"),
        ("connect_timeout=0", "an option connect_timeout that cannot be used; write seconds, 1 or more"),
        ("prepared_statements=no", "an option prepared_statements that cannot be used; write on or off"),
        ("prepared_statement_cache_size=-1", "cannot be used; write a number; 0 for none"),
        ("port=5432&port=5433", "port more than once; keep one"),
        ("host=a:1&host=b", "hosts or ports that do not go together"),
        ("application_name=a@b", "holds an @ in its options; write %40"),
    ],
)
def test_options_that_cannot_be_used(options: str, said: str) -> None:
    """An option that is not known, or has no such value, is refused with what to write, before
    anything is connected.
    """
    with pytest.raises(StoreError, match=re.escape(said)):
        Store(f"postgresql://watcher@db.example.com/monitor?{options}")


async def test_options_that_people_use(server: Any, database: str) -> None:
    """The session is called as the URL says, and statements are prepared anew each time where their cache is off."""
    options = (
        "&application_name=my%20monitor&connect_timeout=3&prepared_statement_cache_size=0"
        "&target_session_attrs=read-write"
    )
    async with Store(server.url(database) + options + "&prepared_statements=on") as store:
        await add(store, run(1))
        other = await asyncpg.connect(host=str(server.folder), user="postgres", database=database)
        names = await other.fetch("SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = $1", database)
        await other.close()

    assert "my monitor" in {row[0] for row in names}


async def test_database_that_is_created_later(server: Any) -> None:
    """The advice to create a database that does not exist works without a restart."""
    store = Store(server.url("later"))
    try:
        with pytest.raises(
            StoreUnavailable, match="does not exist; create the database, or correct `store` in the configuration"
        ):
            await store.open()
        await server.execute("CREATE DATABASE later")
        await store.open()
        assert store.healthy
    finally:
        await store.close()
        await server.execute("DROP DATABASE later")


def test_advice_about_the_configuration_says_restart() -> None:
    """`store` takes effect at the next start: whatever advises to change it says so."""
    advice = [text for _, text in (*errors._SQLITE.values(), *errors._POSTGRESQL.values()) if "`store`" in text]

    assert len(advice) >= 5
    assert [text for text in advice if "and start the service again" not in text] == []

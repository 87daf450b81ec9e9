"""`store copy`: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import click
import pytest

from monitor.store import Message, Store, copying
from monitor.store.schema import LASTING
from tests.cli.commands import run

EMPTY = "0" * 32
TOLD = (copying.COPIED, copying.CHECKED)


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    """A store with two messages, and where there is none."""
    source = f"sqlite:///{tmp_path}/monitor.db"
    asyncio.run(enqueue(source, 2))
    return source, f"sqlite:///{tmp_path}/copy.db"


async def enqueue(url: str, count: int) -> None:
    """Put messages into a store."""
    async with Store(url) as store, store.transaction() as tx:
        for number in range(count):
            await tx.enqueue(Message("chat", str(number), number, b""))


def test_tells_each_table(urls: tuple[str, str], tmp_path: Path) -> None:
    """Off a terminal there is a line for each table on stderr when it is copied and when it is checked; stdout has each
    table's rows and digest in 80 columns, and both stores without a password.
    """
    result = run("store", "copy", *urls)
    *tables, last = result.stdout.splitlines()

    assert 0 == result.exit_code
    counts = {table.name: 2 if table.name == "message" else 0 for table in LASTING}
    assert [f"{step} {name}: {count} rows" for step in TOLD for name, count in counts.items()] == (
        result.stderr.splitlines()
    )
    found = [re.fullmatch(r"(\w+) +(\d+) rows  ([0-9a-f]{32})", line) for line in tables]
    assert [(name, str(count)) for name, count in counts.items()] == [each.group(1, 2) for each in found if each]
    assert all((each[3] == EMPTY) == (each[2] == "0") for each in found if each)
    assert all(len(line) <= 80 for line in tables)
    assert f"{tmp_path}/copy.db holds the 2 rows of {tmp_path}/monitor.db: each was read again and is the same" == last


def test_a_line_says_why_not(urls: tuple[str, str], tmp_path: Path) -> None:
    """What cannot be copied is said in a line with what to do, and exit code 1."""
    assert 0 == run("store", "copy", *urls).exit_code
    again = run("store", "copy", *urls)

    assert (1, "") == (again.exit_code, again.stdout)
    assert again.stderr == (
        f"nothing was copied: store {tmp_path}/copy.db is not empty (it has rows in message); name an empty one as TO, "
        "or move this one away\n"
    )


def test_wrong_usage(urls: tuple[str, str]) -> None:
    """What is no URL of a store is wrong usage, by the argument's name, and repeats no password."""
    no_store = run("store", "copy", urls[0], "mysql://me:pass-word-4@host/database")
    no_target = run("store", "copy", urls[0])

    assert (2, 2) == (no_store.exit_code, no_target.exit_code)
    assert "Invalid value for 'TO': the store's URL is not sqlite:///file.db nor postgresql://" in no_store.stderr
    assert "pass-word-4" not in no_store.stderr
    assert "Missing argument 'TO'" in no_target.stderr


def test_warns_of_what_was_written_meanwhile(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a service goes on writing, the copy is made and a warning says that it has not everything."""
    echo = click.echo

    def write(line: str, **options: Any) -> None:
        if line.startswith(f"{copying.COPIED} message"):
            thread = threading.Thread(target=lambda: asyncio.run(enqueue(urls[0], 1)))
            thread.start()
            thread.join()
        echo(line, **options)

    monkeypatch.setattr(click, "echo", write)
    result = run("store", "copy", *urls)

    assert 0 == result.exit_code
    assert "warning: another program wrote to " in result.stderr
    assert "stop it, then copy into an empty store again" in result.stderr

"""`store copy`: from one store into another, empty one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from monitor import logs
from monitor.cli.common import run_loop, version_option

if TYPE_CHECKING:
    from monitor.store.copying import Copy, Progress


@click.group()
@version_option
def store() -> None:
    """The store as a whole."""


def _url(_context: click.Context, _argument: click.Parameter, value: str) -> str:
    from monitor.store import StoreError
    from monitor.store.engine import parse

    try:
        parse(value)
    except StoreError as error:
        raise click.BadParameter(str(error)) from None
    return value


@store.command("copy")
@click.argument("source", metavar="FROM", callback=_url)
@click.argument("target", metavar="TO", callback=_url)
@version_option
def copy_store(source: str, target: str) -> None:
    """Copy the store FROM into the empty store TO: every table, then every row is read again and compared.

    Both are URLs as `store` of the configuration has them: sqlite:///FILE or postgresql://USER@HOST/DATABASE. Needs no
    configuration. Stop the service first: the copy has what FROM held when it began.
    """
    logs.configure("critical")
    from monitor.store import StoreError
    from monitor.store.copying import copy

    try:
        with _progress() as progress:
            copied = run_loop(copy(source, target, progress))
    except StoreError as error:
        click.echo(f"nothing was copied: {error}", err=True)
        sys.exit(1)
    _print(copied)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Bars on a terminal, which go once all is done; a line for each finished table elsewhere."""
    from rich import progress
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn

    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with progress.Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(step: str, table: str, done: int, total: int) -> None:
            name = f"{step} {table}"
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done)
            if done == total and not errors.is_terminal:
                click.echo(f"{name}: {total:,} rows", err=True)

        yield advance


def _print(copied: Copy) -> None:
    width = max(len(table.name) for table in copied.tables)
    for table in copied.tables:
        click.echo(f"{table.name:{width}}  {table.rows:>13,} rows  {table.digest}")
    rows = sum(table.rows for table in copied.tables)
    click.echo(f"{copied.target} holds the {rows:,} rows of {copied.source}: each was read again and is the same")
    if copied.written_meanwhile:
        click.echo(
            f"warning: another program wrote to {copied.source} meanwhile, and the copy does not have that; to move a "
            "service, stop it, then copy into an empty store again",
            err=True,
        )

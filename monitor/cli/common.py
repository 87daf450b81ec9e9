"""What commands share: options, reading the configuration, the loop, the open store.

Modules of commands import what is heavy where it is used: `--version`, `--help` and a mistyped option answer at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor import __version__, logs

if TYPE_CHECKING:
    from rich.table import Table

    from monitor.config import Config, Loaded
    from monitor.store import Store

T = TypeVar("T")


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it exists: it halves what many small requests cost."""
    import asyncio

    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


config_option = click.option(
    "--config",
    "config",
    envvar="IMPULSE_MONITOR_CONFIG",
    default="config/monitor.yaml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Path of the configuration; also $IMPULSE_MONITOR_CONFIG.",
)


web_config_option = click.option(
    "--web.config.file",
    "web_config",
    type=click.Path(path_type=Path),
    help="TLS and basic auth, in exporter-toolkit's format.",
)

shard_total_option = click.option(
    "--shard.total",
    "shard_total",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many shards there are.",
)


def log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--log.level` and `--log.format`."""
    command = click.option(
        "--log.format", "log_format", type=click.Choice(logs.FORMATS), default="auto", show_default=True
    )(command)
    return click.option("--log.level", "log_level", type=click.Choice(logs.LEVELS), default="info", show_default=True)(
        command
    )


def format_option(*styles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--format`, as `style`; the first one is the default."""
    return click.option("--format", "style", type=click.Choice(styles), default=styles[0], show_default=True)


version_option = click.version_option(__version__, package_name="impulse-monitor")


def load_config(config: Path, *, is_result: bool = False) -> Loaded:
    """The configuration, or its problems, a line each, and the end: on stdout where they are what was asked for."""
    from monitor.config import load

    return _read(lambda: load(config), is_result=is_result)


def config_for_store(config: Path) -> Config:
    """The configuration for a command that only reads the store, and needs no key; or its problems and the end."""
    from monitor.config import load_for_store

    return _read(lambda: load_for_store(config))


def _read(load: Callable[[], T], *, is_result: bool = False) -> T:
    from monitor.config import ConfigError

    try:
        return load()
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=not is_result)
        sys.exit(1)


def with_store(config: Config, work: Callable[[Store], Coroutine[Any, Any, int]]) -> int:
    """The exit code of something done with the open store; 1, and why, where the store cannot be used."""
    from monitor.store import Store, StoreError

    async def opened() -> int:
        async with Store(config.store.get_secret_value()) as store:
            return await work(store)

    try:
        return run_loop(opened())
    except StoreError as error:
        click.echo(error, err=True)
        return 1


def width() -> int:
    """Columns to print in: the terminal's; elsewhere those of $COLUMNS, or 80."""
    from rich.console import Console

    return Console().width


def print_table(table: Table, none: str) -> None:
    """A table in these columns; `none` says it where there is no row."""
    from rich.console import Console

    if not table.rows:
        click.echo(none)
        return
    Console(highlight=False).print(table)

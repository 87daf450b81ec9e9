"""`run` and `demo`, which serve until they are stopped, and `simulate`."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from monitor import logs
from monitor.cli.common import (
    config_option,
    log_options,
    run_loop,
    shard_total_option,
    version_option,
    web_config_option,
    width,
)

DEMO_INTERVAL = "5s"
_SHORTEST_INTERVAL = 1.0  # seconds; of the schedule


@click.command()
@config_option
@web_config_option
@click.option(
    "--shard.index", "shard_index", type=int, default=0, show_default=True, help="Which shard this is, from 0."
)
@shard_total_option
@click.option(
    "--role",
    type=click.Choice(["all", "worker", "web"]),
    help="What this process does where several share a PostgreSQL store: take turns (worker), show (web), or both.  "
    "[default: all]",
)
@log_options
@version_option
def run(
    config: Path,
    web_config: Path | None,
    shard_index: int,
    shard_total: int,
    role: str | None,
    log_level: str,
    log_format: str,
) -> None:
    """Run the service: pull on schedule, serve the metrics, raise alerts."""
    from monitor.engine.base import Role
    from monitor.engine.sharding import Shard

    if role is not None and shard_total > 1:
        raise click.UsageError("--role and --shard.total exclude each other: processes with roles share the turns.")
    try:
        shard = Shard(shard_index, shard_total)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    logs.configure(log_level, log_format)
    sys.exit(
        run_loop(
            _serve(config, f"http.listen in {config}", shard=shard, web_config=web_config, role=role and Role(role))
        )
    )


async def _serve(
    config: Path, option: str, started: Callable[[str], None] = lambda address: None, **options: Any
) -> int:
    """The service until SIGTERM or SIGINT; SIGHUP reloads. Exit code 1 where it cannot start.

    Args:
        config: Path of the configuration.
        option: What says where to listen.
        started: Is told the address.
        options: Of the `App`.
    """
    from monitor.config import ConfigError
    from monitor.service.app import App
    from monitor.service.memory import keep_loaded, share_heap
    from monitor.store import StoreError
    from monitor.web.connections import raise_files

    raise_files()
    share_heap()
    keep_loaded()
    app = App(config, **options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
    ):  # before the start, which may take a while: as a container's first process it has no default
        loop.add_signal_handler(number, stop.set)
    try:
        await app.start()
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        return 1
    except (OSError, StoreError) as error:
        click.echo(f"cannot start: {_cause(error, option) if isinstance(error, OSError) else error}", err=True)
        return 1
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(app.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reload)
    started(app.address)
    await stop.wait()
    await app.stop()
    return 0


_CAUSES = {
    errno.EADDRINUSE: "another program listens there: end it, or choose another port with {option}",
    errno.EADDRNOTAVAIL: "that is no address of this machine: choose 127.0.0.1, or one that it has, with {option}",
    errno.EACCES: "this user may not: choose a port above 1023 with {option}, or a folder that it may write",
}


def _cause(error: OSError, option: str) -> str:
    """What the system said, in a line, and what to do about it; `option` says where to listen."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}: write an address that this machine knows as {option}"
    advice = _CAUSES.get(error.errno or 0)
    return f"{error}; {advice.format(option=option)}" if advice else str(error)


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port on 127.0.0.1; 0 takes a free one."
)
@click.option(
    "--load",
    "recorded",
    type=click.Path(exists=True, path_type=Path),
    help="A recorded result set: one reply, a list of them, or a folder.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[@PROJECT]",
    help="Switch a fault on, for all projects or one; repeatable.",
)
@click.option(
    "--scenario", "scenarios", multiple=True, metavar="NAME[@PROJECT]", help="What changes over time; repeatable."
)
@click.option("--list", "listing", is_flag=True, help="Print the names of faults and scenarios, and exit.")
@log_options
@version_option
def simulate(
    port: int,
    recorded: Path | None,
    faults: tuple[str, ...],
    scenarios: tuple[str, ...],
    listing: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Run the Studio simulator alone, to try other clients against it."""
    logs.configure(log_level, log_format)
    if listing:
        from monitor.simulator import switches

        lists = click.HelpFormatter(width=width())
        for title, named in (("faults", switches.FAULTS), ("scenarios", switches.SCENARIOS)):
            with lists.section(title):
                lists.write_dl([(name, entry.about) for name, entry in named.items()])
        click.echo(lists.getvalue(), nl=False)
        return
    try:
        run_loop(_simulate(port, recorded, faults, scenarios))
    except OSError as error:
        click.echo(f"cannot start: {_cause(error, '--port')}", err=True)
        sys.exit(1)


async def _simulate(port: int, recorded: Path | None, faults: tuple[str, ...], scenarios: tuple[str, ...]) -> None:
    async with _studio(port, recorded, faults, scenarios) as (url, studio):
        click.echo(f"Studio API: {url}")
        for project in studio.projects.values():
            click.echo(f"project {project.id} ({project.name}): x-api-key: {project.api_key}")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


@asynccontextmanager
async def _studio(
    port: int = 0,
    recorded: Path | None = None,
    faults: Iterable[str] = (),
    scenarios: Iterable[str] = (),
    interval: float | None = None,
) -> AsyncIterator[tuple[str, Any]]:
    """The simulator, serving: its URL and its studio; `interval`: seconds of a step of the demo's projects."""
    from monitor import simulator
    from monitor.simulator import switches

    try:
        if recorded is not None:
            studio = simulator.Studio([simulator.load_recorded(recorded)])
        else:
            studio = simulator.demo_studio() if interval is None else simulator.demo_studio(interval=interval)
    except simulator.RecordingError as error:
        click.echo(error, err=True)
        sys.exit(1)
    try:
        for spec in scenarios:
            switches.switch_scenario(studio, spec)
        for spec in faults:
            switches.switch_fault(studio, spec)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    async with simulator.serve(studio, port=port) as url:
        yield url, studio


def _checked_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    from monitor.config.urls import parse_address

    try:
        parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _checked_url(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    from pydantic import SecretStr

    from monitor.config.urls import receiver_url

    try:
        return value and receiver_url(SecretStr(value)).get_secret_value()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _checked_interval(_context: click.Context, _option: click.Parameter, value: str) -> str:
    from monitor.config.durations import parse_duration

    try:
        if parse_duration(value) >= _SHORTEST_INTERVAL:
            return value
        raise ValueError("is shorter than 1s")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--listen",
    default="127.0.0.1:9890",
    show_default=True,
    callback=_checked_address,
    help="Address to serve on; port 0 takes a free one.",
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the demo's configuration here instead of in a temporary folder.",
)
@click.option(
    "--alertmanager", metavar="URL", callback=_checked_url, help="Send the demo's alerts to this Alertmanager."
)
@click.option(
    "--every",
    metavar="DURATION",
    default=DEMO_INTERVAL,
    show_default=True,
    callback=_checked_interval,
    help="How often projects are pulled, and how long each step of what happens to them takes.",
)
@log_options
@version_option
def demo(
    listen: str, directory: Path | None, alertmanager: str | None, every: str, log_level: str, log_format: str
) -> None:
    """Run the service against the built-in Studio simulator: models improve, drift and regress within minutes."""
    logs.configure(log_level, log_format)
    sys.exit(run_loop(_demo(listen, directory, alertmanager, every)))


async def _demo(listen: str, directory: Path | None, alertmanager: str | None, every: str) -> int:
    import tempfile

    from monitor.config.durations import parse_duration

    with contextlib.ExitStack() as stack:
        async with _studio(interval=parse_duration(every)) as (url, studio):
            try:
                folder = directory or Path(
                    stack.enter_context(tempfile.TemporaryDirectory(prefix="impulse-monitor-demo-"))
                )
                folder.mkdir(parents=True, exist_ok=True)
                config = folder / "monitor.yaml"
                config.write_text(_demo_config(url, listen, studio, alertmanager, every), encoding="utf-8")
            except OSError as error:
                click.echo(f"cannot write the demo's configuration: {error}; name a folder with --directory", err=True)
                return 1

            def started(address: str) -> None:
                click.echo(
                    f"Impulse Monitor's demo: {len(studio.projects)} simulated projects, pulled every "
                    f"{every}; Ctrl-C ends it"
                )
                click.echo(f"  metrics        http://{address}/metrics")
                click.echo(f"  overview       http://{address}/")
                click.echo(f"  configuration  {config}")
                click.echo(f"  simulator      {url}")

            return await _serve(config, "--listen", started)


def _demo_config(url: str, listen: str, studio: Any, alertmanager: str | None, every: str) -> str:
    """The demo's configuration: what a person would write for these projects."""
    import yaml

    projects = [
        {
            "id": project.id,
            "api_key": project.api_key,
            "labels": {"team": "demo"},
            "slices": ["metadata.site", "device_name"],
            # simulated samples are drawn one by one, and a group would count only a day after it: longer than a demo
            "group_by": "none",
        }
        for project in studio.projects.values()
    ]
    config = {
        "studio": {"url": url, "discover": "1m"},
        "schedule": {"every": every},
        "http": {"listen": listen},
        "projects": projects,
        "notify": [{"alertmanager": {"url": alertmanager}}] if alertmanager else [],
    }
    return yaml.safe_dump(config, sort_keys=False)

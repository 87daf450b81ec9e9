"""The command `impulse-monitor`: what a person can type. Results go to stdout, logs to stderr; exit 1 means that the answer is no."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from monitor import __version__, logs
from monitor.config import ConfigError, Loaded, load

T = TypeVar("T")

DEMO_INTERVAL = "5s"


def _run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it exists: it halves what many small requests cost."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


_config = click.option(
    "--config",
    "config",
    envvar="IMPULSE_MONITOR_CONFIG",
    default="config/monitor.yaml",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Path of the configuration; also $IMPULSE_MONITOR_CONFIG.",
)


def _log_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--log.format", "log_format", type=click.Choice(logs.FORMATS), default="auto", show_default=True)(command)
    return click.option("--log.level", "log_level", type=click.Choice(logs.LEVELS), default="info", show_default=True)(command)


_version = click.version_option(__version__, package_name="impulse-monitor")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@_version
def main() -> None:
    """Watch models tested in Edge Impulse Studio and tell when they get worse."""


@main.command()
@_config
@_log_options
@_version
def run(config: Path, log_level: str, log_format: str) -> None:
    """Run the service: pull on schedule, serve the metrics."""
    logs.configure(log_level, log_format)
    sys.exit(_run_loop(_serve(config)))


async def _serve(config: Path, started: Callable[[str], None] = lambda address: None) -> int:
    """The service until SIGTERM or SIGINT; SIGHUP reloads. Exit code 1 where it cannot start."""
    from monitor.app import App

    app = App(config)
    try:
        await app.start()
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        return 1
    except OSError as error:
        click.echo(f"cannot listen: {error}; is http.listen free?", err=True)
        return 1
    started(app.address)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(app.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reload)
    await stop.wait()
    await app.stop()
    return 0


@main.command()
@_config
@click.option("--online", is_flag=True, help="Also ask Studio whether each key works, what it may do and when it expires.")
@_version
def check(config: Path, online: bool) -> None:
    """Validate the configuration: every problem on a line of its own."""
    logs.configure("error")
    loaded = _load(config)
    for warning in loaded.warnings:
        click.echo(f"{warning} (warning)")
    if online and not _run_loop(_check_keys(loaded)):
        sys.exit(1)
    click.echo(f"{config}: valid, {len(loaded.config.projects)} projects")


def _load(config: Path) -> Loaded:
    try:
        return load(config)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem)
        sys.exit(1)


async def _check_keys(loaded: Loaded) -> bool:
    """Ask Studio about each project's key, print a line each, answer whether all work."""
    from monitor.discovery import discover
    from monitor.errors import StudioError
    from monitor.once import Silent
    from monitor.pipeline import new_client, studio_project

    good = True
    async with new_client(loaded.config, Silent()) as client:
        for project in loaded.config.projects:
            try:
                studio = await studio_project(client, project)
                found = await discover(studio, project)
                info = await studio.optional_key_info()
            except StudioError as error:
                good = False
                click.echo(f"project {project.id}: {error.state}: {error}")
                continue
            role = (info.role if info else None) or "unknown role"
            expires = (info.expires if info else None) or "never, as far as Studio says"
            click.echo(f"project {project.id}: ok, key: {role}, expires: {expires}, targets: {len(found.targets)}")
    return good


@main.command()
@_config
@click.option("--project", "project_id", type=int, help="Only this project.")
@click.option("--impulse", "impulse_id", type=int, help="Only this impulse.")
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table", show_default=True)
@_version
def pull(config: Path, project_id: int | None, impulse_id: int | None, style: str) -> None:
    """Pull once, now, and print the figures."""
    logs.configure("critical")  # what failed is printed, with its reason
    sys.exit(_run_loop(_pull(_load(config), project_id, impulse_id, style)))


async def _pull(loaded: Loaded, project_id: int | None, impulse_id: int | None, style: str) -> int:
    from monitor import report
    from monitor.errors import PullState
    from monitor.once import pull_once

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as progress:

        def bar(description: str) -> Callable[[int, int | None], None]:
            task = progress.add_task(description, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        outcomes = await pull_once(loaded.config, project_id, impulse_id, bar)
    if not outcomes:
        click.echo("nothing to pull: no target of the configuration matches --project and --impulse", err=True)
        return 1
    if style == "json":
        click.echo(json.dumps([report.as_json(outcome) for outcome in outcomes], ensure_ascii=False, indent=2))
    else:
        Console().print(report.as_table(outcomes))
    for outcome in outcomes:
        if outcome.error:
            click.echo(f"{outcome.name}: {outcome.state}: {outcome.error}", err=True)
    return int(any(outcome.state is not PullState.OK for outcome in outcomes))


@main.command()
@_version
def metrics() -> None:
    """Print every metric: name, type, labels, unit and meaning."""
    from monitor.exposition import describe

    table = Table("name", "type", "labels", "unit", "meaning", show_lines=False)
    rows = describe()
    for row in rows:
        table.add_row(row.name, row.type, ", ".join(row.labels), row.unit, row.meaning)
    # Whole names for pipes and files; on a terminal the table folds to its width.
    Console(width=None if sys.stdout.isatty() else 240).print(table)


@main.command()
@click.option("--port", default=0, show_default=True, help="Port on 127.0.0.1; 0 takes a free one.")
@click.option(
    "--load",
    "recorded",
    type=click.Path(exists=True, path_type=Path),
    help="A recorded result set: one reply, a list of them, or a folder.",
)
@_log_options
@_version
def simulate(port: int, recorded: Path | None, log_level: str, log_format: str) -> None:
    """Run the Studio simulator alone, to try other clients against it."""
    logs.configure(log_level, log_format)
    _run_loop(_simulate(port, recorded))


async def _simulate(port: int, recorded: Path | None) -> None:
    async with _simulator(port, recorded) as (url, studio):
        click.echo(f"Studio API: {url}")
        for project in studio.projects.values():
            click.echo(f"project {project.id} ({project.name}): x-api-key: {project.api_key}")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()


@asynccontextmanager
async def _simulator(port: int = 0, recorded: Path | None = None) -> AsyncIterator[tuple[str, Any]]:
    from monitor import simulator

    try:
        studio = simulator.Studio([simulator.load_recorded(recorded)]) if recorded else simulator.demo_studio()
    except simulator.RecordingError as error:
        click.echo(error, err=True)
        sys.exit(1)
    async with simulator.serve(studio, port=port) as url:
        yield url, studio


@main.command()
@click.option("--listen", default="127.0.0.1:9890", show_default=True, help="Address to serve on; port 0 takes a free one.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the demo's configuration here instead of in a temporary folder.",
)
@_log_options
@_version
def demo(listen: str, directory: Path | None, log_level: str, log_format: str) -> None:
    """Run the service against the built-in Studio simulator: models improve, drift and regress within minutes."""
    logs.configure(log_level, log_format)
    sys.exit(_run_loop(_demo(listen, directory)))


async def _demo(listen: str, directory: Path | None) -> int:
    with contextlib.ExitStack() as stack:
        folder = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="impulse-monitor-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        async with _simulator() as (url, studio):
            config = folder / "monitor.yaml"
            config.write_text(_demo_config(url, listen, studio), encoding="utf-8")

            def started(address: str) -> None:
                click.echo(
                    f"Impulse Monitor's demo: {len(studio.projects)} simulated projects, pulled every {DEMO_INTERVAL}; Ctrl-C ends it"
                )
                click.echo(f"  metrics        http://{address}/metrics")
                click.echo(f"  overview       http://{address}/")
                click.echo(f"  configuration  {config}")
                click.echo(f"  simulator      {url}")

            return await _serve(config, started)


def _demo_config(url: str, listen: str, studio: Any) -> str:
    """The demo's configuration: what a person would write for these projects."""
    projects = [
        {"id": project.id, "api_key": project.api_key, "labels": {"team": "demo"}, "slices": ["metadata.site", "device_name"]}
        for project in studio.projects.values()
    ]
    return yaml.safe_dump(
        {"studio": {"url": url, "discover": "1m"}, "schedule": {"every": DEMO_INTERVAL}, "http": {"listen": listen}, "projects": projects},
        sort_keys=False,
    )

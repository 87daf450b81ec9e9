"""The command `impulse-monitor`: what a person can type. Results go to stdout, logs to stderr; exit 1 means that the answer is no."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from monitor import __version__, logs
from monitor.config import ConfigError, Loaded, load
from monitor.config.values import parse_duration

if TYPE_CHECKING:  # importing the store takes a moment that most commands need not spend
    from monitor.store import Store

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


def _format(*styles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--format", "style", type=click.Choice(styles), default=styles[0], show_default=True)


_version = click.version_option(__version__, package_name="impulse-monitor")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@_version
def main() -> None:
    """Watch models tested in Edge Impulse Studio and tell when they get worse."""


@main.command()
@_config
@click.option("--web.config.file", "web_config", type=click.Path(path_type=Path), help="TLS and basic auth, in exporter-toolkit's format.")
@click.option("--shard.index", "shard_index", type=int, default=0, show_default=True, help="Which shard this is, from 0.")
@click.option("--shard.total", "shard_total", type=int, default=1, show_default=True, help="How many shards there are.")
@_log_options
@_version
def run(config: Path, web_config: Path | None, shard_index: int, shard_total: int, log_level: str, log_format: str) -> None:
    """Run the service: pull on schedule, serve the metrics, raise alerts."""
    from monitor.sharding import Shard

    try:
        shard = Shard(shard_index, shard_total)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    logs.configure(log_level, log_format)
    sys.exit(_run_loop(_serve(config, shard=shard, web_config=web_config)))


async def _serve(config: Path, started: Callable[[str], None] = lambda address: None, **options: Any) -> int:
    """The service until SIGTERM or SIGINT; SIGHUP reloads. Exit code 1 where it cannot start."""
    from monitor.app import App

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
    except OSError as error:
        click.echo(f"cannot listen: {error}; is http.listen free?", err=True)
        return 1
    started(app.address)
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = loop.create_task(app.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

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
    from monitor.web import web_config

    logs.configure("error")
    loaded = _load(config)
    for warning in loaded.warnings:
        click.echo(f"{warning} (warning)")
    if (web_config_file := loaded.config.http.web_config_file) is not None:
        _or_exit(lambda: web_config.load(web_config_file))
    if online and not _run_loop(_check_keys(loaded)):
        sys.exit(1)
    click.echo(f"{config}: valid, {len(loaded.config.projects)} projects")


def _load(config: Path) -> Loaded:
    return _or_exit(lambda: load(config))


def _or_exit(read: Callable[[], T]) -> T:
    """What `read` gives, or its problems, a line each, and the end."""
    try:
        return read()
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
@_format("table", "json")
@click.option("--save", is_flag=True, help="Compare the runs with their baselines, and remember them in the store.")
@_version
def pull(config: Path, project_id: int | None, impulse_id: int | None, style: str, save: bool) -> None:
    """Pull once, now, and print the figures."""
    logs.configure("critical")  # what failed is printed, with its reason
    loaded = _load(config)
    if save:
        sys.exit(_with_store(loaded, lambda store: _pull(loaded, project_id, impulse_id, style, store)))
    sys.exit(_run_loop(_pull(loaded, project_id, impulse_id, style)))


async def _pull(loaded: Loaded, project_id: int | None, impulse_id: int | None, style: str, store: Store | None = None) -> int:
    from monitor import report
    from monitor.errors import PullState
    from monitor.once import pull_once

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    errors = Console(stderr=True)
    with Progress(*columns, console=errors, disable=not errors.is_terminal, transient=True) as progress:

        def bar(description: str) -> Callable[[int, int | None], None]:
            task = progress.add_task(description, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        outcomes = await pull_once(loaded.config, project_id, impulse_id, bar, store)
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
    if store and store.problem:
        click.echo(f"not saved: {store.problem}", err=True)
        return 1
    return int(any(outcome.state is not PullState.OK for outcome in outcomes))


def _with_store(loaded: Loaded, work: Callable[[Store], Coroutine[Any, Any, int]]) -> int:
    """The exit code of something done with the open store; 1, and why, where the store cannot be used."""
    from monitor.store import Store, StoreError

    async def opened() -> int:
        async with Store(loaded.config.store.get_secret_value()) as store:
            return await work(store)

    try:
        return _run_loop(opened())
    except StoreError as error:
        click.echo(error, err=True)
        return 1


def _since(_context: click.Context, _option: click.Parameter, value: str | None) -> float:
    try:
        return parse_duration(value) if value else math.inf
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@main.command()
@_config
@click.argument("target", required=False)
@click.option("--since", metavar="DURATION", callback=_since, help="Only runs that finished within it, such as 7d; default: all.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many runs of each target.")
@_format("table", "json", "csv")
@_version
def history(config: Path, target: str | None, since: float, limit: int, style: str) -> None:
    """Print the runs that the store remembers, oldest first; of one TARGET (its id) or of all."""
    logs.configure("critical")
    sys.exit(_with_store(_load(config), lambda store: _history(store, target, time.time() - since, limit, style)))


async def _history(store: Store, target: str | None, since: float, limit: int, style: str) -> int:
    from monitor import history

    known = await store.target_ids()
    if target is not None and target not in known:
        click.echo(f"the store has no run of target {target}; it knows the targets: {', '.join(known) or 'none'}", err=True)
        return 1
    runs = [run for one in ([target] if target else known) for run in await store.runs(one, since, limit=limit)]
    if style == "json":
        click.echo(json.dumps(history.runs_as_json(runs), ensure_ascii=False, indent=2))
    elif style == "csv":
        click.echo(history.runs_as_csv(runs), nl=False)
    else:
        _print(history.runs_as_table(runs))
    return 0


@main.group()
def baseline() -> None:
    """Show, pin or clear the runs that targets are compared with."""


@baseline.command()
@_config
@click.argument("target", required=False)
@_format("table", "json")
@_version
def show(config: Path, target: str | None, style: str) -> None:
    """Print the baselines, and what happened to the models since; of one TARGET (its id) or of all."""
    logs.configure("critical")
    sys.exit(_with_store(_load(config), lambda store: _show_baselines(store, target, style)))


async def _show_baselines(store: Store, target: str | None, style: str) -> int:
    from monitor import history

    statuses = await history.baseline_statuses(store, target)
    if style == "json":
        click.echo(json.dumps(history.baselines_as_json(statuses), ensure_ascii=False, indent=2))
    else:
        _print(history.baselines_as_table(statuses))
    if target is not None and not statuses:
        click.echo(f"target {target} has no baseline; its next good run becomes one", err=True)
        return 1
    return 0


@baseline.command()
@_config
@click.argument("target")
@click.option("--run", "number", type=int, help="Number of the run, from `history`; default: the last good one.")
@_version
def pin(config: Path, target: str, number: int | None) -> None:
    """Compare TARGET (its id) with one of its runs from now on. A running service takes it up at its next pull."""
    logs.configure("critical")
    sys.exit(_with_store(_load(config), lambda store: _pin(store, target, number)))


async def _pin(store: Store, target: str, number: int | None) -> int:
    from monitor.history import wanted_run
    from monitor.memory import pin
    from monitor.report import when

    try:
        run = await wanted_run(store, target, number)
        await pin(store, run, "pinned by command", time.time())
    except (LookupError, ValueError) as error:
        click.echo(error.args[0], err=True)
        return 1
    click.echo(f"{target} is compared with run {run.id} of {when(run.finished)} from its next pull on")
    return 0


@baseline.command()
@_config
@click.argument("target")
@_version
def clear(config: Path, target: str) -> None:
    """Forget the pinned baseline of TARGET (its id): its next good run becomes the baseline."""
    logs.configure("critical")
    sys.exit(_with_store(_load(config), lambda store: _clear(store, target)))


async def _clear(store: Store, target: str) -> int:
    from monitor.memory import unpin

    if not await unpin(store, target):
        click.echo(f"target {target} has no pinned baseline", err=True)
        return 1
    click.echo(f"the next good run of {target} becomes its baseline")
    return 0


@main.command()
@_config
@_format("table", "json")
@_version
def alerts(config: Path, style: str) -> None:
    """Print the alerts that the store remembers: pending, firing, and resolved."""
    logs.configure("critical")
    sys.exit(_with_store(_load(config), lambda store: _alerts(store, style)))


async def _alerts(store: Store, style: str) -> int:
    from monitor import history
    from monitor.judge import stored

    states = await stored(store)
    if style == "json":
        click.echo(json.dumps(history.alerts_as_json(states), ensure_ascii=False, indent=2))
    else:
        _print(history.alerts_as_table(states))
    return 0


@main.command()
@_config
@_version
def rules(config: Path) -> None:
    """Print the configured alerts as a Prometheus rule file, for those who prefer Prometheus to judge."""
    from monitor.alerts.export import rule_file

    logs.configure("error")
    loaded = _load(config).config
    click.echo(rule_file(loaded.rules(), loaded.watched(), loaded.studio.discover), nl=False)


@main.command()
@_version
def metrics() -> None:
    """Print every metric: name, type, labels, unit and meaning."""
    from monitor.exposition import describe

    table = Table("name", "type", "labels", "unit", "meaning", show_lines=False)
    rows = describe()
    for row in rows:
        table.add_row(row.name, row.type, ", ".join(row.labels), row.unit, row.meaning)
    _print(table)


def _print(table: Table) -> None:
    """Whole names for pipes and files; on a terminal the table folds to its width."""
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
@click.option("--alertmanager", metavar="URL", help="Tell this Alertmanager of the demo's alerts.")
@_log_options
@_version
def demo(listen: str, directory: Path | None, alertmanager: str | None, log_level: str, log_format: str) -> None:
    """Run the service against the built-in Studio simulator: models improve, drift and regress within minutes."""
    logs.configure(log_level, log_format)
    sys.exit(_run_loop(_demo(listen, directory, alertmanager)))


async def _demo(listen: str, directory: Path | None, alertmanager: str | None) -> int:
    with contextlib.ExitStack() as stack:
        folder = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="impulse-monitor-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        async with _simulator() as (url, studio):
            config = folder / "monitor.yaml"
            config.write_text(_demo_config(url, listen, studio, alertmanager), encoding="utf-8")

            def started(address: str) -> None:
                click.echo(
                    f"Impulse Monitor's demo: {len(studio.projects)} simulated projects, pulled every {DEMO_INTERVAL}; Ctrl-C ends it"
                )
                click.echo(f"  metrics        http://{address}/metrics")
                click.echo(f"  overview       http://{address}/")
                click.echo(f"  configuration  {config}")
                click.echo(f"  simulator      {url}")

            return await _serve(config, started)


def _demo_config(url: str, listen: str, studio: Any, alertmanager: str | None) -> str:
    """The demo's configuration: what a person would write for these projects."""
    projects = [
        {"id": project.id, "api_key": project.api_key, "labels": {"team": "demo"}, "slices": ["metadata.site", "device_name"]}
        for project in studio.projects.values()
    ]
    config = {
        "studio": {"url": url, "discover": "1m"},
        "schedule": {"every": DEMO_INTERVAL},
        "http": {"listen": listen},
        "projects": projects,
        "notify": [{"alertmanager": {"url": alertmanager}}] if alertmanager else [],
    }
    return yaml.safe_dump(config, sort_keys=False)

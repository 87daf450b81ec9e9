"""`check` and `pull`: is the configuration right, and what does Studio say, now."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor import logs
from monitor.cli.common import (
    config_option,
    format_option,
    load_config,
    print_table,
    run_loop,
    shard_total_option,
    version_option,
    web_config_option,
    with_store,
)

if TYPE_CHECKING:
    from monitor.config import Loaded
    from monitor.store import Store


@click.command()
@config_option
@web_config_option
@shard_total_option
@click.option(
    "--online",
    is_flag=True,
    help="Also ask Studio about each key, whether the store can be used, and whether receivers answer; and print the "
    "false alarms to expect in a year.",
)
@version_option
def check(config: Path, web_config: Path | None, shard_total: int, online: bool) -> None:
    """Validate the configuration: every problem on a line of its own. Nothing is sent to receivers."""
    from monitor.cli import checks, outlook

    logs.configure("error")
    loaded = load_config(config, is_result=True)
    warnings = [*loaded.warnings, *loaded.exceeded_budgets(shard_total)]
    problems = [*loaded.unreadable, *checks.apprise_problems(loaded)]
    if (path := web_config or loaded.config.http.web_config_file) is not None:
        found = checks.web_config_findings(path, time.time())
        problems += found.problems
        warnings += found.warnings
    for warning in warnings:
        click.echo(f"{warning} (warning)")
    for problem in problems:
        click.echo(problem)
    good = not problems
    if online:
        good &= run_loop(_check_online(loaded))
    elif good:
        run_loop(outlook.print_outlook(loaded, online=False))
    if not good:
        sys.exit(1)
    projects = len(loaded.config.projects)
    click.echo(f"{config}: valid, {projects} {'project' if projects == 1 else 'projects'}")


async def _check_online(loaded: Loaded) -> bool:
    from monitor.cli import checks, outlook

    good = all([await checks.check_store(loaded), await _check_keys(loaded), await checks.check_receivers(loaded)])
    await outlook.print_outlook(loaded, online=True)
    return good


async def _check_keys(loaded: Loaded) -> bool:
    """Ask Studio about each project's key, print a line each, answer whether all work."""
    from monitor.cli.once import NoMetrics
    from monitor.errors import StudioError
    from monitor.pipeline.project_turn import new_client, studio_project
    from monitor.studio.discovery import discover

    good = True
    async with new_client(loaded.config, NoMetrics()) as client:
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


@click.command()
@config_option
@click.option("--project", "project_id", type=int, help="Only this project.")
@click.option("--impulse", "impulse_id", type=int, help="Only this impulse.")
@format_option("table", "json")
@click.option("--save", is_flag=True, help="Compare the runs with their baselines, and record them in the store.")
@version_option
def pull(config: Path, project_id: int | None, impulse_id: int | None, style: str, save: bool) -> None:
    """Pull once, now, and print the figures."""
    logs.configure("critical")  # what failed is printed, with its reason
    loaded = load_config(config)
    if save:
        sys.exit(with_store(loaded.config, lambda store: _pull(loaded, project_id, impulse_id, style, store)))
    sys.exit(run_loop(_pull(loaded, project_id, impulse_id, style)))


async def _pull(
    loaded: Loaded, project_id: int | None, impulse_id: int | None, style: str, store: Store | None = None
) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from monitor.cli.once import pull_once
    from monitor.errors import PullState
    from monitor.views import report

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
        print_table(report.as_table(outcomes), "nothing was pulled")
    for outcome in outcomes:
        if outcome.error:
            click.echo(f"{outcome.name}: {outcome.state}: {outcome.error}", err=True)
    if store and store.problem:
        click.echo(f"not saved: {store.problem}", err=True)
        return 1
    return int(any(outcome.state is not PullState.OK for outcome in outcomes))

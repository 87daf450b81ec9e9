"""`history`, `baseline`, `samples` and `alerts`: what the store knows."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor import logs
from monitor.cli.common import (
    config_for_store,
    config_option,
    format_option,
    print_table,
    version_option,
    with_store,
)
from monitor.compare.side_kinds import KINDS, NEWLY_WRONG, SUSPECT_LABEL, VARIANT_KINDS

if TYPE_CHECKING:
    from monitor.store import Store


_OTHER_KINDS = tuple(kind.replace("_", "-") for kind in (SUSPECT_LABEL, *VARIANT_KINDS))
_SIDES = tuple(kind.replace("_", "-") for kind in KINDS if kind != SUSPECT_LABEL)


def _since(_context: click.Context, _option: click.Parameter, value: str | None) -> float:
    from monitor.config.durations import parse_duration

    try:
        return parse_duration(value) if value else math.inf
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@config_option
@click.argument("target", required=False)
@click.option(
    "--since", metavar="DURATION", callback=_since, help="Only runs that were seen within it, such as 7d; default: all."
)
@click.option(
    "--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many runs of each target."
)
@format_option("table", "json", "csv")
@version_option
def history(config: Path, target: str | None, since: float, limit: int, style: str) -> None:
    """Print the stored runs, oldest first; of one TARGET (its id) or of all.

    Pulls that said nothing new are counted by the run before them, which says when it was last seen.
    """
    logs.configure("critical")
    begin = time.time() - since
    sys.exit(with_store(config_for_store(config), lambda store: _history(store, target, begin, limit, style)))


async def _history(store: Store, target: str | None, since: float, limit: int, style: str) -> int:
    from monitor.views import history

    known = await store.target_ids()
    if target is not None and not _is_known(target, known):
        return 1
    runs = [run for one in ([target] if target else known) for run in await store.runs(one, since, limit=limit)]
    if style == "json":
        click.echo(json.dumps(history.runs_as_json(runs), ensure_ascii=False, indent=2))
    elif style == "csv":
        click.echo(history.runs_as_csv(runs), nl=False)
    else:
        print_table(
            history.runs_as_table(runs), "no run is stored yet" if since == -math.inf else "no run was seen since then"
        )
    return 0


def _is_known(target: str, known: Sequence[str]) -> bool:
    """Whether the store has runs of a target; says which it has of where not."""
    if target not in known:
        click.echo(
            f"the store has no run of target {target}; it knows the targets: {', '.join(known) or 'none'}", err=True
        )
    return target in known


@click.command()
@config_option
@click.argument("target")
@click.option(
    "--kind",
    type=click.Choice([*_SIDES, *_OTHER_KINDS]),
    default=NEWLY_WRONG.replace("_", "-"),
    show_default=True,
    metavar="KIND",
    help=f"How they changed sides: {', '.join(_SIDES)}; suspect-label: those whose label looks wrong; variant-lost: "
    "those that only the reference variant gets right; variant-gained: that only TARGET does.",
)
@click.option("--class", "of_class", metavar="CLASS", help="Only with this label or prediction, then or now.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The worst so many windows.")
@format_option("table", "json", "csv")
@version_option
def samples(config: Path, target: str, kind: str, of_class: str | None, limit: int, style: str) -> None:
    """Print the samples of TARGET (its id) that changed sides since its baseline, or on which it and the reference
    variant of its impulse differ; the worst first.
    """
    logs.configure("critical")
    loaded = config_for_store(config)
    asked = (kind.replace("-", "_"), of_class or "", limit)
    sys.exit(with_store(loaded, lambda store: _samples(store, target, asked, loaded.studio.pages, style)))


async def _samples(store: Store, target: str, asked: tuple[str, str, int], site: str, style: str) -> int:
    from monitor.store.changed_samples import ListsReplaced
    from monitor.views import samples

    if not _is_known(target, await store.target_ids()):
        return 1
    wanted = samples.Wanted(*asked)
    try:
        page = await samples.samples_page(store, target, wanted, site)
    except ListsReplaced:  # by a running service, while they were read
        page = await samples.samples_page(store, target, wanted, site)
    if page.index is None:
        missing = "has no lists of samples yet; its next comparison writes them"
        if wanted.kind in VARIANT_KINDS:
            missing = "is not compared with a reference variant, or not yet"
        click.echo(f"target {target} {missing}", err=True)
        return 1
    if style == "json":
        click.echo(json.dumps(samples.as_json(page), ensure_ascii=False, indent=2))
    elif style == "csv":
        click.echo(samples.as_csv(page.windows, page.url, page.columns), nl=False)
    else:
        click.echo(f"{page.counted(wanted.kind)}\n{page.url}")
        if page.windows:
            print_table(samples.as_table(page), "")
        if page.next is not None:
            click.echo(f"The list is longer: --limit {page.listed} prints all of it.")
        if page.most is not None:
            click.echo(
                f"The list ends at {page.most:,} windows, --class looks among these; the count is of all samples."
            )
    return 0


@click.group()
@version_option
def baseline() -> None:
    """Show, pin or clear the runs that targets are compared with."""


@baseline.command()
@config_option
@click.argument("target", required=False)
@format_option("table", "json")
@version_option
def show(config: Path, target: str | None, style: str) -> None:
    """Print the baselines, and what happened to the models since; of one TARGET (its id) or of all."""
    logs.configure("critical")
    sys.exit(with_store(config_for_store(config), lambda store: _show_baselines(store, target, style)))


async def _show_baselines(store: Store, target: str | None, style: str) -> int:
    from monitor.views import history

    statuses = await history.baseline_statuses(store, target)
    if style == "json":
        click.echo(json.dumps(history.baselines_as_json(statuses), ensure_ascii=False, indent=2))
    elif statuses or target is None:
        print_table(
            history.baselines_as_table(statuses), "no target has a baseline yet; its first good run becomes one"
        )
    if target is not None and not statuses:
        click.echo(f"target {target} has no baseline; its next good run becomes one", err=True)
        return 1
    return 0


@baseline.command()
@config_option
@click.argument("target")
@click.option("--run", "number", type=int, help="Number of the run, from `history`; default: the last good one.")
@version_option
def pin(config: Path, target: str, number: int | None) -> None:
    """Compare TARGET (its id) with one of its runs from now on. A running service takes it up at its next pull."""
    logs.configure("critical")
    sys.exit(with_store(config_for_store(config), lambda store: _pin(store, target, number)))


async def _pin(store: Store, target: str, number: int | None) -> int:
    from monitor.pipeline.baselines import pin
    from monitor.views.history import wanted_run
    from monitor.views.report import when

    try:
        run = await wanted_run(store, target, number)
        await pin(store, run, "pinned by command", time.time())
    except (LookupError, ValueError) as error:
        click.echo(error.args[0], err=True)
        return 1
    click.echo(f"{target} is compared with run {run.id} of {when(run.finished)} from its next pull on")
    return 0


@baseline.command()
@config_option
@click.argument("target")
@version_option
def clear(config: Path, target: str) -> None:
    """Forget the pinned baseline of TARGET (its id): its next good run becomes the baseline."""
    logs.configure("critical")
    sys.exit(with_store(config_for_store(config), lambda store: _clear(store, target)))


async def _clear(store: Store, target: str) -> int:
    from monitor.pipeline.baselines import unpin

    if not await unpin(store, target):
        click.echo(f"target {target} has no pinned baseline", err=True)
        return 1
    click.echo(f"the next good run of {target} becomes its baseline")
    return 0


@click.command()
@config_option
@format_option("table", "json")
@version_option
def alerts(config: Path, style: str) -> None:
    """Print the stored alerts: pending, firing, and resolved."""
    logs.configure("critical")
    sys.exit(with_store(config_for_store(config), lambda store: _alerts(store, style)))


async def _alerts(store: Store, style: str) -> int:
    from monitor.views import history

    states = await store.alert_states()
    if style == "json":
        click.echo(json.dumps(history.alerts_as_json(states), ensure_ascii=False, indent=2))
    else:
        print_table(history.alerts_as_table(states), "no alert is pending, fires, or has resolved")
    return 0

"""What `check` says of the alerts to come: which drops the rules would miss, and how many false alarms to expect."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from monitor.alerts import power_words
from monitor.alerts.false_alarms import ChangeRate, expected, sentences
from monitor.alerts.rules import Drop, Rule, Subject
from monitor.config import Loaded, ProjectConfig
from monitor.targets import Target, TargetKey

if TYPE_CHECKING:
    from monitor.store.survey import Survey, Surveyed

TARGETS_SHOWN = 20
"""Of how many targets it is said what the rules would miss: of those with the fewest independent verdicts."""

_DAY = 86_400.0
_RATE_KNOWN = 7 * _DAY  # after so long it is known how often something changes
_YEAR = 365 * _DAY


async def print_outlook(loaded: Loaded, *, online: bool) -> None:
    """Print what the store's baselines say of the configured rules; nothing where it has none, or cannot be read.

    Args:
        loaded: The configuration.
        online: Whether a database server is asked too, and the false alarms of a year are printed.
    """
    from monitor.store import StoreError
    from monitor.store.survey import survey

    try:
        known = await survey(loaded.config.store.get_secret_value(), time.time(), servers=online)
    except StoreError:  # `check --online` has said it, and without it a store need not be there
        return
    rates = list(_rates(loaded.config.projects, known))
    rules = loaded.config.rules()
    for line in _missed(rules, rates):
        click.echo(line)
    if online and rates:
        click.echo("false alarms to expect where nothing changes for the worse, upper bounds (docs/alerts.md):")
        for sentence in sentences(expected(rules, rates)):
            click.echo(f"  {sentence}")


def _rates(projects: Iterable[ProjectConfig], known: Survey) -> Iterator[ChangeRate]:
    """The configured targets that the store has runs of."""
    targets, discovered = _discovered(known.discoveries)
    for row in known.targets:
        try:
            key = TargetKey.parse(row.target_id)
        except ValueError:
            continue
        entry = next((entry for entry in projects if _wants(entry, key)), None)
        if entry is None or (key.project_id in discovered and key not in targets):
            continue
        named = targets.get(key, Target(key, str(key.project_id), str(key.impulse_id)))
        subject = Subject.target(Target(key, named.project, named.impulse, entry.labels))
        sets, trainings = _yearly(row, row.changed), _yearly(row, row.trainings)
        yield ChangeRate(subject, row.comparison, sets, trainings, row.undecided)


def _discovered(discoveries: Iterable[bytes]) -> tuple[dict[TargetKey, Target], set[int]]:
    """The targets that were found last, and of which projects."""
    from monitor.live.discoveries import read
    from monitor.store import StoreError

    targets: dict[TargetKey, Target] = {}
    for value in discoveries:
        try:
            targets |= {target.key: target for target in read(value).targets}
        except (StoreError, ValueError):  # another version's: ids will do
            continue
    return targets, {key.project_id for key in targets}


def _wants(entry: ProjectConfig, key: TargetKey) -> bool:
    return (
        (entry.id, entry.category) == (key.project_id, key.category)
        and (entry.impulses == "all" or key.impulse_id in entry.impulses)
        and (entry.variants == "enabled" or key.variant in entry.variants)
    )


def _yearly(row: Surveyed, times: int) -> float | None:
    return times * _YEAR / row.seconds if row.seconds >= _RATE_KNOWN else None


def _missed(rules: Sequence[Rule], rates: Iterable[ChangeRate]) -> Iterator[str]:
    """What the rules would miss, a line for each target and rule."""
    found = [
        (power.pairs, rate.subject, rule, power_words.blind_spots(rule, power, change.shared))
        for rate in rates
        if rate.comparison
        for rule in rules
        if isinstance(rule.condition, Drop) and rule.matches(rate.subject)
        if (power := rate.comparison.power(rule.condition.metric)) is not None
        if (change := rate.comparison.change(rule.condition.metric)) is not None
    ]
    found.sort(key=lambda each: (each[0], each[1].id, each[2].name))
    for _, subject, _, words in found[:TARGETS_SHOWN]:
        yield f"{subject.name}: {'; '.join(words)}"
    if len(found) > TARGETS_SHOWN:
        yield f"… and so for {len(found) - TARGETS_SHOWN:,} more, which have more independent verdicts"

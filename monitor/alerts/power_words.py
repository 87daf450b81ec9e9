"""What a rule could have seen, in words: the same in alerts, on pages and in `check`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from monitor.alerts import wording
from monitor.alerts.rules import Drop, Rule
from monitor.compare.change import ADDED, MODEL
from monitor.compare.comparison import Comparison
from monitor.compare.power import FOUND, SIGNIFICANCE, Power

SAID_BEYOND = 0.02
"""It is said how often a rule misses a drop that exceeds its margin by so much."""

MOST = 0.5
"""A rule that misses more of them can hardly fire."""

_SMALLEST = 0.001  # a tenth of a point: sizes are written no finer
_NOTICEABLE = 0.01  # of a figure: what added samples cannot move by so much is not said of them

_WORSE = {MODEL: "by another training", ADDED: "from samples added since"}


def could_show(power: Power, significance: float | None = SIGNIFICANCE) -> Iterator[str]:
    """The smallest drops that a set would show, a clause each; none for a rule without a test.

    Args:
        power: Of the figure.
        significance: The rule's; None where it takes any p-value.
    """
    if significance is None:
        return
    for cause, drop in _visible(power, significance):
        worse = _WORSE[cause]
        if words := _unreachable(power, cause, significance):
            yield words
        elif math.isinf(drop):
            yield f"no drop {worse} would show in {FOUND:.0%} of cases".replace("%", " %")
        else:
            size = wording.size(power.metric, drop)
            if _vanishes(power, drop):
                size = f"less than {wording.size(power.metric, _SMALLEST)}"
            yield f"this set would show a drop of {size} {worse} in {FOUND:.0%} of cases".replace("%", " %")


def would_miss(power: Power) -> Iterator[str]:
    """What a set would not show, for people who do not reckon in power, a clause each."""
    rate = "missed here more than one time in five"  # FOUND
    for cause, drop in _visible(power, SIGNIFICANCE):
        worse = _WORSE[cause]
        if words := _unreachable(power, cause, SIGNIFICANCE):
            yield words
        elif math.isinf(drop):
            yield f"any drop {worse} would be {rate}"
        elif not _vanishes(power, drop):
            level = wording.pvalue(SIGNIFICANCE)
            size = wording.size(power.metric, drop)
            yield f"a drop under {size} {worse} would be {rate} (power {FOUND * 100:.0f} % at p ≤ {level})"


def _visible(power: Power, significance: float) -> Iterator[tuple[str, float]]:
    """The smallest visible drop of each cause that can move the figure noticeably."""
    for cause in _WORSE:
        drop = power.smallest_visible_drop(cause, significance)
        if drop is not None and power.largest_drop(cause) >= _NOTICEABLE:
            yield cause, drop


def _vanishes(power: Power, drop: float) -> bool:
    """Whether a drop is 0 as it is written."""
    return wording.size(power.metric, drop) == wording.size(power.metric, 0.0)


def _unreachable(power: Power, cause: str, significance: float) -> str:
    """That the test of a cause can give no p-value small enough; empty where it can."""
    reached = power.reachable.get(cause, 0.0)
    if reached <= significance:
        return ""
    return (
        f"no drop {_WORSE[cause]} can be significant: the smallest p that its test can give here is "
        f"{wording.pvalue(reached)}, and {wording.pvalue(significance)} is needed"
    )


def hardly_fires(rule: Rule, power: Power | None) -> str:
    """By which causes a rule would miss most drops that exceed its margin by 2 points, in a clause; empty where there
    is none, or where that is not known.

    Args:
        rule: Any.
        power: Of its figure; None where there is none.
    """
    drop = rule.condition
    if not isinstance(drop, Drop) or power is None or power.metric != drop.metric or drop.significance is None:
        return ""
    size = drop.margin + SAID_BEYOND
    silent = [
        worse
        for cause, worse in _WORSE.items()
        if cause in power.reachable and power.largest_drop(cause) >= size
        if power.missed(size, drop.significance, drop.margin, cause) > MOST
    ]
    if not silent:
        return ""
    lost = f"a drop of {wording.size(drop.metric, size)} {' or '.join(silent)}"
    return f"{rule.name} can hardly fire for {lost}: its silence is not health"


def by_metric(rules: Iterable[Rule], comparison: Comparison) -> dict[str, list[str]]:
    """By figure, what a comparison would have missed, and which of a target's rules can hardly fire, a clause each."""
    found = {}
    for power in comparison.powers:
        silent = [words for rule in rules if (words := hardly_fires(rule, power))]
        found[power.metric] = [*would_miss(power), *silent]
    return found


def misses(rule: Rule, power: Power, samples: int) -> str:
    """How often a rule misses a drop by another training that exceeds its margin by 2 points, in a clause; empty where
    the rule is not of the kind.

    Args:
        rule: Any.
        power: Of a figure.
        samples: How many samples both runs have.
    """
    drop = rule.condition
    if not isinstance(drop, Drop) or power.metric != drop.metric:
        return ""
    size = drop.margin + SAID_BEYOND
    missed = power.missed(size, drop.significance, drop.margin)
    worth = "" if power.pairs == samples else f" (worth {power.pairs:,} independent verdicts)"
    return (
        f"with {samples:,} {wording.counts(drop.metric)}{worth} {rule.name} misses a drop of "
        f"{wording.size(drop.metric, size)} {_WORSE[MODEL]} in {missed * 100:.0f} % of cases"
    )


def blind_spots(rule: Rule, power: Power, samples: int) -> list[str]:
    """What a rule about a drop would miss, a clause each; `samples` as `misses` takes it."""
    drop = rule.condition
    level = drop.significance if isinstance(drop, Drop) else None
    unreachable = [
        _unreachable(power, cause, level)
        for cause in _WORSE
        if level is not None and power.largest_drop(cause) >= _NOTICEABLE
    ]
    return [words for words in (misses(rule, power, samples), *unreachable, hardly_fires(rule, power)) if words]

"""What a rule could have seen, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from monitor.alerts import explain, power_words
from monitor.alerts.rules import Above, Drop, Rule
from monitor.alerts.verdicts import check_rule
from monitor.compare.power import Power, smallest_paired_drop
from tests.alerts.alert_cases import SUBJECT, change, classifier, compared

REACHED: Mapping[str, float] = {"model": 1e-60, "added": 1e-9}
POWER = Power("accuracy", 0.9, 200, 0.04, 200, 50, 0.2, REACHED, {"model": 0.0803, "added": 0.0371})
RULE = Rule("Fell", Drop("accuracy", 0.03))
BOTH = "Fell can hardly fire for a drop of 5.0 points by another training or from samples added since: its silence is "
ONE_ADDED = Power(
    "accuracy", 0.9, 5000, 0.04, 5000, 1, 1 / 5001, {"model": 1e-60, "added": 0.1}, {"model": 0.0109, "added": math.inf}
)
NO_GROUP = Power("accuracy", 0.9, 1000, 0.04, 1000, 200, 1 / 6, {**REACHED, "added": 0.2}, {"model": 0.0277})
FEW = replace(POWER, reachable={**REACHED, "added": 0.0625}, visible={**POWER.visible, "added": math.inf})


def test_what_a_set_would_show() -> None:
    """By cause the smallest drop; that none would show, or that no p-value could be small enough, where that is so."""
    blind = replace(POWER, visible={"model": math.inf})

    assert [
        "this set would show a drop of 8.0 points by another training in 80 % of cases",
        "this set would show a drop of 3.7 points from samples added since in 80 % of cases",
    ] == list(power_words.could_show(POWER))
    assert ["no drop by another training would show in 80 % of cases"] == list(power_words.could_show(blind))
    assert (
        "no drop from samples added since can be significant: the smallest p that its test can give here is 0.062, "
        "and 0.01 is needed"
    ) == list(power_words.could_show(FEW))[1]
    assert [] == list(power_words.could_show(POWER, None))


def test_what_a_set_would_miss() -> None:
    """The same for a page, the other way round: which drops would be missed; what cannot be seen at all is said so."""
    blind = replace(POWER, visible={"model": math.inf})

    assert [
        "a drop under 8.0 points by another training would be missed here more than one time in five (power 80 % at "
        "p ≤ 0.01)",
        "a drop under 3.7 points from samples added since would be missed here more than one time in five (power 80 % "
        "at p ≤ 0.01)",
    ] == list(power_words.would_miss(POWER))
    assert ["any drop by another training would be missed here more than one time in five"] == list(
        power_words.would_miss(blind)
    )
    assert list(power_words.could_show(FEW))[1] == list(power_words.would_miss(FEW))[1]


def test_a_verdict_says_what_it_could_see() -> None:
    """An alert's description ends with what the set would show at the rule's own significance level; its details have
    the default's.
    """
    comparison = replace(compared(change("accuracy", 0.913, {"added": -0.041}, pvalues={"total": 1e-4})), powers=(FEW,))
    strict = Rule("Strict", Drop("accuracy", 0.03, 0.001))
    drop = smallest_paired_drop(200, 0.9, 0.04, 0.001)
    words = explain.verdict(strict, SUBJECT, check_rule(strict, classifier(0.872), comparison))

    assert f"This set would show a drop of {drop * 100:.1f} points by another training in 80 % of cases." in (
        words.description
    )
    assert "is 0.062, and 0.001 is needed." in words.description
    assert {"model": 0.0803, "added": None} == words.details["smallest_visible_drop"]


def test_what_cannot_be_seen_of_little() -> None:
    """Of added samples that can move the figure by less than a point nothing is said; nor that less than 0.0 points
    would be missed.
    """
    exact = replace(POWER, visible={"model": 0.0002})

    assert [
        "a drop under 1.1 points by another training would be missed here more than one time in five (power 80 % at "
        "p ≤ 0.01)"
    ] == list(power_words.would_miss(ONE_ADDED))
    assert ["this set would show a drop of 1.1 points by another training in 80 % of cases"] == list(
        power_words.could_show(ONE_ADDED)
    )
    assert [] == list(power_words.would_miss(exact))
    assert ["this set would show a drop of less than 0.1 points by another training in 80 % of cases"] == list(
        power_words.could_show(exact)
    )
    assert ["with 5,000 samples Fell misses a drop of 5.0 points by another training in 0 % of cases"] == (
        power_words.blind_spots(RULE, ONE_ADDED, 5000)
    )


@pytest.mark.parametrize(
    ("rule", "power", "said"),
    [
        (RULE, POWER, "Fell can hardly fire for a drop of 5.0 points by another training: its silence is not health"),
        (RULE, replace(POWER, pairs=400), ""),
        (
            RULE,
            replace(POWER, shared=60, added=15),
            "Fell can hardly fire for a drop of 5.0 points by another training",
        ),
        (RULE, ONE_ADDED, ""),
        (RULE, NO_GROUP, "Fell can hardly fire for a drop of 5.0 points from samples added since: its silence is not"),
        (Rule("Fell", Drop("accuracy", 0.03, 1e-6)), POWER, BOTH),
        (Rule("Fell", Drop("accuracy", 0.09)), POWER, ""),
        (
            Rule("Fell", Drop("accuracy", 0.09)),
            FEW,
            "Fell can hardly fire for a drop of 11.0 points from samples added ",
        ),
        (Rule("Fell", Drop("accuracy", 0.03, None)), POWER, ""),
        (Rule("Fell", Drop("mean_f1", 0.03)), POWER, ""),
        (Rule("Low", Above("accuracy", 0.03)), POWER, ""),
        (RULE, None, ""),
    ],
)
def test_rules_that_can_hardly_fire(rule: Rule, power: Power | None, said: str) -> None:
    """A rule is named that misses most drops of 2 points more than its margin, with the cause by which they come; of
    added samples only where these can lose so much. One without a test, or of another figure, is not.
    """
    assert power_words.hardly_fires(rule, power).startswith(said)
    assert bool(said) == bool(power_words.hardly_fires(rule, power))


def test_how_often_a_rule_misses() -> None:
    """With 200 samples the default rule misses a drop of 5 points in 60 % of cases, and with 1,000 in 2 %; where
    samples are worth more or fewer verdicts, both are said.
    """
    said = "Fell misses a drop of 5.0 points by another training in 60 % of cases"

    assert f"with 200 samples {said}" == power_words.misses(RULE, POWER, 200)
    assert f"with 1,200 samples (worth 200 independent verdicts) {said}" == power_words.misses(RULE, POWER, 1200)
    assert power_words.misses(RULE, replace(POWER, pairs=1000), 1000).endswith("in 2 % of cases")
    assert "" == power_words.misses(Rule("Fell", Drop("mean_f1", 0.03)), POWER, 200)

"""What `check` says of the alerts to come: which drops the rules would miss, and how many false alarms to expect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from monitor.alerts.false_alarms import ChangeRate, Expected, expected, sentences
from monitor.alerts.rules import Above, AnomalyDrift, Drop, QuantizationLoss, Rise, Rule, Subject, built_in
from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.compare.error_evidence import ErrorEvidence
from monitor.compare.variants import Growth, VariantComparison, VariantGap
from tests.alerts.alert_cases import drifted
from tests.cli.commands import run_beside
from tests.factories import TARGET
from tests.store.quiet_runs import KNOWN, record

UNDECIDED = replace(drifted(), unit_known=False)
UNCLEAR = "with fewer than 10 groups nobody can tell whether samples are alike"
DRIFT = Rule("Drift", AnomalyDrift())
FELL = Rule("Fell", Drop("accuracy", 0.03))


async def check(config: Path, *options: str) -> Result:
    """`check` to its end."""
    return await run_beside("check", "--config", config, *options)


def write(folder: Path, **sections: Any) -> Path:
    """A configuration of project 1, with a Studio that nobody answers for."""
    path = folder / "monitor.yaml"
    projects = [{"id": 1, "api_key": "k", "labels": {"team": "edge"}}]
    content = {"studio": {"url": "http://127.0.0.1:9/v1", "timeout": "1s"}, "projects": projects, "notify": []}
    path.write_text(yaml.safe_dump(content | sections), encoding="utf-8")
    return path


async def test_check_says_what_a_rule_misses(tmp_path: Path) -> None:
    """Where the store has a comparison, a sentence per target says which drop is missed how often, and that silence is
    not health; the store stays as it is.
    """
    config, file = write(tmp_path), tmp_path / "impulse-monitor.db"
    before = await check(config)
    await record(f"sqlite:///{file}", [10, 0])
    await record(f"sqlite:///{file}", [10, 0], target="9-2-int8-testing")
    content = file.read_bytes()
    after = await check(config)

    assert not (0 != before.exit_code or "misses" in before.stdout)
    assert (
        "1 / 2 (int8, testing): with 812 samples (worth 200 independent verdicts) EdgeImpulseAccuracyRegressed misses "
        "a drop of 5.0 points by another training in 60 % of cases; EdgeImpulseAccuracyRegressed can hardly fire for a "
        "drop of 5.0 points by another training: its silence is not health"
    ) in after.stdout.splitlines()
    assert "9 / 2" not in after.stdout
    assert "false alarms" not in after.stdout
    assert (0, content) == (after.exit_code, file.read_bytes())


async def test_check_online_says_how_many_false_alarms_to_expect(tmp_path: Path) -> None:
    """Each rule has an upper bound for a year, from how often the result sets and models of these targets change."""
    config = write(tmp_path, alerts=[{"alert": "Low", "metric": "accuracy", "below": 0.8}])
    await record(f"sqlite:///{tmp_path}/impulse-monitor.db", [36.5, 27, 18, 9, 0])
    found = (await check(config, "--online")).stdout.splitlines()
    place = next(number for number, line in enumerate(found) if line.startswith("false alarms to expect"))

    # 4 changes and 2 trainings in 36.5 days
    assert [
        "  EdgeImpulseAccuracyRegressed, 1 target: at most 0.2 in a year, at most 0.005 each time that all result sets "
        "have changed",
        "  EdgeImpulseMeanF1Regressed, 1 target: at most 0.2 in a year, at most 0.005 each time that all result sets "
        "have changed",
        "  EdgeImpulseAnomalyDrift, 1 target: at most 0.41 in a year, at most 0.01 for as long as baselines and models "
        "last, 0.02 each time that all models are trained",
        "  Low, 1 target: no bound: it depends on how close the true figures are to the threshold",
        "  all rules together: at most 0.81 in a year, without what has no bound, if no evidence starts again: each "
        "start adds at most 0.01",
    ] == found[place + 1 : place + 6]


def fleet(
    targets: int, sets: float | None = 50.0, blocks: int = 1, undecided: bool = False, **others: Any
) -> list[ChangeRate]:
    """Quiet targets of one kind; `others` are of their comparison."""
    comparison = Comparison(
        BaselineFigures("pinned", 1.0, "", {"log_loss": 0.3}),
        (Change("accuracy", 0.9, 0.9, {}),),
        (drifted(),) * blocks,
        **others,
    )
    keys = [replace(TARGET, key=TARGET.key._replace(impulse_id=number)) for number in range(targets)]
    trainings = None if sets is None else 2.0
    return [ChangeRate(Subject.target(key), comparison, sets, trainings, undecided) for key in keys]


def test_bounds_add_up() -> None:
    """Half the level per changed result set; 1 % per block for ever, and both again per training; nothing of figures
    that a target does not have.
    """
    accuracy, drift = expected(built_in(), fleet(100, blocks=2))

    assert Expected(accuracy.rule, 100, per_set=0.5, yearly=25.0) == replace(accuracy, yearly=round(accuracy.yearly, 9))
    assert "EdgeImpulseAnomalyDrift" == drift.rule.name
    assert (pytest.approx(2.0), pytest.approx(4.0), pytest.approx(10.0)) == (
        drift.lasting,
        drift.per_training,
        drift.yearly,
    )


def test_evidence_of_errors_is_counted_with_the_accuracy() -> None:
    """The built-in accuracy alert has another 1 % for as long as a model lasts, where there is such evidence; a rule of
    another name has not.
    """
    errors = ErrorEvidence(0.0, False, 0.1, 0.1, 1.0, 20, 20, 1.0)
    built, other = expected((built_in()[0], Rule("Other", Drop("accuracy", 0.03))), fleet(3, errors=errors))

    assert (pytest.approx(0.03), pytest.approx(0.03)) == (built.lasting, built.per_training)
    assert pytest.approx(3 * (0.25 + 0.01 + 2 * 0.01)) == built.yearly
    assert (0.0, pytest.approx(0.75)) == (other.lasting, other.yearly)


def test_a_loss_of_a_variant_is_counted() -> None:
    """Each figure's gap and each growth of one adds half the level per changed result set; a variant that is not
    compared adds none.
    """
    gaps = VariantGap("accuracy", 0.9, 0.9, 0.5, growth=Growth(0.0, 0.0, 400)), VariantGap("mean_f1", 0.9, 0.9, 0.5)
    compared = fleet(2, variants=VariantComparison("float32", gaps=gaps))
    alone = fleet(1, variants=VariantComparison("float32", reason="their blocks have different thresholds"))
    (loss,) = expected([Rule("Loss", QuantizationLoss(significance=0.02))], [*compared, *alone])

    assert (2, pytest.approx(2 * 0.03), pytest.approx(50 * 2 * 0.03)) == (loss.targets, loss.per_set, loss.yearly)
    assert "all rules together: at most 3 in a year" == list(sentences([loss]))[1]


def test_what_has_no_bound_is_said() -> None:
    """A threshold and a rule without significance level have no bound, of a figure without a test neither; an unknown
    rate gives one per change only, and no sum for a year.
    """
    rules = (
        Rule("High", Above("accuracy", 0.5)),
        Rule("Any", Drop("accuracy", 0.03, None)),
        Rule("Untested", Rise("log_loss", 0.03, None)),
        Rule("Fell", Drop("accuracy", 0.03, 0.001)),
        Rule("Drift", AnomalyDrift()),
        Rule("Other", Drop("accuracy", 0.03), match={"impulse": "none"}),
    )

    assert [
        "High, 2 targets: no bound: it depends on how close the true figures are to the threshold",
        "Any, 2 targets: no bound: it has no significance level",
        "Untested, 2 targets: no bound: it has no significance level",
        "Fell, 2 targets: at most 0.001 each time that all result sets have changed, how often they change is not "
        "known yet of 2",
        "Drift, 2 targets: at most 0.02 for as long as baselines and models last, 0.04 each time that all models are "
        "trained, how often they change is not known yet of 2",
        "all rules together: no sum for a year, as it is not known yet how often the targets change",
    ] == list(sentences(expected(rules, fleet(2, None))))


def test_targets_of_too_few_groups_have_no_bound() -> None:
    """Where nobody can tell whether samples are alike no bound is claimed: neither of the evidence nor of a p-value."""
    few = [replace(rate, comparison=replace(KNOWN, drifts=(UNDECIDED,))) for rate in fleet(1)]
    none = list(sentences(expected([DRIFT, FELL], fleet(3, undecided=True))))
    partly = list(sentences(expected([DRIFT, FELL], [*few, *fleet(4)[1:3], *fleet(4, None)[3:]])))

    assert [
        f"Drift, 3 targets: no bound claimed: {UNCLEAR}",
        f"Fell, 3 targets: no bound claimed: {UNCLEAR}",
    ] == none
    assert [
        "Drift, 4 targets: at most 0.1 in a year, at most 0.03 for as long as baselines and models last, 0.06 each "
        "time that all models are trained, how often they change is not known yet of 1, no bound claimed for 1: "
        f"{UNCLEAR}",
        "Fell, 4 targets: at most 0.75 in a year, at most 0.02 each time that all result sets have changed, how often "
        "they change is not known yet of 1",
        "all rules together: at most 0.85 in a year, without what has no bound, without 1 target of which it is not "
        "known yet how often they change, if no evidence starts again: each start adds at most 0.01",
    ] == partly

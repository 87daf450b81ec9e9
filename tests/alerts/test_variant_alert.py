"""The alert about what a variant loses against the reference variant: verdicts and words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.alerts import explain, variant_words
from monitor.alerts.rules import QuantizationLoss, Rule
from monitor.alerts.verdicts import Answer, Verdict, check_rule
from monitor.compare.comparison import Comparison
from monitor.compare.variants import Growth, VariantComparison, VariantGap
from monitor.figures.evaluation import Interval
from tests.alerts.alert_cases import SUBJECT, classifier, compared

RULE = Rule("EdgeImpulseQuantizationLoss", QuantizationLoss())
BASELINE = " The baseline (pinned) is of 2026-09-21 14:13 UTC."


def gap(
    size: float, p: float, metric: str = "accuracy", growth: Growth | None = None, smallest: float | None = None
) -> VariantGap:
    """A gap of so many points, whose interval is 2 points to either side."""
    return VariantGap(metric, 0.9, 0.9 - size, p, Interval(size - 0.02, size + 0.02), growth, smallest)


def beside(*gaps: VariantGap, reason: str = "", lost: int = 31) -> Comparison:
    """A comparison in which the variant stands beside float32 like that."""
    return replace(compared(), variants=VariantComparison("float32", ("v", "r"), reason, gaps, 400, lost, 6))


def verdict(*gaps: VariantGap, recover: float | None = None) -> Verdict:
    """What the rule says of these gaps."""
    return check_rule(replace(RULE, recover=recover), classifier(0.9), beside(*gaps))


@pytest.mark.parametrize(
    ("gaps", "answer", "recovered"),
    [
        ([gap(0.04, 0.01)], Answer.YES, False),
        ([gap(0.04, 0.011)], Answer.NO, False),
        ([gap(0.03, 0.001)], Answer.NO, False),
        ([gap(0.019, 0.001)], Answer.NO, True),
        ([gap(-0.1, 0.001)], Answer.NO, True),
        ([gap(0.0, 1.0), gap(0.05, 0.001, "mean_f1")], Answer.YES, False),
        ([gap(0.02, 0.2, growth=Growth(-0.02, 0.02, 400, 0.005))], Answer.YES, False),
        ([gap(0.02, 0.2, growth=Growth(-0.02, 0.02, 400, 0.02))], Answer.NO, False),
        ([gap(0.02, 0.2, growth=Growth(0.0, 0.02, 400, 0.001))], Answer.NO, True),
        ([gap(0.0, 1.0, growth=Growth(0.0, 0.0, 400))], Answer.NO, True),
    ],
)
def test_verdicts(gaps: list[VariantGap], answer: Answer, recovered: bool) -> None:
    """A gap, or its growth, beyond the margin and significant: each alone is enough, of any figure; over once all are
    back inside by as much as they are unsure.
    """
    found = verdict(*gaps)

    assert (found.answer, found.recovered) == (answer, recovered)


def test_the_figure_that_lost_most_is_told() -> None:
    """Of several figures that meet the condition the message is about the largest loss, be it by growth."""
    grown = gap(0.01, 0.5, "map", Growth(-0.07, 0.01, 300, 0.001))
    found = verdict(gap(0.04, 0.001), grown, gap(0.05, 0.001, "mean_f1"), gap(0.2, 0.5, "other"))

    assert found.gap is grown
    assert found.value == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("gaps", "severity"),
    [
        ([gap(0.08, 0.001)], "warning"),
        ([gap(0.09, 0.001)], "critical"),
        ([gap(0.04, 0.001), gap(0.2, 0.5, "mean_f1")], "warning"),
        ([gap(0.04, 0.001), gap(0.2, 0.001, "mean_f1")], "critical"),
        ([gap(0.04, 0.001, growth=Growth(-0.05, 0.04, 400, 0.001))], "critical"),
        ([gap(0.04, 0.001, growth=Growth(-0.05, 0.04, 400, 0.1))], "warning"),
        ([gap(0.0, 1.0)], "warning"),
    ],
)
def test_severity_goes_by_size(gaps: list[VariantGap], severity: str) -> None:
    """A significant loss, or growth of it, of three times the margin is critical, of whichever figure."""
    assert RULE.severity_of(verdict(*gaps).margins) == severity


def test_recovery_is_what_the_rule_says() -> None:
    """A written `recover` replaces half a standard error."""
    assert verdict(gap(0.019, 0.5), recover=0.02).recovered is False
    assert verdict(gap(0.01, 0.5), recover=0.02).recovered is True


@pytest.mark.parametrize(
    ("comparison", "reason"),
    [
        (None, "there is no comparison yet"),
        (compared(), "there is no reference variant to compare with"),
        (beside(reason="it has no results yet"), "the variant is not compared with float32: it has no results yet"),
        (beside(), "the variant is not compared with float32: they have no figure in common that is compared"),
    ],
)
def test_nothing_to_judge(comparison: Comparison | None, reason: str) -> None:
    """Where there is no gap the rule does not apply, and says why."""
    found = check_rule(RULE, classifier(0.9), comparison)

    assert (found.answer, found.reason) == (Answer.NOT_APPLICABLE, reason)


def test_words_of_a_gap() -> None:
    """The message leads with the gap; behind it values, test, interval, samples, and the gap of the baseline."""
    found = verdict(gap(0.062, 2e-6, growth=Growth(0.01, 0.062, 380, 0.004)))
    words = explain.verdict(RULE, SUBJECT, found)

    assert words.summary == (
        "Accuracy is 6.2 points below that of float32 on the same samples: vibration-a / classifier (int8, testing)."
    )
    assert words.description == (
        "Accuracy is 6.2 points below that of float32 on the same samples; 31 of the samples only float32 gets right, "
        "6 only this variant. Look at the samples that only float32 gets right, on the target's page. Accuracy 0.900 "
        "of float32, 0.838 of this variant (−6.2 points; p = 2e-6; 95 % interval −8.2 to −4.2 points) on "
        "the same 400 samples. At the baseline accuracy was −1.0 points, on the samples of then it is −6.2 points now "
        "(p = 0.004). The rule fires for a gap of more than 3.0 points, or one that grew by more than that since the "
        "baseline, with p ≤ 0.01. It "
        "resolves 0.5 points back inside." + BASELINE
    )
    assert words.samples_url == f"{SUBJECT.url}?kind=variant_lost#samples"
    assert words.details == {
        "metric": "accuracy",
        "against": "float32",
        "value": pytest.approx(0.062),
        "threshold": 0.03,
        "interval": [pytest.approx(0.042), pytest.approx(0.082)],
        "pvalue": 2e-6,
        "growth": pytest.approx(0.052),
    }


def test_words_of_a_gap_that_grew() -> None:
    """Where only the growth is too much the message leads with it."""
    found = verdict(gap(0.025, 0.2, growth=Growth(-0.02, 0.025, 380, 0.004)))

    assert explain.verdict(RULE, SUBJECT, found).summary.startswith(
        "The gap of accuracy to float32 grew by 4.5 points since the baseline: "
    )


def test_words_while_it_is_not_yet_back_and_once_it_is() -> None:
    """What still fires says so, and what resolves says what is the case."""
    edge, inside = verdict(gap(0.029, 0.001)), verdict(gap(0.0, 1.0))

    assert explain.verdict(RULE, SUBJECT, edge).summary.startswith("Accuracy against float32 is not yet back inside: ")
    assert explain.recovered(RULE, SUBJECT, inside).summary.startswith("Accuracy against float32 is back inside: ")


def test_too_few_groups_are_said() -> None:
    """Where no p-value could be small enough, silence is explained."""
    words = explain.verdict(RULE, SUBJECT, verdict(gap(0.1, 0.125, smallest=0.125))).description

    assert "No gap can be significant: the smallest p that its test can give here is 0.12." in words


def test_words_of_a_page() -> None:
    """A page says every figure in a line, or why there is none."""
    shown = beside(gap(0.062, 2e-6), replace(gap(-0.01, 0.4, "mean_f1"), interval=None)).variants
    apart = beside(reason="its pull of this turn has failed").variants
    assert shown is not None
    assert apart is not None

    assert list(variant_words.beside(shown)) == [
        "against float32 on the same 400 samples: accuracy −6.2 points (95 % interval −8.2 to −4.2 points; "
        "p = 2e-6), mean F1 +1.0 points (p = 0.4)",
        "31 of the samples only float32 gets right, 6 only this variant",
    ]
    assert list(variant_words.beside(apart)) == ["not compared with float32: its pull of this turn has failed"]

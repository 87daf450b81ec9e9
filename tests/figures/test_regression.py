"""Regression: errors against scikit-learn, strict numbers, and the share within tolerance."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from monitor.figures.evaluation import Regression
from monitor.figures.regression import regression
from monitor.results import CORRECT, UNSCORED, WRONG, Block, BlockKind, ResultSet
from tests import factories
from tests.factories import encoded
from tests.growth import LINEAR, growth


def result_set(
    pairs: Sequence[tuple[str | None, str | None]],
    correct: list[int] | None = None,
    thresholds: dict[str, float] | None = None,
    sample: list[int] | None = None,
) -> ResultSet:
    """Windows by (label, prediction); one sample each unless told."""
    windows = len(pairs)
    owners = np.arange(windows) if sample is None else np.array(sample)
    return factories.result_set(
        **encoded([label for label, _ in pairs], [prediction for _, prediction in pairs]),
        blocks=(Block(5, "keras-regression", BlockKind.REGRESSION, thresholds=thresholds or {}),),
        sample=owners,
        correct=np.array([UNSCORED] * windows if correct is None else correct, np.int8),
    )


def figures(results: ResultSet, seed: int | None = None) -> Regression:
    """The block's figures, where nothing is left out."""
    found, left_out = regression(results, seed)
    assert found is not None
    assert left_out == {}
    return found


numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@st.composite
def written(draw: st.DrawFn) -> tuple[str, float]:
    """A number, and one of the ways in which people and programs write it."""
    value = draw(numbers)
    digits = format(Decimal(repr(abs(value))), "f")
    whole, _, rest = digits.partition(".")
    if not int(rest or "0"):
        digits = draw(st.sampled_from([whole, f"{whole}.", f"{whole}.0"]))
    elif not int(whole):
        digits = draw(st.sampled_from([digits, f".{rest}"]))
    sign = "-" if value < 0 else draw(st.sampled_from(["", "+"]))
    blanks = st.sampled_from(["", " ", "  ", "\t"])
    decimal = sign + draw(st.sampled_from(["", "0", "00"])) * digits[0].isdigit() + digits
    return draw(blanks) + draw(st.sampled_from([decimal, repr(value), format(value, ".16e")])) + draw(blanks), value


@pytest.mark.slow
@given(st.lists(st.tuples(written(), written()), min_size=1, max_size=60))
def test_equals_scikit_learn(pairs: list[tuple[tuple[str, float], tuple[str, float]]]) -> None:
    """However numbers are written, mean absolute and squared error and R² are scikit-learn's; R² only where labels
    vary.
    """
    found = figures(result_set([(label, prediction) for (label, _), (prediction, _) in pairs]))
    labels, predictions = ([value for _, value in side] for side in zip(*pairs, strict=True))

    assert pytest.approx(mean_absolute_error(labels, predictions), rel=1e-12) == found.mean_absolute_error
    assert pytest.approx(mean_squared_error(labels, predictions), rel=1e-12) == found.mean_squared_error
    if len(set(labels)) == 1:
        assert found.r2 is None
    else:
        assert pytest.approx(r2_score(labels, predictions), rel=1e-12, abs=1e-12) == found.r2


def test_constant_labels_have_no_r2() -> None:
    """Equal labels explain nothing, even where their mean is rounded to another number."""
    assert figures(result_set([("0.1", "0.2")] * 3)).r2 is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("12.50", 12.5),
        ("2.5E-1", 0.25),
        ("1e+2", 100.0),
        ("-7", -7.0),
        ("05.50", 5.5),
        ("000.50", 0.5),
        ("-007", -7.0),
        ("+3", 3.0),
        (" 3.5", 3.5),
        ("3.5 ", 3.5),
        ("\t3.5\n", 3.5),
        ("3.5\x1c", 3.5),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
    ],
)
def test_numbers_as_people_and_programs_write_them(text: str, value: float) -> None:
    """Decimals with leading zeros, a sign, blanks around them or a bare point are read, as label and as prediction."""
    assert figures(result_set([("0", text)])).mean_absolute_error == abs(value)
    assert figures(result_set([(text, "0")])).mean_absolute_error == abs(value)


@pytest.mark.parametrize(
    "text",
    [
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1_000",
        "",
        " ",
        "+",
        ".",
        "-.",
        "1 000",
        "- 1",
        "0x10",
        "0b1",
        "0x1p3",
        "1e999",
        "1,5",
        "cold",
        "٣",
        "−1",
        "--1",
        "+-1",
        "1e",
        "1.2.3",
    ],
)
def test_other_texts_are_unparsable(text: str) -> None:
    """What is no finite number is left out and counted, whichever side it is on."""
    found, left_out = regression(result_set([(text, "1"), ("2", text), (text, text), ("1", "2")]), None)

    assert found is not None
    assert found.mean_absolute_error == 1.0
    assert left_out == {"unparsable": 3}


def test_missing_texts_are_left_out_silently() -> None:
    """A window without a label or a prediction has nothing that could be parsed."""
    found = figures(result_set([(None, "1"), ("1", None), (None, None), ("1", "3")]))

    assert found.mean_absolute_error == 2.0


def test_nothing_numeric_is_no_figure() -> None:
    """Texts alone give no errors of 0, but are counted."""
    assert regression(result_set([("warm", "1"), ("cold", "warm")]), 1) == (None, {"unparsable": 2})
    assert regression(result_set([]), 1) == (None, {})


@pytest.mark.parametrize("correct", [None, [CORRECT, WRONG, UNSCORED, CORRECT]], ids=["not judged", "judged otherwise"])
def test_within_tolerance_is_by_the_threshold(correct: list[int] | None) -> None:
    """A window is within if its error is at most the block's threshold, whatever Studio said of it."""
    pairs = [("1", "1.5"), ("1", "0.5"), ("1", "1.75"), ("1", "9")]

    assert figures(result_set(pairs, correct, {"max_error": 0.5})).within_tolerance == 0.5


@pytest.mark.parametrize("thresholds", [{}, {"a": 0.5, "b": 2.0}])
def test_without_one_threshold_the_tolerance_is_unknown(thresholds: dict[str, float]) -> None:
    """No threshold, or one of several, is not guessed, and Studio's verdicts are no share within a tolerance."""
    found = figures(result_set([("1", "1")] * 40, [CORRECT] * 40, thresholds), 1)

    assert found.within_tolerance is None
    assert found.within_tolerance_interval is None


def test_windows_without_numbers_do_not_count_for_the_tolerance() -> None:
    """A verdict on a window whose texts are no numbers is out of the share."""
    found, _ = regression(
        result_set([("1", "1"), ("x", "1"), ("1", "y")], [CORRECT, WRONG, CORRECT], {"max_error": 0.5}), None
    )

    assert found is not None
    assert found.within_tolerance == 1.0


def test_largest_floats_do_not_fail() -> None:
    """An error beyond the largest float is infinite; what depends on it is absent."""
    found = figures(result_set([("1.7e308", "-1.7e308"), ("0", "0")] * 20), 1)

    assert found.mean_absolute_error == math.inf
    assert found.mean_squared_error == math.inf
    assert found.r2 is None
    assert found.mean_absolute_error_interval is None


def test_smallest_floats_do_not_fail() -> None:
    """Labels that vary by less than a float can square have no R²."""
    assert figures(result_set([("1e-300", "0"), ("0", "0")])).r2 is None


def test_other_models_have_no_regression() -> None:
    """Numeric labels of a classifier are names, and mapped labels have no documented score."""
    results = result_set([("1", "2")])

    assert regression(dataclasses.replace(results, blocks=(Block(1, "keras", BlockKind.CLASSIFICATION),)), 1) == (
        None,
        {},
    )
    assert regression(dataclasses.replace(results, label_map=True), 1) == (None, {})


def test_intervals_take_the_sample_as_unit() -> None:
    """Windows of one sample err alike: the bounds are wider than those of as many samples."""
    rng = np.random.default_rng(1)
    errors = np.repeat(rng.exponential(1, 60), 10)
    pairs = [("0", repr(round(float(error), 3))) for error in errors]
    clustered = figures(result_set(pairs, None, {"max_error": 0.7}, np.repeat(np.arange(60), 10).tolist()), 1)
    independent = figures(result_set(pairs, None, {"max_error": 0.7}), 1)

    for name in ("mean_absolute_error_interval", "within_tolerance_interval"):
        wide, narrow = getattr(clustered, name), getattr(independent, name)
        assert wide.upper - wide.lower > 2 * (narrow.upper - narrow.lower)
    assert clustered.mean_absolute_error == independent.mean_absolute_error


def test_intervals_need_a_seed_and_thirty_samples() -> None:
    """Bounds hold the point, from 30 samples on, and only where a seed is given."""
    pairs = [("0", str(k % 7)) for k in range(30)]
    found = figures(result_set(pairs, None, {"max_error": 3}), 1)

    assert found.mean_absolute_error_interval is not None
    assert (
        found.mean_absolute_error_interval.lower < found.mean_absolute_error < found.mean_absolute_error_interval.upper
    )
    assert found.within_tolerance is not None
    assert found.within_tolerance_interval is not None
    assert found.within_tolerance_interval.lower < found.within_tolerance < found.within_tolerance_interval.upper
    for other in (
        figures(result_set(pairs, None, {"max_error": 3})),
        figures(result_set(pairs[:29], None, {"max_error": 3}), 1),
    ):
        assert other.mean_absolute_error_interval is None
        assert other.within_tolerance_interval is None


def test_cost() -> None:
    """Many samples with their bounds cost no more than they are more, although every text differs."""

    def work(samples: int) -> Callable[[], Regression]:
        rng = np.random.default_rng(2)
        pairs = [(repr(float(label)), repr(float(label + error))) for label, error in rng.normal(size=(4 * samples, 2))]
        results = result_set(pairs, None, {"max_error": 1}, np.repeat(np.arange(samples), 4).tolist())
        return lambda: figures(results, 1)

    assert work(500)().mean_absolute_error_interval is not None
    assert growth(work, 500) < LINEAR

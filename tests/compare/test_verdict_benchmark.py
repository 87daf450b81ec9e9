"""Small versions of `python -m tests.benchmarks believe`: each section in seconds, on the real functions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.believe import calibration, cost, coverage, delay, errors, power, quiet
from tests.benchmarks.believe.__main__ import SECTIONS, main
from tests.benchmarks.believe.images import Images
from tests.benchmarks.believe.sections import Effort
from tests.benchmarks.believe.sets import Population
from tests.benchmarks.believe.streams import CHANGES, KINDS, Stream, Target
from tests.benchmarks.believe.table import lower, upper
from tests.growth import LINEAR


def effort(words: str, targets: int = 2, days: int = 20) -> Effort:
    """A few targets of the cells whose names hold these words, in this process."""
    return Effort(targets, days, lambda name: words in name, map)


@pytest.mark.parametrize("reference", [300, 2000])
def test_quiet_targets_stay_quiet(reference: int) -> None:
    """Of 40 quiet targets in 60 days hardly one alarms, alike or not within days: more than 3 has a chance of 0.1 %."""
    streams = [Stream(reference, icc, "1-40", kind) for icc, kind in ((0.0, "continuous"), (0.1, "0/1"))]
    years = [quiet.year(number, stream, 60) for stream in streams for number in range(20)]

    assert sum(year.alarmed for year in years) <= 3
    assert float(np.mean([year.gate for year in years if year.gate is not None])) <= 0.15


def test_a_change_is_seen() -> None:
    """A shift of a standard deviation after 60 quiet days is evident within days, and the alarm comes soon after and
    lasts as long as the shift.
    """
    seen = [delay.watch(number, Stream(2000), 60, "shift 1 sd") for number in range(4)]

    assert max(each.alarm for each in seen) <= 25
    assert all(each.evidence <= each.alarm for each in seen)
    assert not any(each.dropped for each in seen)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    "stream",
    [Stream(100, 0.3), Stream(300, 0.0, "1-40", "0/1"), Stream(100, 0.3, "bulk")],
    ids=["alike", "0/1", "bulk"],
)
def test_days_that_pass_quietly_are_as_if_lived(stream: Stream, number: int) -> None:
    """Days that are counted at once leave the evidence, the alarm and the gate as they are day by day."""
    lived, passed = Target(stream, number), Target(stream, number)
    for _ in range(123):
        lived.live()
    passed.pass_quietly(123)

    assert passed.state.evidence == pytest.approx(lived.state.evidence)
    assert passed.state.recent.id.tolist() == lived.state.recent.id.tolist()
    assert (passed.alarmed, passed.evident) == (lived.alarmed, lived.evident)
    assert passed.state.gate == lived.state.gate
    assert (passed.state.added, passed.state.starts) == (lived.state.added, lived.state.starts)


@pytest.mark.parametrize("kind", KINDS)
def test_streams_are_as_alike_as_they_say(kind: str) -> None:
    """Scores of one day are alike where they should be, and of the same kind in the reference and after it."""
    apart, alike = (np.var([_first_day(icc, kind, number) for number in range(60)]) for icc in (0.0, 0.3))

    assert alike > 2 * apart


def _first_day(icc: float, kind: str, number: int) -> float:
    return float(Target(Stream(100, icc, "equal", kind), number).state.reference.value[:20].mean())


@pytest.mark.parametrize("change", CHANGES)
def test_changes_leave_the_number_of_scores(change: str) -> None:
    """A change moves scores and leaves as many; what is slow has done all of it after half a year."""
    normal = np.random.default_rng(1).normal(size=20)
    moved = CHANGES[change](normal, 200)

    assert len(normal) == len(moved)
    assert not np.array_equal(normal, moved)


@pytest.mark.parametrize(
    "draws",
    [
        coverage.Classified(Population(5000, 2, 0.1, 5)),
        coverage.Scored(Population(5000, 2)),
        coverage.Variants(Population(5000, 2, 0.1, 5)),
        Images(3000, 0.1),
    ],
    ids=["classes", "scores", "variants", "images"],
)
def test_sets_have_the_truth_they_say(draws: coverage.Draws) -> None:
    """A large set's intervals are near the figures of its population, and the truth of every interval is known."""
    known = draws.truths()
    found = list(draws.intervals(1))

    assert {name for name, _ in found} == known.keys()
    for name, interval in found:
        room = interval.upper - interval.lower
        assert interval.lower - room < known[name] < interval.upper + room
        assert room < 0.1 * max(1, known[name])


def test_intervals_hold_the_truth() -> None:
    """Of 60 sets of 200 samples nearly all intervals of the accuracy hold it."""
    found = [coverage.held(number, coverage.Classified(Population(200, 1, 0.1, 2))) for number in range(60)]
    hits, of = (sum(each["accuracy"][place] for each in found) for place in (0, 1))

    assert of == 60
    assert hits >= 51  # 95 %: fewer have a chance of 0.1 %


def test_a_perfect_model_is_drawn_from_its_confidences() -> None:
    """The truth of a perfect model's calibration error is 0, of a sharpened one's it is not; the raw error is above."""
    (numbers, _), (worse, _) = (calibration.figures(1, 1000, exponent) for exponent in (1.0, calibration.SHARPENED))

    assert calibration.truth(1.0) < 0.003 < 0.05 < calibration.truth(calibration.SHARPENED)
    assert 0 < numbers["expected_error"] < worse["expected_error"]


def test_the_default_rule_finds_what_is_said() -> None:
    """With 500 samples most retrainings that lose 5 points are found, as the power says."""
    assert sum(power.finds(number, 500) for number in range(20)) >= 13  # 90 %: fewer have a chance of 0.1 %


def test_a_verdict_is_cheap() -> None:
    """Comparing 3,000 samples costs no more than they are more than 300, and the state is small."""
    few, _ = cost.cost(300)
    many, size = cost.cost(3000)

    assert many < LINEAR * few
    assert size < cost.BYTES


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("quiet", "R=300 equal icc=0 continuous"),
        ("delay", "R=300 after 0 d: shift 1 sd"),
        ("errors", "accuracy 0.8 20 points worse"),
        ("coverage", "classes=2 n=50 error=0.05 windows=1"),
        ("calibration", "n=50 perfect"),
        ("power", "n=100"),
        ("cost", "n=300"),
    ],
)
def test_sections_print_a_row(section: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each section prints its cells with what is intended beside them, and cells have names of their own."""
    SECTIONS[section].run(effort(words))
    printed = capsys.readouterr().out

    assert any(words in line for line in printed.splitlines())
    assert "intended" in printed
    assert words in " ".join(SECTIONS[section].CELLS)


def test_bounds_are_exact() -> None:
    """The bounds of a share are Clopper and Pearson's: of 0 among 74 at most 4 %."""
    assert pytest.approx(1 - 0.05 ** (1 / 74)) == upper(0, 74)
    assert (0.0, 1.0) == (lower(0, 74), upper(74, 74))
    assert lower(5, 50) < 0.1 < upper(5, 50)


def test_worse_samples_are_evident_before_the_figure_falls() -> None:
    """New samples that are 20 points worse after 100 quiet looks are told of by the evidence within a few looks, long
    before the whole figure has fallen.
    """
    seen = [errors.watch(number, 0.95, 0.2) for number in range(3)]

    assert max(each.evidence for each in seen) <= 15
    assert all(each.evidence < each.drop for each in seen)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["quite"], "no section and no cell asked for has quite: sections are quiet, delay, errors, coverage,"),
        (["power", "n=300"], "no section and no cell asked for has n=300"),
        (["power", "n=100", "n=200"], "no cell has all of n=100, n=200"),
    ],
)
def test_what_no_cell_has_is_refused(
    wanted: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words that no section and no cell has, alone or together, are an error instead of empty tables."""
    monkeypatch.setattr("sys.argv", ["believe", *wanted])

    with pytest.raises(SystemExit) as ended:
        main()
    assert 2 == ended.value.code
    assert said in " ".join(capsys.readouterr().err.split())


def test_cells_are_listed_by_their_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A list has the cells of the sections and words that are asked for."""
    monkeypatch.setattr("sys.argv", ["believe", "--list", "n=1000"])
    main()

    assert ["calibration n=1000 miscalibrated", "calibration n=1000 perfect", "power n=1000"] == sorted(
        line for line in capsys.readouterr().out.splitlines() if not line.startswith("coverage")
    )

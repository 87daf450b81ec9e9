"""How a model stands, and the line of its newest result sets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.alerts.states import Phase
from monitor.errors import PullState
from monitor.store.run_history import ResultFigures
from monitor.views.fleet import row
from monitor.views.sparklines import HEIGHT, WIDTH, sparkline
from monitor.views.standing import State
from tests.factories import known
from tests.web.fleet_service import BASELINE, alert, fleet_live, model, target

PRESS = target(1, "press line")


@pytest.mark.parametrize(
    ("accuracy", "pvalue", "state"),
    [
        (BASELINE, 1.0, State.AS_BASELINE),
        (BASELINE - 0.02, 0.3, State.AS_BASELINE),
        (BASELINE - 0.02, 0.001, State.WORSE),
        (BASELINE - 0.04, 0.3, State.NOT_JUDGED),
        (BASELINE + 0.04, 0.3, State.AS_BASELINE),
        (BASELINE + 0.04, 0.001, State.BETTER),
    ],
)
def test_by_the_change(accuracy: float, pvalue: float, state: State) -> None:
    """A significant change decides; a drop that may be chance is not judged from the margin of the rules on."""
    live = fleet_live(model(PRESS, accuracy, pvalue, at=100.0))

    assert state is row(live.targets[PRESS.key.id], 100.0).standing.state


@pytest.mark.parametrize("phase", [Phase.FIRING, Phase.PENDING])
def test_by_an_alert(phase: Phase) -> None:
    """A model that an alert is about is worse, also before it fires, and also where its figures are too old once it
    fires.
    """
    live = fleet_live(model(PRESS, at=100.0), alerts=[alert(PRESS, 90.0, phase=phase)])
    shown = live.targets[PRESS.key.id]

    assert State.WORSE is row(shown, 100.0).standing.state
    assert (State.WORSE if phase is Phase.FIRING else State.NOT_WATCHED) is row(shown, 90_000.0).standing.state


def test_not_compared() -> None:
    """Without a baseline, and where the comparison could not be made, nobody can judge, and it says why."""
    shown = model(PRESS, at=100.0)
    broken = replace(known(shown.comparison), broken=True, notes=("the baseline's result set cannot be read",))
    alone = row(fleet_live(replace(shown, comparison=None)).targets[PRESS.key.id], 100.0).standing
    unmade = row(fleet_live(replace(shown, comparison=broken)).targets[PRESS.key.id], 100.0).standing

    assert (State.NOT_JUDGED, "there is no baseline to compare with") == (alone.state, alone.reason)
    assert (State.NOT_JUDGED, "the baseline's result set cannot be read") == (unmade.state, unmade.reason)


def test_a_failed_pull_is_not_the_models() -> None:
    """A pull that failed leaves the state of the model as it is, as long as its figures are not too old."""
    live = fleet_live(model(PRESS, at=100.0, state=PullState.UNREACHABLE, error="no route"))
    found = row(live.targets[PRESS.key.id], 100.0)

    assert (State.AS_BASELINE, True) == (found.standing.state, found.failing)


def results(*values: float) -> list[ResultFigures]:
    """Result sets of these accuracies."""
    return [ResultFigures(place, float(place), {"accuracy": (value, None, None)}) for place, value in enumerate(values)]


def test_noise_is_no_collapse() -> None:
    """A change of half a point is all but flat, one of 35 points spans most of the height; all is in the drawing."""
    noise = known(sparkline(results(0.92, 0.915, 0.92), "accuracy", 0.92))
    collapse = known(sparkline(results(0.92, 0.57), "accuracy", 0.92))

    assert max(y for _, y in noise.points) - min(y for _, y in noise.points) < HEIGHT / 20
    assert collapse.points[1][1] - collapse.points[0][1] > HEIGHT * 0.75
    for line in (noise, collapse, known(sparkline(results(1.0, 1.0), "accuracy", 0.0))):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line.points)
        assert 0 <= known(line.baseline) <= HEIGHT


def test_without_a_figure() -> None:
    """A figure that no result set has is not drawn."""
    assert sparkline(results(0.9), "map", None) is None
    assert sparkline([], "accuracy", None) is None

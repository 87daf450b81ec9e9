"""What charts show of a target's newest comparison, as the store keeps it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from monitor.compare.result_charts import ResultCharts, result_charts
from monitor.figures.evaluation import ClassFigures, Interval
from monitor.store import Store
from monitor.store.result_charts import CHARTS
from monitor.store.states import State
from tests.store.store_sets import EVALUATION, TARGET, result_set


def charts() -> ResultCharts:
    """Of two result sets with scores; figures by class with and without bounds."""
    now, before = result_set(50, 1), result_set(50, 2)
    found = result_charts(now, before, EVALUATION.group_by, EVALUATION.units)
    bolt = ClassFigures(0.1 + 0.2, 1.0, 0.5, 7, Interval(0.25, 1.0))
    return ResultCharts(found.scores, {"bolt": bolt, "": ClassFigures(0.0, 0.0, 0.0, 1)}, {"bolt": bolt})


async def test_they_come_back(store: Store) -> None:
    """What was written last comes back to the bit, for the two result sets that it is of alone."""
    async with store.transaction() as tx:
        await tx.put_result_charts(TARGET, ("before", "then"), ResultCharts())
        await tx.put_result_charts(TARGET, ("before", "now"), charts())

    assert charts().scores.histograms
    assert charts() == await store.result_charts(TARGET, "now", "before")
    assert await store.result_charts(TARGET, "then", "before") is None
    assert await store.result_charts(TARGET, "now", "now") is None
    assert await store.result_charts("another", "now", "before") is None


@pytest.mark.parametrize("value", [b"", b"no zlib", b"x\x9c\x03\x00\x00\x00\x00\x01"])
async def test_unreadable(store: Store, value: bytes) -> None:
    """What cannot be read is as if it were not there, and logged."""
    async with store.transaction() as tx:
        await tx.put_result_charts(TARGET, ("before", "now"), charts())
        await tx.put_state(State(CHARTS, TARGET, "baseline", value))
    with capture_logs() as logs:
        assert await store.result_charts(TARGET, "now", "before") is None

    assert ["store.charts_unreadable"] == [each["event"] for each in logs]

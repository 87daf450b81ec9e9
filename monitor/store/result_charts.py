"""What charts show of a target's last result set beside its baseline's: one state of the kind `charts` for each target,
so that no page has to read two result sets.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

import msgspec
import structlog

from monitor.compare.result_charts import ResultCharts
from monitor.store.envelope import JSON, Envelope
from monitor.store.states import State, StateQueries, StateWrites

CHARTS = "charts"
"""The kind of these states."""

_ENVELOPE = Envelope("impulse-monitor charts", 1)
_KEY = "baseline"
_LEVEL = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Stored:
    """The charts, and the fingerprints of the result sets that they are of."""

    baseline: str
    current: str
    charts: ResultCharts


_stored = msgspec.json.Decoder(_Stored)


class ResultChartQueries(StateQueries):
    """What can be asked about charts."""

    async def result_charts(self, target_id: str, current: str, baseline: str) -> ResultCharts | None:
        """The charts of a result set beside the baseline's, by their fingerprints; None where the store has others, or
        what it has cannot be read.
        """
        state = await self.state(CHARTS, target_id, _KEY)
        found = None if state is None else await asyncio.to_thread(_loaded, state)
        return found.charts if found is not None and (found.current, found.baseline) == (current, baseline) else None


class ResultChartWrites(StateWrites):
    """How charts are written."""

    async def put_result_charts(self, target_id: str, compared: tuple[str, str], charts: ResultCharts) -> None:
        """Make these the charts of the target.

        Args:
            target_id: The target.
            compared: Fingerprints of the baseline and of the current result set.
            charts: Of them.
        """
        await self.put_state(State(CHARTS, target_id, _KEY, await asyncio.to_thread(_dumped, compared, charts)))


def _dumped(compared: tuple[str, str], charts: ResultCharts) -> bytes:
    return zlib.compress(_ENVELOPE.seal_bytes(msgspec.json.encode(_Stored(*compared, charts)), JSON), _LEVEL)


def _loaded(state: State) -> _Stored | None:
    try:
        return _stored.decode(_ENVELOPE.open_bytes(zlib.decompress(state.value), JSON, first="content"))
    except (ValueError, zlib.error) as error:  # a newer version's too
        log.warning("store.charts_unreadable", target=state.target_id, error=str(error))
        return None

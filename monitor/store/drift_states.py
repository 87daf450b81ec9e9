"""Drift states: the evidence and the decision that each anomaly block continues from, as states of the kind `drift`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import Delete, delete

from monitor.compare.drift import DriftState
from monitor.store import schema, state_documents
from monitor.store.states import State, StateQueries, StateWrites

DRIFT = "drift"
"""The kind of these states."""

log = structlog.get_logger()


class DriftStateQueries(StateQueries):
    """What can be asked about drift."""

    async def drift_states(self, target_id: str) -> dict[int, DriftState]:
        """The target's drift states, by block.

        A state that is damaged, or of a newer version, is left out and logged: its evidence starts again, instead of
        every pull failing on it.
        """
        return await asyncio.to_thread(_loaded, target_id, await self.states(DRIFT, target_id))


class DriftStateWrites(StateWrites):
    """How drift states are written."""

    async def put_drift_states(self, target_id: str, states: Mapping[int, DriftState]) -> None:
        """Make these, by block, all drift states of the target."""
        await self._execute(_all_of(target_id).where(schema.state.c.key.not_in(list(map(str, states)))))
        await self.replace_drift_states(target_id, states)

    async def replace_drift_states(self, target_id: str, states: Mapping[int, DriftState]) -> None:
        """Write these, by block, in place of those of the same blocks; others stay."""
        for key, value in (await asyncio.to_thread(_dumped, states)).items():
            await self.put_state(State(DRIFT, target_id, key, value))

    async def clear_drift_states(self, target_id: str) -> bool:
        """Let the target's evidence start again; answers whether there was any."""
        return (await self._execute(_all_of(target_id))).rowcount > 0


def _all_of(target_id: str) -> Delete:
    return delete(schema.state).filter_by(kind=DRIFT, target_id=target_id)


def _loaded(target_id: str, stored: Sequence[State]) -> dict[int, DriftState]:
    states = {}
    for state in stored:
        try:
            states[int(state.key)] = state_documents.load_drift_state(state.value)
        except ValueError as error:
            log.warning("store.drift_state_unreadable", target=target_id, block=state.key, error=str(error))
    return states


def _dumped(states: Mapping[int, DriftState]) -> dict[str, bytes]:
    """By key of its state; in the order of the blocks, so that two programs wait for each other's rows in one order."""
    return {str(block): state_documents.dump_drift_state(state) for block, state in sorted(states.items())}

"""Alert states: where each alert of each subject stands, as states of the kind `alert` by the rule's name."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

import structlog

from monitor.alerts.states import AlertState
from monitor.store import state_documents
from monitor.store.states import State, StateQueries, StateWrites

ALERT = "alert"
"""The kind of these states."""

log = structlog.get_logger()


class AlertStateQueries(StateQueries):
    """What can be asked about alerts."""

    async def alert_states(self, subject_id: str | None = None) -> list[AlertState]:
        """Where alerts stand, of one subject or of all, by alert and subject.

        One that cannot be read is left out and logged: it starts again.
        """
        rows = await self.states(ALERT, subject_id)
        # Ten thousand take a quarter of a second to read, ten less than a thread takes to begin.
        return _loaded(rows) if subject_id is not None else await asyncio.to_thread(_loaded, rows)

    async def alert_states_of(self, subject_ids: Collection[str]) -> dict[str, list[AlertState]]:
        """Where the alerts of several subjects stand; a subject without any has an empty list."""
        found: dict[str, list[AlertState]] = {subject_id: [] for subject_id in subject_ids}
        for state in _loaded(await self.states_of(ALERT, subject_ids)):
            found[state.target_id].append(state)
        return found


class AlertStateWrites(StateWrites):
    """How alert states are written."""

    async def put_alert_states(self, states: Iterable[AlertState]) -> None:
        """Write states, in place of those of the same alert and subject."""
        for state in states:
            self.subjects.add(state.target_id)
            document = state_documents.dump_alert_state(state)
            await self.put_state(State(ALERT, state.target_id, state.alertname, document))

    async def delete_alert_state(self, subject_id: str, alertname: str) -> bool:
        """Delete a state; answers whether there was one."""
        self.subjects.add(subject_id)
        return await self.delete_state(ALERT, subject_id, alertname)


def _loaded(rows: Iterable[State]) -> list[AlertState]:
    states = []
    for row in rows:
        try:
            states.append(state_documents.load_alert_state(row.value))
        except ValueError as error:
            log.warning("alert.state_unreadable", alert=row.key, target=row.target_id, error=str(error))
    return states

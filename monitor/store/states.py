"""States: bytes by kind, target and key. Those that follow from a run are written in its transaction.

Alerts, drift, lists of samples, discoveries and their history keep theirs in this one table, which does not look into a
value: `alert_states`, `drift_states` and `changed_samples` do, and `monitor.live.discoveries`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, select

from monitor.store import schema
from monitor.store.access import Reading, Writing, given

_table = schema.state
_OF_KIND = select(_table).where(_table.c.kind == bindparam("of_kind")).order_by(_table.c.key, _table.c.target_id)
_OF_TARGET = _OF_KIND.where(_table.c.target_id == bindparam("of_target"))


@dataclass(frozen=True, slots=True)
class State:
    """Opaque bytes that a caller keeps: one per (kind, target, key).

    Attributes:
        kind: Whose: `drift`, `alert`, ...
        target_id: Of which target; empty where of none.
        key: Which one, such as a block's id.
        value: The bytes.
        run_id: The run it is about: the state is removed with it. None where it stays until it is deleted.
    """

    kind: str
    target_id: str
    key: str
    value: bytes
    run_id: int | None = None


class StateQueries(Reading):
    """What can be asked about states."""

    async def state(self, kind: str, target_id: str, key: str) -> State | None:
        """One state."""
        rows = await self._fetch(select(_table).filter_by(kind=kind, target_id=target_id, key=key))
        return State(**rows[0]._mapping) if rows else None

    async def states(self, kind: str, target_id: str | None = None) -> list[State]:
        """The states of a kind, of all targets by default, by key, then target."""
        statement = _OF_KIND if target_id is None else _OF_TARGET
        rows = await self._fetch(statement, given({"of_kind": kind, "of_target": target_id}))
        return [State(**row._mapping) for row in rows]

    async def states_of(self, kind: str, target_ids: Collection[str]) -> list[State]:
        """The states of a kind, of several targets, by key, then target."""
        statement = _OF_KIND.where(_table.c.target_id.in_(sorted(target_ids)))
        return [State(**row._mapping) for row in await self._fetch(statement, {"of_kind": kind})]


class StateWrites(Writing):
    """How states are written."""

    async def put_state(self, state: State) -> None:
        """Write a state, in place of the one of the same kind, target and key.

        Raises:
            StoreRefused: The run it is about is not in the store.
        """
        await self._upsert(_table, asdict(state))

    async def delete_state(self, kind: str, target_id: str, key: str) -> bool:
        """Delete a state; answers whether there was one."""
        return await self._remove(_table, kind=kind, target_id=target_id, key=key)

"""Discoveries and their history in the store, so that a restart knows both before Studio answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
import structlog

from monitor.converting import converter
from monitor.live.discovery_history import DiscoveryHistory
from monitor.live.entry import Entry
from monitor.store import Envelope, State, Store, StoreError, StoreTooNew
from monitor.studio.discovery import Discovery

# kinds of state in the store
_DISCOVERY = "discovery"
_HISTORY = "course"  # as stores have it
_ENVELOPE = Envelope("impulse-monitor discovery", 1)
_HISTORY_ENVELOPE = Envelope("impulse-monitor course", 1)

log = structlog.get_logger()
T = TypeVar("T")

as_discovery = converter(Discovery)
"""A discovery from plain values, as its JSON holds them; a `ValueError` where they are none."""
_as_history = converter(DiscoveryHistory)


async def load(store: Store, name: str) -> Discovery | None:
    """What the last discovery of an entry found; None where the store has none.

    Raises:
        StoreError: The store cannot be read, or is newer than this version.
        ValueError: What it has is no discovery.
    """
    return await _load(store, _DISCOVERY, name, _ENVELOPE, as_discovery)


def read(value: bytes) -> Discovery:
    """A discovery as the store keeps it.

    Raises:
        StoreError: It is newer than this version.
        ValueError: It is none.
    """
    return as_discovery(_ENVELOPE.open(msgspec.json.decode(value)))


async def _load(store: Store, kind: str, name: str, envelope: Envelope, convert: Callable[[Any], T]) -> T | None:
    state = await store.state(kind, "", name)
    return convert(envelope.open(msgspec.json.decode(state.value))) if state else None


def _state(kind: str, name: str, envelope: Envelope, content: object) -> State:
    return State(kind, "", name, msgspec.json.encode(envelope.seal(content)))


async def restore_history(store: Store, entry: Entry) -> None:
    """Continue an entry's history from the one in the store, once; a store that cannot be read is read again later."""
    if entry.restored_history:
        return
    try:
        before = await _load(store, _HISTORY, entry.name, _HISTORY_ENVELOPE, _as_history)
    except StoreTooNew as error:  # it stays for the version that wrote it
        log.warning("discovery.history_not_restored", project_id=entry.project.id, error=str(error))
        return
    except StoreError:
        return  # StoreUpkeep reports the store's problem
    except ValueError as error:
        log.warning("discovery.history_not_restored", project_id=entry.project.id, error=str(error))
        before = None
    entry.restored_history = True
    if before is not None:
        entry.stored_history = before
        entry.history = before if entry.state is None else entry.history.resuming(before)


async def read_again(store: Store, entry: Entry) -> bool:
    """Read an entry's history, and what its last good discovery found; answers whether there is something new.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        history = await _load(store, _HISTORY, entry.name, _HISTORY_ENVELOPE, _as_history)
        if history is None or (history == entry.stored_history and entry.state is not None):
            return False
        found = await load(store, entry.name)
    except ValueError as error:
        log.warning("discovery.not_restored", project_id=entry.project.id, error=str(error))
        return False
    entry.history = entry.stored_history = history
    entry.restored_history = True
    entry.found = found or entry.found
    return True


async def keep(store: Store, entry: Entry) -> None:
    """Keep what a discovery of an entry found and how it went; a store that does not take it costs only that."""
    await restore_history(store, entry)
    history = entry.history
    if history == entry.stored_history:
        return
    try:
        async with store.transaction() as tx:
            tx.subjects.add(entry.name)
            if entry.found is not None and not history.failing:
                await tx.put_state(_state(_DISCOVERY, entry.name, _ENVELOPE, entry.found))
            if entry.restored_history:
                await tx.put_state(_state(_HISTORY, entry.name, _HISTORY_ENVELOPE, history))
    except StoreError as error:
        log.debug("discovery.not_kept", error=str(error))  # StoreUpkeep reports the store's problem
    else:
        entry.stored_history = history


async def forget(store: Store, names: Iterable[str]) -> None:
    """Forget how the discoveries of entries went that were removed: one that comes back starts again."""
    try:
        for name in names:
            async with store.transaction() as tx:
                await tx.delete_state(_HISTORY, "", name)
    except StoreError as error:
        log.debug("discovery.not_forgotten", error=str(error))

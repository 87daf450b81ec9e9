"""What is stored as bytes: alert states and their transitions in JSON, drift states in MessagePack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from monitor.alerts.states import AlertState, Transition
from monitor.compare.drift import Decision, DriftState
from monitor.compare.evidence_bytes import dump_evidence, dump_values, load_evidence, load_values
from monitor.figures.anomaly import threshold
from monitor.results import Block
from monitor.store.documents import plain
from monitor.store.envelope import JSON, MESSAGE_PACK, Envelope
from monitor.store.errors import StoreTooNew

T = TypeVar("T")

ALERT_STATE = Envelope("impulse-monitor alert state", 1)
TRANSITION = Envelope("impulse-monitor transition", 1)
DRIFT_STATE = Envelope("impulse-monitor drift state", 1)

_alert_state = msgspec.json.Decoder(AlertState)
_transition = msgspec.json.Decoder(Transition)


def dump_alert_state(state: AlertState) -> bytes:
    """An alert's state as JSON in its envelope; `load_alert_state` gives an equal one."""
    return ALERT_STATE.seal_bytes(msgspec.json.encode(state), JSON)


def load_alert_state(data: bytes) -> AlertState:
    """The state that `dump_alert_state` wrote.

    Raises:
        ValueError: The bytes are no such state, or a newer version of the service wrote them.
    """
    return _load(data, ALERT_STATE, _alert_state)


def dump_transition(transition: Transition) -> bytes:
    """A transition as JSON in its envelope; `load_transition` gives an equal one."""
    return TRANSITION.seal_bytes(msgspec.json.encode(transition), JSON)


def load_transition(data: bytes) -> Transition:
    """The transition that `dump_transition` wrote.

    Raises:
        ValueError: The bytes are no such transition, or a newer version of the service wrote them.
    """
    return _load(data, TRANSITION, _transition)


def _load(data: bytes, envelope: Envelope, decoder: msgspec.json.Decoder[T]) -> T:
    name = decoder.type.__name__
    try:
        return decoder.decode(envelope.open_bytes(data, JSON, first=name))
    except StoreTooNew as error:
        raise ValueError(f"{error}, or let the alert start again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"a stored {name} cannot be read ({error!r}); let the alert start again") from error


@dataclass(frozen=True, slots=True)
class StoredDriftState:
    """A `DriftState` as it is stored, with the evidence's own bytes."""

    pinned: float
    since: float
    block: Block
    trained: float | None
    evidence: bytes
    decision: Decision | None
    group_by: str = ""
    judged: bytes = b""


_drift_state = msgspec.msgpack.Decoder(StoredDriftState)


def dump_drift_state(state: DriftState) -> bytes:
    """A drift state in MessagePack; `load_drift_state` gives an equal one, to the last bit."""
    stored: Any = StoredDriftState(
        pinned=state.pinned,
        since=state.since,
        block=state.block,
        trained=state.trained,
        evidence=dump_evidence(state.evidence),
        decision=state.decision,
        group_by=state.group_by,
        judged=dump_values(state.judged),
    )
    return DRIFT_STATE.seal_bytes(msgspec.msgpack.encode(stored, enc_hook=plain), MESSAGE_PACK)


def load_drift_state(data: bytes) -> DriftState:
    """The drift state that `dump_drift_state` wrote.

    Raises:
        ValueError: The bytes are no drift state, or a newer version of the service wrote them.
    """
    try:
        stored = _drift_state.decode(DRIFT_STATE.open_bytes(data, MESSAGE_PACK, first="content"))
        evidence = load_evidence(stored.evidence, threshold(stored.block))
        judged = load_values(stored.judged)
    except StoreTooNew as error:
        raise ValueError(f"{error}, or let its evidence start again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"a stored drift state cannot be read ({error}); its evidence starts again") from error
    return DriftState(
        pinned=stored.pinned,
        since=stored.since,
        block=stored.block,
        trained=stored.trained,
        evidence=evidence,
        decision=stored.decision,
        group_by=stored.group_by,
        judged=judged,
    )

"""Alert states and transitions as bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from monitor.alerts.states import AlertState, Evidence, Phase, Transition
from monitor.store import State, Store
from monitor.store.state_documents import dump_alert_state, dump_transition, load_alert_state, load_transition
from tests.store.store_sets import TARGET

STATE = AlertState(
    "Überlauf",
    TARGET,
    "digest",
    Phase.FIRING,
    since=90.0,
    starts_at=100.1 + 0.2,
    held=2,
    points=1,
    judged=Evidence("ab" * 32, 1700000000.25),
    severity="critical",
    labels={"alertname": "Überlauf", "team": "edge"},
    annotations={"summary": "accuracy fell"},
    details={"value": 0.1 + 0.2, "causes": {"model": -0.3}},
    generator_url="https://monitor.example/targets/7",
)
_transition = STATE.transition
assert _transition is not None
TRANSITION: Transition = _transition

KINDS: dict[str, tuple[bytes, Callable[[bytes], object], object]] = {
    "AlertState": (dump_alert_state(STATE), load_alert_state, STATE),
    "Transition": (dump_transition(TRANSITION), load_transition, TRANSITION),
}
"""By class: the bytes, what reads them, and what it reads."""
FORMATS = {"AlertState": "impulse-monitor alert state", "Transition": "impulse-monitor transition"}


@pytest.mark.parametrize("state", [STATE, AlertState("A", TARGET, "")], ids=["full", "fresh"])
def test_round_trip(state: AlertState) -> None:
    """A state comes back equal from its bytes."""
    assert state == load_alert_state(dump_alert_state(state))


def test_transition() -> None:
    """A transition comes back equal from its bytes."""
    assert TRANSITION == load_transition(dump_transition(TRANSITION))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damaged_bytes_are_refused(kind: str, data: st.DataObject) -> None:
    """Whatever byte is changed, added or cut off, nothing is taken for a document that is none."""
    whole, load, _ = KINDS[kind]
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    damaged = data.draw(st.sampled_from([whole[:place], changed, whole[:place] + b"x" + whole[place:]]))

    with pytest.raises(ValueError, match=f"a stored {kind} cannot be read"):
        load(damaged)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"format":1,"crc32":0}', b"\xff", b'{"format":2}'])
@pytest.mark.parametrize("kind", KINDS)
def test_other_content_is_refused(kind: str, content: bytes) -> None:
    """What was never a document is refused with what to do."""
    with pytest.raises(ValueError, match="let the alert start again"):
        KINDS[kind][1](content)


def test_kinds_are_told_apart() -> None:
    """A transition is no state, nor the other way round."""
    with pytest.raises(ValueError, match="no impulse-monitor alert state, but 'impulse-monitor transition'"):
        load_alert_state(KINDS["Transition"][0])
    with pytest.raises(ValueError, match="no impulse-monitor transition, but 'impulse-monitor alert state'"):
        load_transition(KINDS["AlertState"][0])


@pytest.mark.parametrize("kind", KINDS)
def test_newer_version_is_refused(kind: str) -> None:
    """What a newer version wrote is refused by that name; fields that it added beside are ignored."""
    whole, load, expected = KINDS[kind]
    document = json.loads(whole)
    added = json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("{", '{"beside":1,', 1)

    assert expected == load(added.encode())
    with pytest.raises(ValueError, match=rf"\({FORMATS[kind]}\) has version 2, .* reads up to 1; run the version"):
        load(json.dumps(document | {"version": 2}).encode())


@pytest.mark.parametrize("kind", KINDS)
def test_stored_form(kind: str) -> None:
    """The bytes are the form that is documented as version 1: another one needs another version."""
    document: dict[str, Any] = json.loads(KINDS[kind][0])
    fields = type(KINDS[kind][2]).__slots__  # type: ignore[attr-defined]

    assert {"format", "version", "crc32", "content"} == document.keys()
    assert (FORMATS[kind], 1) == (document["format"], document["version"])
    assert set(fields) == set(document["content"])


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_first_release(kind: str) -> None:
    """What the first release wrote is read, unless it is damaged."""
    whole, load, expected = KINDS[kind]
    content = whole[whole.index(b'"content":') + len(b'"content":') : -1]
    first = b'{"format":1,"crc32":%d,"%s":%s}' % (zlib.crc32(content), kind.encode(), content)

    assert expected == load(first)
    with pytest.raises(ValueError, match="its checksum does not fit"):
        load(first.replace(b"edge", b"edgy"))


async def test_kept_by_alert(store: Store) -> None:
    """States are kept by alert and subject; one that cannot be read is left out and logged, and can be replaced."""
    other = AlertState("B", TARGET, "", Phase.PENDING)
    async with store.transaction() as tx:
        await tx.put_alert_states([STATE, other, AlertState("B", "7-2-float32-testing", "")])
        await tx.put_state(State("alert", TARGET, "A", dump_alert_state(STATE)[:-1]))
    with capture_logs() as logs:
        kept = await store.alert_states(TARGET)

    assert [other, STATE] == kept
    assert 3 == len(await store.alert_states())
    assert [("alert.state_unreadable", "A", TARGET)] == [(log["event"], log["alert"], log["target"]) for log in logs]
    async with store.transaction() as tx:
        assert await tx.delete_alert_state(TARGET, STATE.alertname)
        assert not await tx.delete_alert_state(TARGET, STATE.alertname)
    assert [other] == await store.alert_states(TARGET)

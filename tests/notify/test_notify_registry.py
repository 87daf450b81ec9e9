"""The registry of notifiers: each kind of receiver that may be written has one."""

from __future__ import annotations

import time

from monitor.config import NotifyConfig
from monitor.notify.http import new_session
from monitor.notify.registry import NOTIFIERS, notifier_of

WRITTEN = {
    "alertmanager": {"url": "http://127.0.0.1:9093"},
    "webhook": {"url": "http://127.0.0.1/hook"},
    "apprise": {"url": "json://127.0.0.1/hook"},
}


async def test_each_kind_has_a_notifier() -> None:
    """The kinds of `notify` are those of the registry, and each makes the notifier that is registered for it."""
    entries = [NotifyConfig.model_validate({kind: written}) for kind, written in WRITTEN.items()]
    async with new_session() as session:
        made = [type(notifier_of(entry, session, time.time)) for entry in entries]

    assert list(NOTIFIERS) == list(NotifyConfig.exactly_one) == list(WRITTEN)
    assert list(NOTIFIERS.values()) == made

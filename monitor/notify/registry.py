"""The registry of notifiers: a line for each kind of receiver, by its key in `notify`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from monitor.config.receivers import NotifyConfig
from monitor.notify.alertmanager import Alertmanager
from monitor.notify.apprise import Apprise
from monitor.notify.notifier import Clock, Notifier
from monitor.notify.webhook import Webhook

Factory = Callable[[str, Any, aiohttp.ClientSession, Clock], Notifier]
"""Makes a notifier of a receiver's name, the configuration of its kind, the session for HTTP, and the clock."""

NOTIFIERS: Mapping[str, Factory] = {
    "alertmanager": Alertmanager,
    "webhook": Webhook,
    "apprise": Apprise,
}


def notifier_of(entry: NotifyConfig, session: aiohttp.ClientSession, clock: Clock) -> Notifier:
    """The notifier of an entry of `notify`."""
    return NOTIFIERS[entry.kind](entry.receiver_name, entry.receiver, session, clock)

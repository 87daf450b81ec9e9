"""Notifications: from the store's outbox to Alertmanager, webhooks, chat and mail.

At least once, in order for each receiver, apart from the pulls.
"""

from monitor.notify.addresses import address
from monitor.notify.dispatcher import Dispatcher
from monitor.notify.queues import queue_of
from monitor.notify.worker import FailingReceiver, Observer, Outcome, RetryPolicy

__all__ = [
    "Dispatcher",
    "FailingReceiver",
    "Observer",
    "Outcome",
    "RetryPolicy",
    "address",
    "queue_of",
]

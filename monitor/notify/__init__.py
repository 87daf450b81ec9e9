"""Telling others: from the store's outbox to Alertmanager, webhooks, chat and mail. At least once, in order, apart from
the pulls.
"""

from monitor.notify.dispatcher import Dispatcher
from monitor.notify.receivers import Receiver, address, queue_of, receivers_of
from monitor.notify.worker import FailingReceiver, Observer, Outcome, RetryPolicy

__all__ = [
    "Dispatcher",
    "FailingReceiver",
    "Observer",
    "Outcome",
    "Receiver",
    "RetryPolicy",
    "address",
    "queue_of",
    "receivers_of",
]

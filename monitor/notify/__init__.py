"""Notifications: from the store's outbox to Alertmanager, webhooks, chat and mail.

At least once, in order for each receiver, apart from the pulls.
"""

from monitor.net.address import address
from monitor.notify.dispatcher import Dispatcher
from monitor.notify.queues import queue_of
from monitor.notify.receiver_status import FailingReceiver, Observer, Outcome, ReceiverStatus, RetryPolicy
from monitor.notify.trial import Trial

__all__ = [
    "Dispatcher",
    "FailingReceiver",
    "Observer",
    "Outcome",
    "ReceiverStatus",
    "RetryPolicy",
    "Trial",
    "address",
    "queue_of",
]

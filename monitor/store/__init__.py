"""What must survive a restart: runs, result sets, baselines, states and messages, in SQLite or PostgreSQL."""

from monitor.store.aggregates import Queries
from monitor.store.baselines import Baseline
from monitor.store.engine import shareable
from monitor.store.envelope import Envelope
from monitor.store.errors import StoreCorrupt, StoreError, StoreFenced, StoreRefused, StoreTooNew, StoreUnavailable
from monitor.store.figures import Versions
from monitor.store.firings import EventFilter, Firing
from monitor.store.notifications import Notification
from monitor.store.outbox import Message
from monitor.store.result_sets import Packed
from monitor.store.runs import BaselineRun, Recorded, Run, results_lock
from monitor.store.states import State
from monitor.store.store import Store
from monitor.store.transaction import Transaction

__all__ = [
    "Baseline",
    "BaselineRun",
    "Envelope",
    "EventFilter",
    "Firing",
    "Message",
    "Notification",
    "Packed",
    "Queries",
    "Recorded",
    "Run",
    "State",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreFenced",
    "StoreRefused",
    "StoreTooNew",
    "StoreUnavailable",
    "Transaction",
    "Versions",
    "results_lock",
    "shareable",
]

"""What must survive a restart: runs, result sets, baselines, states and messages, in SQLite or PostgreSQL."""

from monitor.store.envelope import Envelope
from monitor.store.errors import StoreCorrupt, StoreError, StoreRefused, StoreTooNew, StoreUnavailable
from monitor.store.queries import Queries
from monitor.store.records import Baseline, Message, Packed, Run, State, Versions
from monitor.store.store import Store, Transaction

__all__ = [
    "Baseline",
    "Envelope",
    "Message",
    "Packed",
    "Queries",
    "Run",
    "State",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreRefused",
    "StoreTooNew",
    "StoreUnavailable",
    "Transaction",
    "Versions",
]

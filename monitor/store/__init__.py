"""What must survive a restart: runs, result sets, baselines and opaque states, in SQLite or PostgreSQL."""

from monitor.store.errors import StoreCorrupt, StoreError, StoreRefused, StoreTooNew, StoreUnavailable
from monitor.store.records import Baseline, Packed, Run, State
from monitor.store.store import Store, Transaction

__all__ = [
    "Baseline",
    "Packed",
    "Run",
    "State",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreRefused",
    "StoreTooNew",
    "StoreUnavailable",
    "Transaction",
]

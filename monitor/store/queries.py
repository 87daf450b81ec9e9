"""`Queries`: everything that can be asked, of the store as it is or from inside a transaction."""

from monitor.store.alert_states import AlertStateQueries
from monitor.store.baselines import BaselineQueries
from monitor.store.drift_states import DriftStateQueries
from monitor.store.outbox import OutboxQueries
from monitor.store.result_sets import ResultSetQueries
from monitor.store.runs import RunQueries


class Queries(RunQueries, ResultSetQueries, BaselineQueries, DriftStateQueries, AlertStateQueries, OutboxQueries):
    """What both the store and a transaction answer. Every method may raise `StoreError`."""

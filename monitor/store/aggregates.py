"""All aggregates of the store in one place: `Queries`, what can be asked of each, and `Writes`, how each is written.

An aggregate has a file of its own with its record, its queries and its writes, and a name in each of the two lists.
"""

from monitor.store.alert_states import AlertStateQueries, AlertStateWrites
from monitor.store.baselines import BaselineQueries, BaselineWrites
from monitor.store.changed_samples import ChangedSampleQueries, ChangedSampleWrites
from monitor.store.drift_states import DriftStateQueries, DriftStateWrites
from monitor.store.firings import FiringQueries, FiringWrites
from monitor.store.last_runs import LastRunQueries
from monitor.store.notifications import NotificationQueries, NotificationWrites
from monitor.store.outbox import OutboxQueries, OutboxWrites
from monitor.store.result_charts import ResultChartQueries, ResultChartWrites
from monitor.store.result_sets import ResultSetQueries
from monitor.store.run_history import RunHistoryQueries
from monitor.store.runs import RunQueries, RunWrites


class Queries(
    RunQueries,
    RunHistoryQueries,
    LastRunQueries,
    ResultSetQueries,
    BaselineQueries,
    DriftStateQueries,
    ChangedSampleQueries,
    ResultChartQueries,
    AlertStateQueries,
    OutboxQueries,
    FiringQueries,
    NotificationQueries,
):
    """What can be asked, of the store as it is or from inside a transaction. Every method may raise `StoreError`."""


class Writes(
    RunWrites,
    BaselineWrites,
    DriftStateWrites,
    ChangedSampleWrites,
    ResultChartWrites,
    AlertStateWrites,
    OutboxWrites,
    FiringWrites,
    NotificationWrites,
):
    """What can be written, in a transaction. Every method may raise `StoreError`."""

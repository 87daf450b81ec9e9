"""What the store knows, for people and programs: runs and baselines as tables, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from monitor.alerts.states import AlertState, Phase
from monitor.compare.comparison import Comparison
from monitor.figures.headline import METRICS, headlines
from monitor.pipeline.unit_choices import UNITS
from monitor.store import Baseline, Queries, Run
from monitor.text import csv_field
from monitor.views.report import clock, comparison_as_json, moment, plain, when
from monitor.views.tables import add, joined, table_of

_BEGIN = ("run", "target", "finished", "last_seen", "times", "state", "changed", "fingerprint", "samples", "windows")
_COLUMNS = (*_BEGIN, *METRICS, "error")
_SHOWN = 12  # characters of a fingerprint, for eyes


def runs_as_json(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Runs with all that is known of them, as JSON values."""
    return [run_as_json(run) for run in runs]


def run_as_json(run: Run) -> dict[str, Any]:
    """One run as JSON values: the columns of the table, figures and comparison in full."""
    return _row(run) | {
        "started": moment(run.started),
        "trained": moment(run.trained),
        "impulse_stale": run.impulse_stale,
        "evaluation": plain(run.evaluation),
        "comparison": comparison_as_json(run.comparison),
    }


def runs_as_csv(runs: Iterable[Run]) -> str:
    """Runs as CSV (RFC 4180) with a header; what is not known is empty, numbers have all their digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="")
    writer.writeheader()
    for run in runs:
        writer.writerow({name: csv_field(value) for name, value in _row(run).items()})
    return text.getvalue()


def runs_as_table(runs: Sequence[Run]) -> Table:
    """Runs as a table: the headline figures that occur, each with its change since the baseline."""
    table = table_of(("run", "target", "finished", "state", "result"), ("run", "target", "state"))
    for run in runs:
        row = _row(run)
        values = {metric: _with_change(row[metric], run.comparison, metric) for metric in METRICS}
        figures = ", ".join(f"{metric} {value}" for metric, value in values.items() if value)
        samples = "" if row["samples"] is None else f"{row['samples']} samples"
        mark = " changed" if run.changed else ""
        shown = f"result set {run.fingerprint[:_SHOWN]}{mark}" if run.fingerprint else ""
        times = f"{run.times} times, last {clock(run.last_seen)}" if run.times > 1 else ""
        result = joined(figures, ", ".join(filter(None, (samples, shown, times))), row["error"] or "")
        add(table, str(run.id), run.target_id, clock(run.finished), str(run.state), result)
    return table


def _row(run: Run) -> dict[str, Any]:
    figures = headlines(run.evaluation) if run.evaluation else {}
    return {
        "run": run.id,
        "target": run.target_id,
        "finished": moment(run.finished),
        "last_seen": moment(run.last_seen),
        "times": run.times,
        "state": str(run.state),
        "changed": run.changed,
        "fingerprint": run.fingerprint,
        "samples": run.evaluation.samples if run.evaluation else None,
        "windows": run.evaluation.windows if run.evaluation else None,
        **{metric: figures[metric].value if metric in figures else None for metric in METRICS},
        "error": run.error or (str(run.unreadable) if run.unreadable else None),
    }


def _with_change(value: float | None, comparison: Comparison | None, metric: str) -> str:
    if value is None:
        return ""
    before = comparison.baseline.values.get(metric) if comparison else None
    return f"{value:.4g}" if before is None or before == value else f"{value:.4g} ({value - before:+.3g})"


@dataclass(frozen=True, slots=True)
class BaselineStatus:
    """A target's baseline as people ask for it.

    Attributes:
        baseline: Which run, since when and why.
        run: That run; None where the store has lost it.
        last: The target's last good run; None where it has none.
    """

    baseline: Baseline
    run: Run | None
    last: Run | None

    @property
    def comparison(self) -> Comparison | None:
        """The last good run's comparison, if it is with this baseline."""
        found = self.last.comparison if self.last else None
        same = found is not None and self.run is not None and found.baseline.timestamp == self.run.finished
        return found if found and same and found.baseline.mode == self.baseline.mode else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened since, and what is therefore not compared; a sentence each."""
        if self.run is None:
            return ("the run is no longer in the store: nothing is compared, pin another one",)
        found = self.comparison
        if self.run.unreadable is not None:
            return (str(self.run.unreadable),)
        if found is None:
            return ("no run was compared with it yet",)
        notes = list(found.notes)
        for drift in found.drifts:
            of = f"new samples' scores of block {drift.block.name or drift.block.id} are compared with"
            if drift.since == self.run.finished:
                notes.append(f"{of} the baseline's")
            else:
                notes.append(f"{of} those of the current model's first run, of {when(drift.since)}")
        return tuple(notes)


async def baseline_statuses(store: Queries, target_id: str | None = None) -> list[BaselineStatus]:
    """The baselines that the store has, of one target or of all.

    Raises:
        StoreError: The store cannot be read.
    """
    found = []
    for baseline in await store.baselines(target_id):
        if baseline.mode == UNITS:  # nothing is compared with it
            continue
        run = await store.run(baseline.run_id)
        last = await store.last_good(baseline.target_id)
        found.append(BaselineStatus(baseline, run, last))
    return found


def baselines_as_json(statuses: Iterable[BaselineStatus]) -> list[dict[str, Any]]:
    """Baselines as JSON values."""
    return [
        {
            "target": status.baseline.target_id,
            "mode": status.baseline.mode,
            "run": status.baseline.run_id,
            "since": moment(status.baseline.since),
            "why": status.baseline.why,
            "finished": moment(status.run.finished) if status.run else None,
            "values": {name: figure.value for name, figure in headlines(status.run.evaluation).items()}
            if status.run and status.run.evaluation
            else {},
            "changes": plain(status.comparison.changes) if status.comparison else [],
            "notes": list(status.notes),
        }
        for status in statuses
    ]


def baselines_as_table(statuses: Iterable[BaselineStatus]) -> Table:
    """Baselines as a table."""
    table = table_of(("target", "run", "finished", "baseline"), ("target", "run"))
    for status in statuses:
        baseline = status.baseline
        figures = headlines(status.run.evaluation) if status.run and status.run.evaluation else {}
        add(
            table,
            baseline.target_id,
            str(baseline.run_id),
            clock(status.run.finished) if status.run else "",
            joined(
                f"{baseline.mode} since {clock(baseline.since)}: {baseline.why}",
                ", ".join(f"{name} {figure.value:.4g}" for name, figure in figures.items()),
                "; ".join(note for note in status.notes if note != baseline.why),
            ),
        )
    return table


def alerts_as_json(states: Iterable[AlertState]) -> list[dict[str, Any]]:
    """Alerts that are pending, fire or have resolved, as JSON values."""
    return [
        {
            "alertname": state.alertname,
            "target": state.target_id,
            "state": str(state.phase),
            "severity": state.severity,
            "since": moment(state.since),
            "starts_at": moment(state.starts_at),
            "ends_at": moment(state.ends_at),
            "labels": dict(state.labels),
            "annotations": dict(state.annotations),
            "details": plain(state.details),
        }
        for state in _noteworthy(states)
    ]


def alerts_as_table(states: Iterable[AlertState]) -> Table:
    """Alerts that are pending, fire or have resolved, as a table; those that fire first."""
    table = table_of(("state", "target", "alert"), ("state", "target"))
    for state in _noteworthy(states):
        began = state.since if state.phase is Phase.PENDING else state.starts_at
        until = f", until {clock(state.ends_at)}" if state.ends_at is not None else ""
        title = f"{state.alertname}, {state.severity}"
        text = state.annotations.get("description", "")
        add(table, str(state.phase), state.target_id, joined(title, f"since {clock(began)}{until}", text))
    return table


def _noteworthy(states: Iterable[AlertState]) -> list[AlertState]:
    order = [Phase.FIRING, Phase.PENDING, Phase.RESOLVED]
    return sorted((state for state in states if state.phase in order), key=lambda state: order.index(state.phase))


async def wanted_run(store: Queries, target_id: str, number: int | None) -> Run:
    """The run to pin: that of the number, or the target's last good one.

    Raises:
        LookupError: There is no such run of this target.
        StoreError: The store cannot be read.
    """
    run = await store.last_good(target_id) if number is None else await store.run(number)
    if run is None or run.target_id != target_id:
        wanted = "good run" if number is None else f"run {number}"
        known = ", ".join(await store.target_ids()) or "none"
        raise LookupError(f"the store has no {wanted} of target {target_id}; it knows the targets: {known}")
    return run

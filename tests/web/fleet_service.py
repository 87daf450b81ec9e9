"""Pages and API over a fleet that is made, not pulled: real routes, a real store, and as many targets as wanted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp.test_utils import TestServer

from monitor.alerts.states import AlertState, Phase
from monitor.compare.change import Change
from monitor.compare.comparison import BaselineFigures, Comparison
from monitor.errors import PullState
from monitor.exposition import Body
from monitor.figures.evaluation import Interval
from monitor.live.live import Live
from monitor.pipeline.snapshot import Snapshot
from monitor.store import Run, Store
from monitor.targets import Target, TargetKey
from monitor.text import shown
from monitor.web import routes
from monitor.web.security import Security
from monitor.web.service import Service
from tests.factories import evaluation, quality, result_set, snapshot
from tests.live.live_parts import live_of

BASELINE = 0.92
REGRESSED = "EdgeImpulseAccuracyRegressed"


def target(number: int, project: str = "", **labels: str) -> Target:
    """A target of a project of its own."""
    return Target(TargetKey(number, 1, "int8", "testing"), project or f"project {number:04}", "spectral", labels)


def model(
    of: Target, accuracy: float = BASELINE, pvalue: float = 0.5, *, at: float | None = None, **others: Any
) -> Snapshot:
    """A model whose accuracy was `BASELINE`, and is this now, with a p-value of the change."""
    now = time.time() if at is None else at
    moved = accuracy - BASELINE
    values = {"accuracy": BASELINE, "mean_f1": 0.9}
    change = Change(
        "accuracy", BASELINE, accuracy, {"total": moved, "model": moved}, {"total": pvalue, "model": pvalue}, 300
    )
    fields: dict[str, Any] = {
        "state": PullState.OK,
        "last_pull": now,
        "last_success": now,
        "stale_after": 900.0,
        "fingerprint": f"{accuracy}",
        "evaluation": evaluation(
            quality=quality(accuracy, accuracy_interval=Interval(accuracy - 0.02, accuracy + 0.02))
        ),
        "comparison": Comparison(BaselineFigures("pinned", now - 86_400, "baseline", values), (change,)),
    }
    return snapshot(of, **(fields | others))


def alert(of: Target, began: float, cause_id: str = "", phase: Phase = Phase.FIRING, **fields: Any) -> AlertState:
    """An alert that the accuracy of a target regressed."""
    labels = {
        **{"alertname": REGRESSED, "severity": "critical", "project": of.project, "impulse": of.impulse},
        **{name: str(value) for name, value in of.key._asdict().items()},
        **of.labels,
    }
    said: dict[str, Any] = {
        "severity": "critical",
        "annotations": {"summary": f"Accuracy fell: {shown(of.project)}.", "description": "Accuracy fell by a lot."},
        "details": {
            "metric": "accuracy",
            "value": 0.646,
            "baseline": 0.945,
            "why": "the model changed",
            "changed_samples": {"newly_wrong": 54},
            "suspect_labels": {"newly_wrong": 9},
        },
    }
    cause_id = cause_id or f"target-{of.key.project_id:016x}"
    if phase is not Phase.PENDING:
        labels["cause_id"] = cause_id
    starts = None if phase is Phase.PENDING else began
    return AlertState(
        REGRESSED, of.key.id, "digest", phase, began, starts, labels=labels, cause_id=cause_id, **(said | fields)
    )


async def record(store: Store, *states: AlertState) -> None:
    """Let the store have that these alerts have begun to fire, or have resolved."""
    async with store.transaction() as tx:
        for state in states:
            assert state.transition is not None
            await tx.record_transition(state.transition)


async def add_results(store: Store, of: Target, accuracies: Iterable[float], at: float) -> None:
    """Let the store have runs with these results, a minute apart, the first at a time."""
    for place, accuracy in enumerate(accuracies):
        results = result_set(1, sample_id=np.array([place + 1]))
        fingerprint = results.fingerprint()
        packed = await store.pack(of.key.id, results, fingerprint)
        moment = at + 60 * place
        run = Run(
            of.key.id,
            moment,
            moment,
            PullState.OK,
            fingerprint,
            changed=place > 0,
            last_change=moment if place else None,
            evaluation=evaluation(quality=quality(accuracy)),
        )
        async with store.transaction() as tx:
            await tx.add_run(run, packed)


@asynccontextmanager
async def serving(live: Live, store: Store, **fields: Any) -> AsyncIterator[str]:
    """Serve pages and API over these; gives the address of the first page."""

    async def nothing(*_: str) -> tuple[Body, Mapping[str, str]]:
        return Body(()), {}

    async def reloaded() -> bool:
        return True

    parts: dict[str, Any] = {
        "render": nothing,
        "render_shard": lambda _: nothing,
        "render_process": nothing,
        "processes": tuple,
        "unready": str,
        "problems": tuple,
        "reload": reloaded,
        "admin_token": lambda: None,
        "pull_now": lambda _: False,
        "clock": time.time,
        "studio_site": lambda: "https://studio.example.com",
        "test_receiver": nothing,
        "running": nothing,
    }
    service = Service(live=live, store=store, **(parts | fields))
    server = TestServer(routes.application(service, await Security.open(None)))
    async with server:
        yield str(server.make_url("/"))


def fleet_live(*snapshots: Snapshot, alerts: Iterable[AlertState] = ()) -> Live:
    """What is live: these models and alerts."""
    live = live_of(*snapshots, clock=time.time)
    for state in alerts:
        live.show_alerts(state.target_id, [state])
    return live


def sqlite(folder: Path) -> str:
    """The URL of a store in a folder."""
    return f"sqlite:///{folder}/monitor.db"

"""The page of one target: why its figures are what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from monitor.alerts import power_words
from monitor.alerts.rules import Rule
from monitor.pipeline.snapshot import Snapshot
from monitor.store import Run, StoreError
from monitor.targets import Target
from monitor.views import charts
from monitor.views import status as views
from monitor.views.samples import SamplesPage
from monitor.web.api.queries import wanted_samples
from monitor.web.pages.missing import missing
from monitor.web.pages.samples import listed
from monitor.web.pages.templates import RUNS_SHOWN, Templates
from monitor.web.service import Service


class TargetPage:
    """The page `/targets/{id}`."""

    def __init__(self, service: Service, templates: Templates) -> None:
        self._service = service
        self._templates = templates

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/targets/{id}", self._show)]

    async def _show(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        target = service.live.targets.get(target_id)
        if target is None:
            return await missing(service, self._templates, target_id, "../")
        wanted = wanted_samples(request)
        runs: list[Run] = []
        samples: SamplesPage | None = None
        replaced = False
        problem = service.store.problem
        try:
            runs = await service.store.runs(target_id, limit=RUNS_SHOWN)
            samples, replaced = await listed(service, target_id, wanted)
        except StoreError as error:
            problem = error
        now = service.clock()
        watched, rules, snapshot = target.target, target.rules, target.snapshot

        def view() -> dict[str, Any]:
            return {
                "now": now,
                "target": watched,
                "snapshot": snapshot,
                "runs": runs,
                "store_problem": problem,
                "samples": samples,
                "replaced": replaced,
                "alerts": views.shown_alerts(service.live, now, target_id),
                "limit": service.class_limit,
                **_target_view(now, watched, rules, snapshot, runs, service.class_limit),
            }

        return await self._templates.page("target.html", view)


def _target_view(
    now: float,
    target: Target,
    rules: Sequence[Rule],
    snapshot: Snapshot | None,
    runs: Sequence[Run],
    limit: int,
) -> dict[str, Any]:
    """What the target's page shows beyond the snapshot itself."""
    evaluation = snapshot.evaluation if snapshot else None
    comparison = snapshot.comparison if snapshot else None
    figures = views.figures(snapshot)
    classes, classes_cut = views.class_rows(evaluation, limit) if evaluation else ((), 0)
    return {
        "evaluation": evaluation,
        "comparison": comparison,
        "figures": figures,
        "stale": evaluation is not None and snapshot is not None and not snapshot.fresh(now),
        "bars": {change.metric: charts.change_bar(change) for change in comparison.changes} if comparison else {},
        "drifts": {drift.block.id: drift for drift in comparison.drifts} if comparison else {},
        "power": power_words.by_metric(rules, comparison) if comparison else {},
        "classes": classes,
        "classes_cut": classes_cut,
        "confusion": views.confusion(evaluation, limit) if evaluation else None,
        "sparks": charts.sparks(runs, views.GLANCE, dict(comparison.baseline.values) if comparison else {}),
        "newest": [(run, views.figures(_as_snapshot(target, run))) for run in reversed(runs)],
    }


def _as_snapshot(target: Target, run: Run) -> Snapshot:
    return Snapshot(target, 0.0, run.state, run.last_seen, evaluation=run.evaluation, comparison=run.comparison)

"""The page of one target: how it stands, what it was, and why its figures are what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from monitor.alerts import power_words
from monitor.alerts.states import Phase
from monitor.compare.result_charts import ResultCharts
from monitor.figures.evaluation import Evaluation
from monitor.figures.headline import METRICS
from monitor.live.target import LiveTarget
from monitor.pipeline.snapshot import Snapshot
from monitor.store import StoreError
from monitor.targets import studio_page
from monitor.text import shown
from monitor.views import charts, events
from monitor.views import status as views
from monitor.views.cells import Cell
from monitor.views.classes import Cell as ConfusionCell
from monitor.views.classes import classes, confusion, slice_rows
from monitor.views.fleet import Row, row
from monitor.views.frames import Frame
from monitor.views.history_chart import HistoryChart, history_chart
from monitor.views.samples import SamplesPage
from monitor.views.score_charts import histogram_chart, reliability_chart
from monitor.views.target_charts import TargetCharts
from monitor.views.target_history import History
from monitor.views.target_state import target_state
from monitor.views.variants import variant_rows
from monitor.web.api.chart_data import compared
from monitor.web.api.operation import page
from monitor.web.api.queries import one_of, wanted_range, wanted_samples
from monitor.web.api.schemas import TargetPageQuery
from monitor.web.pages.missing import missing
from monitor.web.pages.samples import listed
from monitor.web.pages.templates import Templates
from monitor.web.service import Service

_KEPT = ("kind", "class", "range", "metric")
"""Parts of the address that links to another part of the page keep."""

WIDE = (960.0, 280.0)
NARROW = (380.0, 240.0)
"""Width and height of the history on a desk and on a phone: letters have one size on both."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has of a target; nothing where it cannot be used."""

    history: History | None = None
    samples: SamplesPage | None = None
    replaced: bool = False
    baseline: Evaluation | None = None
    charts: ResultCharts = field(default_factory=ResultCharts)
    shapes: Mapping[int, Frame] | None = None
    open_events: Mapping[tuple[str, str], str] = field(default_factory=dict)


class TargetPage:
    """The page `/targets/{id}`."""

    def __init__(self, service: Service, templates: Templates, charts: TargetCharts) -> None:
        self._service = service
        self._templates = templates
        self._charts = charts

    def routes(self) -> list[web.RouteDef]:
        """Its route."""
        return [web.get("/targets/{id}", self._show)]

    @page("One target", 400, 404, query=TargetPageQuery)
    async def _show(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        target = service.live.targets.get(target_id)
        if target is None:
            return await missing(service, self._templates, target_id, "../")
        metric = one_of(request, "metric", ("", *METRICS), "")
        now = service.clock()
        at_a_glance = row(target, now)
        snapshot = at_a_glance.snapshot
        problem = service.store.problem
        stored = Stored()
        try:
            stored = await self._stored(request, target, snapshot, now)
        except StoreError as error:
            problem = error
        alerts = views.shown_alerts(service.live, now, target_id)
        live_alerts = tuple(service.live.alerts.values())  # an event may be of several targets
        ids = service.live.targets.keys()
        watched = service.live.watched
        snapshots = service.live.snapshots

        target_path = quote(target_id, safe="")
        query = {name: value for name, value in request.query.items() if name in _KEPT}

        def view() -> dict[str, Any]:
            return {
                "link": lambda **changed: "?" + urlencode({**query, **changed}, errors="replace"),
                "now": now,
                "target": target.target,
                "snapshot": snapshot,
                "store_problem": problem,
                "events": [
                    event for event in events.active(live_alerts, stored.open_events) if target_id in event.target_ids
                ],
                "resolved": [alert for alert in alerts if alert.phase is Phase.RESOLVED],
                "site": service.studio_site(),
                "ids": ids,
                "limit": service.class_limit,
                "studio": studio_page(service.studio_site(), target.target.key),
                "samples": stored.samples,
                "replaced": stored.replaced,
                "shapes": stored.shapes,
                "cell_link": partial(_cell_link, target_path),
                "variants": variant_rows(target.target, watched, snapshots),
                **_history_view(stored.history, metric),
                **_figures_view(target, at_a_glance, stored, service.class_limit),
            }

        return await self._templates.page("target.html", view)

    async def _stored(self, request: web.Request, target: LiveTarget, snapshot: Snapshot | None, now: float) -> Stored:
        range_name = wanted_range(request)
        wanted = wanted_samples(request)
        history = await self._charts.history(target.id, range_name, now, target.rules)
        samples, replaced = await listed(self._service, target.id, wanted)
        current, baseline = compared(snapshot)
        evaluation = snapshot.evaluation if snapshot is not None else None
        before = await self._charts.baseline(target.id, baseline)
        charts = await self._charts.charts(target.id, evaluation, current, baseline)
        shapes = await self._charts.frames(target.id, evaluation, samples)
        open_events = await self._service.store.open_firings()
        return Stored(history, samples, replaced, before, charts, shapes, open_events)


def _cell_link(target_path: str, cell: ConfusionCell) -> str:
    """The way from the page to the samples of a cell of the confusion matrix."""
    return f"{target_path}/samples?{Cell(shown(cell.label), shown(cell.prediction)).query()}"


def _history_view(history: History | None, metric: str) -> dict[str, Any]:
    """The history's chart in two widths, of the figure that is asked for or of the first one."""
    drawn: list[HistoryChart] = []
    name = ""
    if history is not None and history.metrics:
        name = metric if metric in history.metrics else history.metrics[0]
        found = (history_chart(history, name, *size) for size in (WIDE, NARROW))
        drawn = [chart for chart in found if chart is not None]
    return {"history": history, "history_metric": name, "history_charts": drawn}


def _figures_view(target: LiveTarget, at_a_glance: Row, stored: Stored, limit: int) -> dict[str, Any]:
    """What the page shows of the last good pull, beside the baseline."""
    snapshot = at_a_glance.snapshot
    evaluation = snapshot.evaluation if snapshot else None
    comparison = snapshot.comparison if snapshot else None
    figures = views.figures(snapshot)
    before = stored.baseline
    drawn = stored.charts
    scores = drawn.scores
    return {
        "evaluation": evaluation,
        "comparison": comparison,
        "figures": figures,
        "state": at_a_glance.standing.state,
        "state_sentence": target_state(at_a_glance),
        "stale": at_a_glance.stale,
        "bars": {change.metric: charts.cause_bars(change) for change in comparison.changes} if comparison else {},
        "drifts": {drift.block.id: drift for drift in comparison.drifts} if comparison else {},
        "power": power_words.by_metric(target.rules, comparison) if comparison else {},
        "classes": classes(evaluation, before, limit, drawn.objects, drawn.objects_before) if evaluation else None,
        "confusion": confusion(evaluation, before, limit) if evaluation else None,
        "slices": slice_rows(evaluation, before) if evaluation else (),
        "histograms": [(found, histogram_chart(found)) for found in scores.histograms],
        "reliability": reliability_chart(scores.reliability, scores.reliability_before) if scores.reliability else None,
        "scores": scores,
    }

"""The pages people open: all targets at a glance, and why one target's figures are what they are.

HTML from templates with every value escaped, one stylesheet within the page, no script, relative links. Rendered in a
thread: a page may hold hundreds of targets, or a matrix of many classes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor import __version__
from monitor.alerts import power_words, variant_words, wording
from monitor.alerts.rules import Rule
from monitor.alerts.states import Phase
from monitor.compare.martingale import ALARM
from monitor.compare.sides import KINDS
from monitor.figures.anomaly import threshold
from monitor.figures.groups import FEWEST_GROUPS
from monitor.figures.headline import with_test
from monitor.pipeline.snapshot import Snapshot
from monitor.store import Run, StoreError
from monitor.store.changed_samples import ListsReplaced
from monitor.targets import Target
from monitor.text import printable, shown
from monitor.views import charts, report
from monitor.views import status as views
from monitor.views.samples import SamplesPage, Wanted, samples_page, span
from monitor.web.api import wanted_samples
from monitor.web.service import Service

RUNS_SHOWN = 50
"""Newest runs on a target's page."""

_VIEWED = ("now", "target", "rules", "snapshot", "runs")
"""Of what a target's page is made."""

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 9h3l2-6 4 11 "
    "2-5h3' "
    "fill='none' stroke='%230a7' stroke-width='2'/%3E%3C/svg%3E"
)


class Pages:
    """The pages of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._templates = _environment()
        style = self._templates.get_template("style.css").render()
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._templates.globals["style"] = Markup(style)  # our own file
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:"
        self._headers = {
            "Content-Security-Policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }

    def routes(self) -> list[web.RouteDef]:
        """The pages' routes."""
        return [
            web.get("/", self._status),
            web.get("/targets/{id}", self._target),
            web.get("/targets/{id}/samples", self._samples),
        ]

    async def _status(self, _request: web.Request) -> web.Response:
        service = self._service
        return await self._page(
            "status.html", now=service.clock(), problems=service.problems(), unready=service.unready()
        )

    async def _target(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        target = service.live.targets.get(target_id)
        if target is None:
            return await self._missing(target_id, "../")
        wanted = wanted_samples(request)
        runs: list[Run] = []
        listed: SamplesPage | None = None
        replaced = False
        problem = service.store.problem
        try:
            runs = await service.store.runs(target_id, limit=RUNS_SHOWN)
            listed, replaced = await self._listed(target_id, wanted)
        except StoreError as error:
            problem = error
        return await self._page(
            "target.html",
            now=service.clock(),
            target=target.target,
            rules=target.rules,
            snapshot=target.snapshot,
            runs=runs,
            store_problem=problem,
            samples=listed,
            replaced=replaced,
        )

    async def _samples(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        target = service.live.targets.get(target_id)
        if target is None:
            return await self._missing(target_id, "../../")
        wanted = wanted_samples(request)
        context: dict[str, Any] = {"now": service.clock(), "target": target.target, "limit": service.class_limit}
        try:
            listed, replaced = await self._listed(target_id, wanted)
        except StoreError as error:
            return await self._page("samples.html", store_problem=error, **context)
        return await self._page("samples.html", store_problem=None, samples=listed, replaced=replaced, **context)

    async def _listed(self, target_id: str, wanted: Wanted) -> tuple[SamplesPage, bool]:
        """The page of samples, or the first one where another run has replaced the lists since; and whether it has."""
        service = self._service
        try:
            return await samples_page(service.store, target_id, wanted, service.studio_site()), False
        except ListsReplaced:
            first = replace(wanted, after="")
            return await samples_page(service.store, target_id, first, service.studio_site()), True
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"after={wanted.after[:40]} {error}") from None

    async def _missing(self, target_id: str, root: str) -> web.Response:
        close = get_close_matches(target_id, list(self._service.live.targets), n=5, cutoff=0.5)
        return await self._page("missing.html", status=404, target_id=target_id, close=close, root=root)

    async def _page(self, template: str, status: int = 200, **context: Any) -> web.Response:
        return web.Response(
            status=status,
            body=await asyncio.to_thread(self._render, template, context),
            content_type="text/html",
            charset="utf-8",
            headers=self._headers,
        )

    def _render(self, template: str, context: Mapping[str, Any]) -> bytes:
        live = self._service.live
        limit = self._service.class_limit
        match template:
            case "status.html":
                context = {**context, "overview": views.overview(live, context["now"])}
            case "target.html":
                alerts = views.shown_alerts(live, context["now"], context["target"].key.id)
                view = _target_view(limit=limit, **{name: context[name] for name in _VIEWED})
                context = {**context, **view, "alerts": alerts, "limit": limit}
        # A lone surrogate in a name from Studio would make the whole page impossible to encode.
        return self._templates.get_template(template).render(context).encode("utf-8", "replace")


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


def _environment() -> Environment:
    templates = Environment(
        loader=PackageLoader("monitor.web"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "label": wording.label,
        "counts": wording.counts,
        "sentence": wording.sentence,
        "statistic": wording.statistic,
        "grouped": wording.grouped,
        "undecided": wording.undecided,
        "figure": lambda value, metric: wording.figure(metric, value),
        "bounds": lambda interval, metric: wording.bounds(metric, interval),
        "difference": lambda value, metric: wording.difference(metric, value),
        "number": wording.number,
        "threshold_value": wording.threshold,
        "points": wording.points,
        "pvalue": wording.pvalue,
        "when": wording.when,
        "iso": report.when,
        "duration": wording.duration,
        "causes": wording.causes,
        "conclusion": wording.conclusion,
        "remarks": wording.remarks,
        "beside": variant_words.beside,
        "threshold": threshold,
        "began": views.began,
        "path": views.target_path,
        "name": shown,
        "legible": lambda name: printable(shown(name)),
        "span": span,
    }
    templates.globals |= {
        "version": __version__,
        "icon": _ICON,
        "KINDS": KINDS,
        "Phase": Phase,
        "TESTED": wording.listed([row.label for row in with_test()]),
        "LEFT_OUT": wording.LEFT_OUT,
        "FEWEST_GROUPS": FEWEST_GROUPS,
        "GLANCE": views.GLANCE,
        "SIGNIFICANCE_LEVEL": views.SIGNIFICANCE_LEVEL,
        "ALARM": ALARM,
        "RUNS_SHOWN": RUNS_SHOWN,
        "BAR_WIDTH": charts.BAR_WIDTH,
        "SPARK_WIDTH": charts.SPARK_WIDTH,
        "SPARK_HEIGHT": charts.SPARK_HEIGHT,
    }
    return templates

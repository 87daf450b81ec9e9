"""What the charts of a target's page are drawn from: its history, its scores, its confusion."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from monitor.pipeline.snapshot import Snapshot
from monitor.views import target_history
from monitor.views.classes import classes, classes_as_json, confusion_as_json
from monitor.views.report import plain
from monitor.views.target_charts import TargetCharts
from monitor.web.api import chart_schemas
from monitor.web.api.answers import PREFIX, success
from monitor.web.api.known import require_known, unknown
from monitor.web.api.operation import operation
from monitor.web.api.queries import wanted_range
from monitor.web.service import Service


class ChartData:
    """The API's answers with what charts show."""

    def __init__(self, service: Service, charts: TargetCharts) -> None:
        self._service = service
        self._charts = charts

    def routes(self) -> list[web.RouteDef]:
        """Their routes."""
        target = f"{PREFIX}v1/targets/{{id}}"
        return [
            web.get(f"{target}/history", self._history),
            web.get(f"{target}/scores", self._scores),
            web.get(f"{target}/confusion", self._confusion),
        ]

    @operation(
        "The history of a target by distinct result sets",
        data=chart_schemas.History,
        query=chart_schemas.HistoryQuery,
        errors=(400, 404, 503),
    )
    async def _history(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        name = wanted_range(request)
        await require_known(service, target_id)
        target = service.live.targets.get(target_id)
        rules = target.rules if target is not None else ()
        found = await self._charts.history(target_id, name, service.clock(), rules)
        return await success(lambda: target_history.as_json(found))

    @operation(
        "Distributions of a target's scores, beside the baseline's", data=chart_schemas.Scores, errors=(404, 503)
    )
    async def _scores(self, request: web.Request) -> web.Response:
        target_id, snapshot = self._shown(request)
        current, baseline = compared(snapshot)
        evaluation = snapshot.evaluation if snapshot is not None else None
        found = await self._charts.charts(target_id, evaluation, current, baseline)

        def build() -> dict[str, Any]:
            row: dict[str, Any] = {"target": target_id, "current": current, "baseline": baseline}
            row |= plain(found.scores)
            return row

        return await success(build)

    @operation(
        "The confusion matrix and figures by class, beside the baseline's",
        data=chart_schemas.Confusion,
        errors=(404, 503),
    )
    async def _confusion(self, request: web.Request) -> web.Response:
        target_id, snapshot = self._shown(request)
        current, baseline = compared(snapshot)
        evaluation = snapshot.evaluation if snapshot is not None else None
        before = await self._charts.baseline(target_id, baseline)
        charts = await self._charts.charts(target_id, evaluation, current, baseline)

        def build() -> dict[str, Any]:
            row: dict[str, Any] = {"target": target_id, "current": current, "baseline": baseline}
            if evaluation is None:
                return row | {"cells": [], "classes": []}
            found = classes(evaluation, before, _EVERY, charts.objects, charts.objects_before)
            return row | confusion_as_json(evaluation, before) | {"classes": classes_as_json(found)}

        return await success(build)

    def _shown(self, request: web.Request) -> tuple[str, Snapshot | None]:
        """The target that is asked about, and what is known of it."""
        target_id = request.match_info["id"]
        target = self._service.live.targets.get(target_id)
        if target is None:
            raise unknown(target_id)
        return target_id, target.snapshot


_EVERY = 2**31
"""Classes: the answer has all of them."""


def compared(snapshot: Snapshot | None) -> tuple[str | None, str | None]:
    """The fingerprints of a target's result set and of its baseline's; None for what there is not."""
    if snapshot is None or snapshot.evaluation is None:
        return None, None
    comparison = snapshot.comparison
    return snapshot.fingerprint, comparison.baseline.fingerprint if comparison is not None else None

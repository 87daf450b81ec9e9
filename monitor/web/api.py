"""The JSON API, `/api/v1/`: what the pages show, for programs; and the two things that may be asked for. See
docs/api.md.

Answers are `{"status": "success", "data": ...}` or `{"status": "error", "errorType": ..., "error": ...}`, as
Prometheus's are. Times are ISO 8601 in UTC; what is not known is null or absent, never 0.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from monitor.alerts.rules import Subject
from monitor.alerts.states import AlertState, Phase
from monitor.compare.sides import KINDS, NEWLY_WRONG
from monitor.config.durations import parse_duration
from monitor.figures.headline import headlines
from monitor.live.entry import ProjectStatus
from monitor.pipeline.baselines import pin, unpin
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.unit_choices import PINNED
from monitor.store import StoreError
from monitor.store.changed_samples import ListsReplaced
from monitor.targets import Target, target_labels
from monitor.views import samples
from monitor.views import status as views
from monitor.views.history import BaselineStatus, baselines_as_json, run_as_json, wanted_run
from monitor.views.report import comparison_as_json, moment, plain
from monitor.views.service_problems import ServiceProblem
from monitor.web.security import takes_bearer
from monitor.web.service import Service

PREFIX = "/api/"
LIMIT = 50
"""Runs answered by default."""
MOST = 1000
"""Runs, or samples, answered at most."""
SAVED_AS = "samples.csv"
"""Name under which a browser saves the samples of a target."""

_LARGEST_ID = 2**63 - 1  # of a run in the store
_ERROR_TYPES = {
    400: "bad_data",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    409: "conflict",
    413: "too_large",
    503: "unavailable",
}

log = structlog.get_logger()


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error under `/api/` the API's form, also those of paths and methods that there are not."""
    if not request.path.startswith(PREFIX):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = error.text or error.reason
        if error.status in (404, 405) and text == f"{error.status}: {error.reason}":
            text = f"there is no {request.method} {request.path}; docs/api.md has what there is"
        kept = {
            name: value for name, value in error.headers.items() if name not in (hdrs.CONTENT_TYPE, hdrs.CONTENT_LENGTH)
        }
        return _failure(error.status, text.strip(), kept)
    except StoreError as error:
        return _failure(503, str(error), {hdrs.RETRY_AFTER: "10"})
    except Exception:
        log.exception("http.crashed", path=request.path)
        return _failure(500, "this is an error of the service; its log says more", {})


def _failure(status: int, text: str, headers: Mapping[str, str]) -> web.Response:
    body = _encoded({"status": "error", "errorType": _ERROR_TYPES.get(status, "internal"), "error": text})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


class Api:
    """The API of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """The API's routes."""
        target = f"{PREFIX}v1/targets/{{id}}"
        return [
            web.get(f"{PREFIX}v1/status", self._status),
            web.get(f"{PREFIX}v1/targets", self._targets),
            web.get(f"{PREFIX}v1/alerts", self._alerts),
            web.get(f"{target}/runs", self._runs),
            web.get(f"{target}/samples", self._samples),
            web.post(f"{target}/pull", self._pull),
            web.post(f"{target}/baseline", self._pin),
            web.delete(f"{target}/baseline", self._unpin),
        ]

    async def _status(self, _request: web.Request) -> web.Response:
        unready = self._service.unready()
        problems = self._service.problems()
        return await _success(
            lambda: {
                "ready": not unready,
                "unready": unready or None,
                "problems": [problem_as_json(problem) for problem in problems],
            }
        )

    async def _targets(self, _request: web.Request) -> web.Response:
        return await _success(self._all_targets)

    async def _alerts(self, _request: web.Request) -> web.Response:
        service = self._service
        return await _success(
            lambda: {"alerts": [alert_as_json(alert) for alert in views.shown_alerts(service.live, service.clock())]},
        )

    async def _runs(self, request: web.Request) -> web.Response:
        target_id = request.match_info["id"]
        since = self._wanted_since(request)
        limit = _wanted_limit(request)
        runs = await self._service.store.runs(target_id, since, limit=limit)
        if not runs:
            await self._require_known(target_id)
        return await _success(lambda: {"runs": [run_as_json(run) for run in reversed(runs)]})

    async def _samples(self, request: web.Request) -> web.Response:
        service = self._service
        target_id = request.match_info["id"]
        wanted = wanted_samples(request, _wanted_limit(request))
        style = _one_of(request, "format", ("json", "csv"), "json")
        await self._require_known(target_id)
        try:
            page = await samples.samples_page(service.store, target_id, wanted, service.studio_site())
        except ListsReplaced as error:
            raise web.HTTPConflict(text=str(error)) from None
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"after={wanted.after[:40]} {error}") from None
        if style == "json":
            return await _success(lambda: samples.as_json(page))
        headers = {hdrs.CACHE_CONTROL: "no-store", hdrs.CONTENT_DISPOSITION: f'attachment; filename="{SAVED_AS}"'}
        if page.next is not None:
            query = wanted.query(page.next, limit=str(wanted.limit), format="csv")
            headers[hdrs.LINK] = f'<?{query}>; rel="next"'
        body = await asyncio.to_thread(lambda: samples.as_csv(page).encode("utf-8", "replace"))
        return web.Response(body=body, content_type="text/csv", charset="utf-8", headers=headers)

    async def _require_known(self, target_id: str) -> None:
        """Refuse a target that neither the service nor the store knows."""
        service = self._service
        if target_id not in service.live.targets and target_id not in await service.store.target_ids():
            raise _unknown(target_id)

    @takes_bearer
    async def _pull(self, request: web.Request) -> web.Response:
        target_id = await self._changed_target(request)
        if not self._service.pull_now(target_id):
            raise web.HTTPConflict(
                text=f"target {target_id} is not pulled before its project's first discovery has ended; try again then"
            )
        log.info("pull.asked", target=target_id)
        return await _success(lambda: {"target": target_id}, status=202)

    @takes_bearer
    async def _pin(self, request: web.Request) -> web.Response:
        target_id = await self._changed_target(request)
        store = self._service.store
        try:
            run = await wanted_run(store, target_id, _wanted_run(await request.read()))
            await pin(store, run, "pinned through the HTTP API", self._service.clock())
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error.args[0])) from None
        except ValueError as error:
            raise web.HTTPConflict(text=str(error)) from None
        log.info("baseline.pinned", target=target_id, run=run.id)
        baseline = await store.baseline(target_id, PINNED)
        # Without the last run: what it was compared with is another baseline than this one.
        pinned = baselines_as_json([BaselineStatus(baseline, run, None)]) if baseline else [None]
        return await _success(lambda: {"baseline": pinned[0]})

    @takes_bearer
    async def _unpin(self, request: web.Request) -> web.Response:
        target_id = await self._changed_target(request)
        cleared = await unpin(self._service.store, target_id)
        log.info("baseline.cleared", target=target_id, pinned=cleared)
        return await _success(lambda: {"baseline": None, "cleared": cleared})

    async def _changed_target(self, request: web.Request) -> str:
        """The watched target that an authorized request is about."""
        await self._service.authorize(request)
        target_id = request.match_info["id"]
        if target_id not in self._service.live.targets:
            raise _unknown(target_id)
        return target_id

    def _all_targets(self) -> dict[str, Any]:
        service = self._service
        now = self._service.clock()
        snapshots = service.live.snapshots
        alerts = Counter((alert.target_id, alert.phase) for alert in views.shown_alerts(service.live, now))
        problem = service.store.problem
        return {
            "targets": [
                target_as_json(target, snapshots.get(target_id), now, service.external_url)
                | {"alerts": {str(phase): alerts[target_id, phase] for phase in (Phase.FIRING, Phase.PENDING)}}
                for target_id, target in sorted(service.live.watched.items())
            ],
            "projects": [project_as_json(status) for status in service.live.projects.values()],
            "store_problem": None if problem is None else str(problem),
        }

    def _wanted_since(self, request: web.Request) -> float:
        """Unix seconds that runs must have finished at, or later."""
        text = request.query.get("since", "")
        if not text:
            return -math.inf
        try:
            return self._service.clock() - parse_duration(text)
        except ValueError as wrong:
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                raise web.HTTPBadRequest(text=f"since={text} {wrong}; or a time such as 2026-01-31T12:00:00Z") from None
        if at.tzinfo is None:
            raise web.HTTPBadRequest(text=f"since={text} says no time zone; write Z after it for UTC")
        return at.timestamp()


def _wanted_limit(request: web.Request) -> int:
    text = request.query.get("limit", str(LIMIT))
    # ASCII digits only: int() would take "1_000" and digits of any script, and refuse 5,000 of them with an error of
    # its own.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise web.HTTPBadRequest(text=f"limit={text[:20]} is not a number from 1 to {MOST}")
    return int(text)


def wanted_samples(request: web.Request, limit: int = samples.PAGE) -> samples.Wanted:
    """Which page of which list of samples a request's query asks for.

    Raises:
        HTTPBadRequest: There is no such list.
    """
    kind = _one_of(request, "kind", KINDS, NEWLY_WRONG)
    return samples.Wanted(kind, request.query.get("class", ""), limit, request.query.get("after", ""))


def _one_of(request: web.Request, name: str, allowed: Sequence[str], default: str) -> str:
    text = request.query.get(name, default)
    if text not in allowed:
        raise web.HTTPBadRequest(text=f"{name}={text[:40]} is not one of {', '.join(allowed)}")
    return text


def _wanted_run(body: bytes) -> int | None:
    """The run that a request's body names; None where it leaves the choice."""
    if not body.strip():
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(
            text='the body is not JSON; write {"run": 17}, or nothing for the last good run'
        ) from None
    run = found.get("run") if isinstance(found, dict) else found
    if (
        not isinstance(found, dict)
        or found.keys() - {"run"}
        or not (run is None or (type(run) is int and 0 < run <= _LARGEST_ID))
    ):
        raise web.HTTPBadRequest(text='the body is not {"run": NUMBER}; send nothing for the last good run')
    return run


def _unknown(target_id: str) -> web.HTTPNotFound:
    return web.HTTPNotFound(text=f"no target {target_id} is known; /api/v1/targets lists those that are")


def target_as_json(target: Target, snapshot: Snapshot | None, now: float, external_url: str | None) -> dict[str, Any]:
    """A target with what is known of it at `now` (Unix seconds)."""
    row: dict[str, Any] = {
        "id": target.key.id,
        **target_labels(target),
        **target.key._asdict(),  # ids as numbers
        "labels": dict(target.labels),
        "url": Subject.target(target, external_url).url or None,
    }
    if snapshot is None:
        return row | {"state": None, "error": None, "figures": {}, "units": {}, "comparison": None}
    evaluation = snapshot.evaluation
    return row | {
        "state": str(snapshot.state),
        "error": snapshot.error or None,
        "last_pull": moment(snapshot.last_pull),
        "last_success": moment(snapshot.last_success),
        "last_change": moment(snapshot.last_change),
        "stale": None if evaluation is None else not snapshot.fresh(now),
        "fingerprint": snapshot.fingerprint,
        "trained": moment(snapshot.trained),
        "impulse_stale": snapshot.impulse_stale,
        "samples": evaluation.samples if evaluation else None,
        "windows": evaluation.windows if evaluation else None,
        "figures": {name: plain(figure) for name, figure in headlines(evaluation).items()} if evaluation else {},
        "units": plain(evaluation.units) if evaluation else {},
        "comparison": comparison_as_json(snapshot.comparison),
    }


def project_as_json(status: ProjectStatus) -> dict[str, Any]:
    """The last discovery of a project."""
    return {
        "project_id": status.project_id,
        "state": None if status.state is None else str(status.state),
        "key_expires": moment(status.key_expires),
    }


def alert_as_json(alert: AlertState) -> dict[str, Any]:
    """An alert as Prometheus's API has it, and more."""
    return {
        "labels": {"alertname": alert.alertname, **alert.labels},
        "annotations": dict(alert.annotations),
        "state": str(alert.phase),
        "activeAt": moment(views.began(alert)),
        "value": plain(alert.details.get("value")),
        "firedAt": moment(alert.starts_at) if alert.phase is not Phase.PENDING else None,
        "resolvedAt": moment(alert.ends_at),
        "target": alert.target_id,
        "details": plain(alert.details),
        "generatorURL": alert.generator_url or None,
    }


def problem_as_json(problem: ServiceProblem) -> dict[str, Any]:
    """Something that is the matter with the service."""
    return {
        "kind": problem.kind,
        "severity": problem.severity,
        "title": problem.title,
        "details": list(problem.details),
        "advice": problem.advice,
        "since": moment(problem.since),
        "receiver": problem.receiver,
    }


async def _success(build: Callable[[], Any], status: int = 200) -> web.Response:
    """An answer whose data is built and written in a thread: a matrix of many classes takes its time."""
    body = await asyncio.to_thread(lambda: _encoded({"status": "success", "data": build()}))
    return web.Response(
        status=status, body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"}
    )


def _encoded(value: Any) -> bytes:
    # Escapes everything beyond ASCII: a lone surrogate in a name from Studio could not be encoded otherwise.
    return json.dumps(value, allow_nan=False).encode() + b"\n"

"""What a request asks for in its query or its body, checked; errors say what to write."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aiohttp import web

from monitor.compare.side_kinds import KINDS, NEWLY_WRONG, VARIANT_KINDS
from monitor.config.durations import parse_duration
from monitor.views import cells, samples, target_history, wanted
from monitor.views.standing import State
from monitor.views.wanted import PHASES, SORTS, WantedEvents, WantedTargets

LIMIT = 50
"""Runs answered by default."""
MOST = 1000
"""Runs, or samples, answered at most."""

MOST_PAGES = 1_000_000
"""The largest number of a page."""
MOST_LABELS = 20
"""Labels that may be asked for at once."""
SEVERITIES = ("critical", "warning", "info")

_LARGEST_ID = 2**63 - 1  # of a run in the store


def wanted_since(request: web.Request, now: float) -> float:
    """Unix seconds that runs, or events, must have finished at, or later; `now` likewise."""
    text = request.query.get("since", "")
    if not text:
        return -math.inf
    try:
        return now - parse_duration(text)
    except ValueError as wrong:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise web.HTTPBadRequest(text=f"since={text} {wrong}; or a time such as 2026-01-31T12:00:00Z") from None
    if at.tzinfo is None:
        raise web.HTTPBadRequest(text=f"since={text} says no time zone; write Z after it for UTC")
    return at.timestamp()


def wanted_limit(request: web.Request) -> int:
    """How many runs or samples are wanted."""
    return _number(request, "limit", LIMIT, MOST)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    return positive(name, request.query.get(name, str(default)), most)


def positive(name: str, text: str, most: int) -> int:
    """A number from 1 on.

    Raises:
        HTTPBadRequest: It is none.
    """
    # ASCII digits only: int() would take "1_000" and digits of any script, and refuse 5,000 of them with an error of
    # its own.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 1 <= int(text) <= most):
        raise web.HTTPBadRequest(text=f"{name}={text[:20]} is not a number from 1 to {most}")
    return int(text)


def wanted_targets(request: web.Request, limit: int | None = wanted.PAGE) -> WantedTargets:
    """Which targets a request's query asks for.

    Args:
        request: The request.
        limit: How many on a page where the query says neither how many nor which page; None: all.

    Raises:
        HTTPBadRequest: There is no such filter, order or page.
    """
    orders = ("", *SORTS, *(f"-{name}" for name in SORTS))
    return WantedTargets(
        **_common(request, tuple(State), limit),
        pull=one_of(request, "pull", ("", "ok", "failing"), ""),
        sort=one_of(request, "sort", orders, "") or wanted.WORST,
    )


def wanted_events(request: web.Request, now: float) -> tuple[WantedEvents, float | None]:
    """Which events a request's query asks for, and Unix seconds that they must have fired at, or later.

    Raises:
        HTTPBadRequest: There is no such filter or page.
    """
    since = wanted_since(request, now)
    return WantedEvents(
        **_common(request, PHASES, wanted.PAGE),
        severity=_each_of(request, "severity", SEVERITIES),
        since=request.query.get("since", ""),
    ), None if math.isinf(since) else since


def _common(request: web.Request, states: Sequence[str], limit: int | None) -> dict[str, Any]:
    """What both lists can be filtered by. An empty value is none: a form sends what was left empty."""
    labels = tuple(text for text in request.query.getall("label", ()) if text)
    for text in labels:
        name, _, value = text.partition(":")
        if not name or not value or len(labels) > MOST_LABELS:
            raise web.HTTPBadRequest(text=f"label={text[:40]} is not KEY:VALUE, or there are more than {MOST_LABELS}")
    paged = "limit" in request.query or "page" in request.query
    return {
        "q": request.query.get("q", "").strip(),
        "state": _each_of(request, "state", states),
        "project": request.query.get("project", "").strip(),
        "label": labels,
        "page": _number(request, "page", 1, MOST_PAGES),
        "limit": _number(request, "limit", wanted.PAGE, MOST) if paged else limit,
    }


def _each_of(request: web.Request, name: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """The words that a parameter has, each of which is allowed."""
    found = tuple(dict.fromkeys(text for text in request.query.getall(name, ()) if text))
    for text in found:
        if text not in allowed:
            raise web.HTTPBadRequest(text=f"{name}={text[:40]} is not one of {', '.join(filter(None, allowed))}")
    return found


def wanted_samples(
    request: web.Request, limit: int = samples.PAGE, default: str = samples.FIRST_WITH_SOME
) -> samples.Wanted:
    """Which page of which list of samples a request's query asks for; `default` is the list where it names none.

    Raises:
        HTTPBadRequest: There is no such list.
    """
    if "after" in request.query:
        default = NEWLY_WRONG  # the list of whoever names none
    kind = one_of(request, "kind", (*KINDS, *VARIANT_KINDS), default)
    return samples.Wanted(kind, request.query.get("class", ""), limit, request.query.get("after", ""))


def wanted_cell(request: web.Request, limit: int = samples.PAGE) -> cells.Cell | None:
    """Which page of which cell of the confusion matrix a request's query asks for; None where it asks for a list.

    Raises:
        HTTPBadRequest: It names a label without a prediction, or the other way round.
    """
    named = [name for name in ("label", "prediction") if name in request.query]
    if not named:
        return None
    if len(named) == 1:
        raise web.HTTPBadRequest(text=f"{named[0]} stands alone; send label and prediction of the cell")
    return cells.Cell(request.query["label"], request.query["prediction"], limit, request.query.get("after", ""))


def wanted_range(request: web.Request) -> str:
    """Which range of a target's history is wanted, of `target_history.RANGES`."""
    return one_of(request, "range", tuple(target_history.RANGES), target_history.RANGE)


def one_of(request: web.Request, name: str, allowed: Sequence[str], default: str) -> str:
    """One of the words that are allowed, and only one."""
    texts = request.query.getall(name, [])
    if not texts:
        return default
    if len(texts) > 1:
        raise web.HTTPBadRequest(
            text=f"{name} stands {len(texts)} times; send one of {', '.join(filter(None, allowed))}"
        )
    text = texts[0]
    if text not in allowed:
        raise web.HTTPBadRequest(text=f"{name}={text[:40]} is not one of {', '.join(filter(None, allowed))}")
    return text


def run_of_form(fields: Mapping[str, str]) -> int | None:
    """The run that a form names; None where it leaves the choice.

    Raises:
        HTTPBadRequest: It is no number of a run.
    """
    text = fields.get("run", "")
    return positive("run", text, _LARGEST_ID) if text else None


def wanted_run_id(body: bytes) -> int | None:
    """The run that a request's body names; None where it leaves the choice."""
    if not body:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(
            text='the body is not JSON; write {"run": 17}, or nothing for the last good run'
        ) from None
    run = found.get("run") if isinstance(found, dict) else found
    if isinstance(run, float) and run.is_integer():  # JSON tells 17.0 and 17 not apart
        run = int(run)
    if (
        not isinstance(found, dict)
        or found.keys() - {"run"}
        or not (run is None or (type(run) is int and 0 < run <= _LARGEST_ID))
    ):
        raise web.HTTPBadRequest(text='the body is not {"run": NUMBER}; send nothing for the last good run')
    return run

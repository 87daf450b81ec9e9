"""What a request asks for in its query or its body, checked; errors say what to write."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime

from aiohttp import web

from monitor.compare.side_kinds import KINDS, NEWLY_WRONG, VARIANT_KINDS
from monitor.config.durations import parse_duration
from monitor.views import cells, samples, target_history

LIMIT = 50
"""Runs answered by default."""
MOST = 1000
"""Runs, or samples, answered at most."""

_LARGEST_ID = 2**63 - 1  # of a run in the store


def wanted_since(request: web.Request, now: float) -> float:
    """Unix seconds that runs must have finished at, or later; `now` likewise."""
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
    kind = one_of(request, "kind", (*KINDS, *VARIANT_KINDS), NEWLY_WRONG)
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
    """One of the words that are allowed."""
    text = request.query.get(name, default)
    if text not in allowed:
        raise web.HTTPBadRequest(text=f"{name}={text[:40]} is not one of {', '.join(allowed)}")
    return text


def wanted_run_id(body: bytes) -> int | None:
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

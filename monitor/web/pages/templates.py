"""Templates to answers: every value escaped, one stylesheet within the page, one small script of our own, relative
links. Rendered in a thread: a page may hold hundreds of targets, or a matrix of many classes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor import __version__
from monitor.alerts import variant_words, wording
from monitor.alerts.states import Phase
from monitor.compare.martingale import ALARM
from monitor.compare.side_kinds import VARIANT_LOST
from monitor.figures.anomaly import threshold
from monitor.figures.groups import FEWEST_GROUPS
from monitor.figures.headline import with_test
from monitor.text import printable, shown
from monitor.views import charts, report, sparklines, target_history
from monitor.views import status as views
from monitor.views.events import figure_words
from monitor.views.samples import span
from monitor.views.standing import State
from monitor.views.target_state import drift_sentence
from monitor.views.wanted import PHASES, SORTS
from monitor.web.visitor import FORM_FIELD, visitor

RUNS_SHOWN = 50
"""Newest changes below a target's history."""

REFRESH = 15
"""Seconds after which a page refreshes itself."""

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 9h3l2-6 4 11 "
    "2-5h3' "
    "fill='none' stroke='%230a7' stroke-width='2'/%3E%3C/svg%3E"
)


_CLASSES_OFFERED = 200
"""Classes among which a field completes what is typed, where there are too many for links."""

_FORM = b"<form "  # of our templates: what others chose is escaped


class Templates:
    """The pages' templates, and what every page's answer carries.

    Args:
        script: Address of the pages' script, relative to the first page.
    """

    def __init__(self, script: str) -> None:
        self._templates = _environment()
        style = self._templates.get_template("style.css").render()
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._templates.globals["style"] = Markup(style)  # our own file
        self._templates.globals["script"] = script
        self._policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; script-src 'self'; connect-src 'self'"
        )

    async def page(self, template: str, view: Callable[[], Mapping[str, Any]], status: int = 200) -> web.Response:
        """An answer with a template, and with what `view` gives it; both are worked out in a thread."""
        body = await asyncio.to_thread(self._render, template, view)
        forms = "'self'" if _FORM in body else "'none'"
        headers = {
            "Content-Security-Policy": f"{self._policy}; base-uri 'none'; form-action {forms}; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        return web.Response(status=status, body=body, content_type="text/html", charset="utf-8", headers=headers)

    async def compiling(self, _app: web.Application) -> AsyncIterator[None]:
        """Compiles all templates in a thread while the service starts, so that the first visitor need not wait."""
        task = asyncio.create_task(asyncio.to_thread(self._compile))
        yield
        await task

    def _compile(self) -> None:
        for name in self._templates.list_templates():
            self._templates.get_template(name)

    def _render(self, template: str, view: Callable[[], Mapping[str, Any]]) -> bytes:
        # A lone surrogate in a name from Studio would make the whole page impossible to encode.
        return self._templates.get_template(template).render(view()).encode("utf-8", "replace")


def _csrf_field() -> Markup:
    """What every form of a session has."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FORM_FIELD, visitor().form_token)


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
        "starts": wording.starts,
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
        "path": views.target_path,
        "name": shown,
        "legible": lambda name: printable(shown(name)),
        "readable": lambda text: "\n".join(map(printable, text.splitlines())),
        "span": span,
        "drift_sentence": drift_sentence,
        "minute": wording.minute,
        "is_ratio": wording.is_ratio,
        "figure_words": figure_words,
        "listed": wording.listed,
        "segment": lambda name: quote(name, safe=""),
    }
    templates.globals |= {
        "version": __version__,
        "visitor": visitor,
        "csrf_field": _csrf_field,
        "icon": _ICON,
        "Phase": Phase,
        "VARIANT_LOST": VARIANT_LOST,
        "TESTED": wording.listed([row.label for row in with_test()]),
        "LEFT_OUT": wording.LEFT_OUT,
        "FEWEST_GROUPS": FEWEST_GROUPS,
        "GLANCE": views.GLANCE,
        "SIGNIFICANCE_LEVEL": views.SIGNIFICANCE_LEVEL,
        "ALARM": ALARM,
        "RUNS_SHOWN": RUNS_SHOWN,
        "CLASSES_OFFERED": _CLASSES_OFFERED,
        "BAR_WIDTH": charts.BAR_WIDTH,
        "REFRESH": REFRESH,
        "STATES": tuple(State),
        "SORTS": SORTS,
        "EVENT_PHASES": PHASES,
        "RESULTS_WIDTH": sparklines.WIDTH,
        "RESULTS_HEIGHT": sparklines.HEIGHT,
        "RANGES": target_history.RANGES,
        "CAUSE_WORDS": charts.CAUSE_WORDS,
    }
    return templates

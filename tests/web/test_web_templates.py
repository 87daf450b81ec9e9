"""The templates of the pages."""

from __future__ import annotations

import pytest
from aiohttp import web
from jinja2 import Environment

from monitor.web.pages.templates import Templates


async def test_compiled_before_the_first_visitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the application has started no page compiles a template."""
    templates = Templates("static/monitor.js")
    compiled: list[str | None] = []
    compile_one = Environment.compile

    def noting(self: Environment, source: str, name: str | None = None, *others: object) -> object:
        compiled.append(name)
        return compile_one(self, source, name, *others)  # type: ignore[call-overload]

    monkeypatch.setattr(Environment, "compile", noting)
    starting = templates.compiling(web.Application())
    await anext(starting)
    assert [] == [each async for each in starting]  # goes on once all are compiled
    assert {"target.html", "status.html", "error.html", "target/why.html", "event_part.html"} <= set(compiled)
    compiled.clear()
    answer = await templates.page("error.html", lambda: {"title": "Gone", "text": "", "status": 410}, 410)
    assert (410, []) == (answer.status, compiled)

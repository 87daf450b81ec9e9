"""Coverage of code that runs on greenlets, as SQLAlchemy's does, by a tracer for each greenlet that runs.

What coverage does by itself where it is told of greenlets is to ask, at every call and return of any function, which
greenlet runs: that takes as long as all else that it does. A greenlet's frames are traced by a tracer of its own here,
which is put in place when the greenlet is switched to. Who measures without this has to tell coverage of greenlets,
whose tracer would take the frames of one for those of another.
"""

from __future__ import annotations

import sys
from typing import Any

import greenlet
from coverage import Coverage


class Tracers:
    """The tracers of those greenlets of a thread that do not run.

    Args:
        coverage: Measures.
    """

    def __init__(self, coverage: Coverage) -> None:
        self._collector: Any = coverage._collector
        self._free: set[Any] = set()

    def switched(self, _: str, greenlets: tuple[Any, Any]) -> None:
        """Put the tracer of the greenlet in place that runs from now on; of one that has ended it is free."""
        origin, target = greenlets
        if (current := sys.gettrace()) is None:
            return  # nothing is measured now
        self._free.discard(current)  # after a pause anyone is in place
        tracer = target.__dict__.pop("tracer", None)
        if tracer is None or tracer is current:
            tracer = self._free.pop() if self._free else None
        if origin.dead:
            self._free.add(current)
        else:
            origin.tracer = current
        if tracer is None:
            self._collector._start_tracer()
        else:
            tracer.start()


def trace_greenlets() -> None:
    """Let each greenlet of this thread be traced by itself, where coverage is measured."""
    if (coverage := Coverage.current()) is not None:
        greenlet.settrace(Tracers(coverage).switched)

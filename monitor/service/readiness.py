"""`Readiness`: whether the service can be relied on yet."""

from __future__ import annotations

import time
from collections.abc import Callable

from monitor.live.watchlist import Watchlist
from monitor.store import Store

READY_WITHIN = 30.0
"""Seconds after which the service is ready although a first discovery still tries: its failure must be there to be
scraped.
"""


class Readiness:
    """The store must be usable, and the first round scheduled: each project was asked for its targets once, or has been
    tried for long enough.

    Args:
        store: To be usable.
        watchlist: Knows whether the first round is done.
        fleet: What else keeps a process of a fleet from being ready; None outside of one.
    """

    def __init__(self, store: Store, watchlist: Watchlist, fleet: Callable[[], str] | None = None) -> None:
        self._fleet = fleet
        self._store = store
        self._watchlist = watchlist
        self._began = time.monotonic()

    def unready(self) -> str:
        """What keeps the service from being ready, in a sentence; empty where nothing does."""
        if (problem := self._store.problem) is not None:
            return str(problem)
        if self._fleet is not None and (reason := self._fleet()):
            return reason
        if not self._watchlist.first_round_done and time.monotonic() - self._began <= READY_WITHIN:
            return "the first round of discovery has not ended"
        return ""

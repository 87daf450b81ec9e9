"""A small server of `result/page` that departs from the documentation in ways that the samples
themselves do not show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from monitor.studio.client import Client
from monitor.studio.project import StudioProject
from monitor.targets import TargetKey

KEY = TargetKey(7, 1, "int8", "testing")


@dataclass
class OddStudio:
    """Samples by position, and how pages of them are served.

    Attributes:
        samples: Id and label of each; the prediction is always `a`.
        left_out: Positions of samples without results, which pages leave out although offsets count them.
        counts_left_out: Whether `totalCount` does, too.
        total: Whether `totalCount` is sent.
        beyond: How much more it says than there is.
        offset: Whether it is honoured.
        limit: Whether it is honoured; without it a page holds all from the offset on.
        cap: The largest page; a larger limit is cut down.
        maximum: A larger limit is refused.
        category: Of the samples; None: not sent.
        predictions: Whether there are any.
        before: Called before each page, with the number of pages so far.
        asked: Offset and limit of each request.
    """

    samples: list[tuple[int, str]]
    left_out: frozenset[int] = frozenset()
    counts_left_out: bool = True
    total: bool = True
    beyond: int = 0
    offset: bool = True
    limit: bool = True
    cap: int | None = None
    maximum: int | None = None
    category: Any = "testing"
    predictions: bool = True
    before: Callable[[int], None] = lambda number: None
    asked: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def of(cls, count: int, **options: Any) -> OddStudio:
        """So many samples, every sixth of which is labelled otherwise than predicted."""
        return cls([(1000 + place, "b" if place % 6 == 0 else "a") for place in range(count)], **options)

    async def page(self, request: web.Request) -> web.Response:
        """One page."""
        start, limit = int(request.query["offset"]), int(request.query["limit"])
        self.before(len(self.asked))
        self.asked.append((start, limit))
        if self.maximum is not None and limit > self.maximum:
            return web.json_response({"success": False, "error": f"limit must be at most {self.maximum}"})
        start = start if self.offset else 0
        end = start + min(limit, self.cap or limit) if self.limit else len(self.samples)
        shown = [
            sample for place, sample in enumerate(self.samples) if start <= place < end and place not in self.left_out
        ]
        body: dict[str, Any] = {"success": True, "result": [self._result(number) for number, _ in shown]}
        body["predictions"] = [
            {
                "sampleId": number,
                "startMs": 0,
                "endMs": 1000,
                "label": label,
                "prediction": "a",
                "predictionCorrect": label == "a",
            }
            for number, label in shown
            if self.predictions
        ]
        if self.total:
            body["totalCount"] = len(self.samples) + self.beyond - (0 if self.counts_left_out else len(self.left_out))
        return web.json_response(body)

    def _result(self, number: int) -> dict[str, Any]:
        sample = {"id": number} if self.category is None else {"id": number, "category": self.category}
        return {"sampleId": number, "sample": sample, "classifications": []}

    def expected(self) -> list[tuple[int, str]]:
        """The result set: the samples that have results."""
        return [sample for place, sample in enumerate(self.samples) if place not in self.left_out]


@asynccontextmanager
async def served(odd: OddStudio, observer: Any) -> AsyncIterator[StudioProject]:
    """The calls of its only project."""
    app = web.Application()
    app.router.add_get("/v1/api/7/classify/all/result/page", odd.page)
    async with (
        TestServer(app) as server,
        Client(f"{server.make_url('/v1')}", observer, timeout=120, backoff=0.01) as client,
    ):
        yield StudioProject(client, 7, "ei_x")

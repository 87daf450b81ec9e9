"""Generated pages through the whole service: from a Studio's replies over HTTP to the text of `/metrics`."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from monitor.service.app import App
from tests.clock import SETTLE, Clock, run
from tests.pages.page_checks import SLICES
from tests.pages.page_content import content
from tests.pages.page_oracle import Series, compare, expected, figures
from tests.pages.page_replies import Spelling
from tests.pages.page_server import KEY, PageServer, served
from tests.pages.page_shapes import KINDS, Shape, any_shape
from tests.waiting import until

pytestmark = pytest.mark.acceptance

SHAPES = [any_shape(kind, random.Random(f"{kind} {place}")) for place in range(2) for kind in KINDS]


def spelling(place: int) -> Spelling:
    """One of many ways, another for each project."""
    rng = random.Random(place)
    return Spelling(
        shuffled=rng.random() < 0.5,
        escaped=rng.random() < 0.5,
        loose=rng.random() < 0.5,
        predictions=rng.choice(["own", "every"]),
        mark=rng.random() < 0.5,
        total=rng.choice(["int", "float", "text"]),
    )


async def _scrape(clock: Clock, folder: Path) -> dict[int, Series]:
    places = range(len(SHAPES))
    server = PageServer(
        [content(shape) for shape in SHAPES],
        [spelling(place) for place in places],
        [(1000, 7)[place % 2] for place in places],
    )
    async with served(server) as url:
        entries = [
            {"id": number, "api_key": KEY + str(number), "slices": list(SLICES)} for number in range(1, len(SHAPES) + 1)
        ]
        path = folder / "monitor.yaml"
        document = {
            "studio": {"url": url},
            "schedule": {"every": "1h"},
            "http": {"listen": "127.0.0.1:0"},
            "projects": entries,
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        async with App(path) as app, aiohttp.ClientSession() as session:
            await until(lambda: len(app.live.snapshots) == len(entries))
            await asyncio.sleep(1.1)  # a rendered page is kept for a second
            async with session.get(f"http://{app.address}/metrics") as response:
                text = await response.text()
    found: dict[int, list[Any]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "variant" in sample.labels:
                found[int(sample.labels["project_id"])].append(sample)
    return {number: figures(samples) for number, samples in found.items()}


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Series]:
    """The figures of each project, from one scrape."""
    return run(lambda clock: _scrape(clock, tmp_path_factory.mktemp("pages")), settle=SETTLE)


@pytest.mark.parametrize(
    ("number", "shape"), list(enumerate(SHAPES, 1)), ids=[f"{shape.kind} {place}" for place, shape in enumerate(SHAPES)]
)
def test_the_exposition_is_the_oracles(scraped: dict[int, Series], number: int, shape: Shape) -> None:
    """Every series of the target is that of independent libraries, and there is no other."""
    made = content(shape)
    problems, _ = compare(expected(made.results, made.predictions, made.anomaly_labels, SLICES), scraped[number])

    assert not problems, "\n".join([repr(shape), *problems])

"""Scrapes: formats, and that they neither hold up the event loop nor multiply."""

import asyncio
import gzip
import threading
from collections.abc import Iterable, Iterator

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from monitor.exposition import Renderer, Sources
from monitor.exposition.sources import Part
from tests.exposition.exposition_boards import NOW, board, classifier, full, registry, snapshot, target, text

OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PATIENCE = 60


class Gated:
    """A collector that counts its runs, notes their threads, and holds each until it is let go."""

    def __init__(self) -> None:
        self.runs = 0
        self.at_once = self.most_at_once = 0
        self.threads: set[int] = set()
        self.entered, self.open = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def collect(self) -> Iterator[Metric]:
        """One series: the number of the run."""
        self.runs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.open.wait(PATIENCE)
        self.at_once -= 1
        if self.error:
            raise self.error
        yield GaugeMetricFamily("runs", "Runs.", value=self.runs)


@pytest.fixture
def gated() -> Gated:
    """A collector that waits."""
    return Gated()


@pytest.fixture
def seconds() -> list[float]:
    """The renderer's clock: its only element."""
    return [100.0]


@pytest.fixture
def renderer(gated: Gated, seconds: list[float]) -> Iterable[Renderer]:
    """A renderer of the collector that waits, on a clock that stands."""
    made = CollectorRegistry()
    made.register(gated)
    yield Renderer(made, max_age=1.0, clock=lambda: seconds[0])
    gated.open.set()


async def test_text_is_the_default() -> None:
    """Without a preference comes the text format, uncompressed."""
    body, headers = await Renderer(registry(full())).render("", "")

    assert text(registry(full())).encode() == bytes(body)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in headers


async def test_openmetrics_and_gzip() -> None:
    """What Prometheus asks for is what it gets: OpenMetrics, valid, gzipped; and caches are told what it depends on."""
    body, headers = await Renderer(registry(full())).render(OPENMETRICS, "gzip, deflate")

    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Vary"] == "Accept, Accept-Encoding"
    assert "edge_impulse_up" in {family.name for family in parse_openmetrics(gzip.decompress(bytes(body)).decode())}


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=abc",
        "text/plain; version=x.y",
        ";;,,=",
        "text/html",
        "application/openmetrics-text; version=0.0.1",
    ],
)
async def test_strange_preferences_get_text(accept: str) -> None:
    """A header that makes no sense is no reason to fail a scrape."""
    body, headers = await Renderer(registry(full())).render(accept, "identity;q=1, *;q=0")

    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert bytes(body).startswith(b"# HELP")


async def test_loop_runs_while_rendering(renderer: Renderer, gated: Gated) -> None:
    """The collector runs in another thread, and the loop goes on while it is held up."""
    scrape = asyncio.create_task(renderer.render("", ""))
    async with asyncio.timeout(PATIENCE):
        while not gated.entered.is_set():
            await asyncio.sleep(0.001)
        for _ in range(100):  # a loop that is held up never gets to open the gate
            await asyncio.sleep(0)
        assert not scrape.done()
        gated.open.set()
        body, _ = await scrape

    assert b"runs 1.0" in bytes(body)
    assert threading.get_ident() not in gated.threads


async def test_many_series_are_collected_and_encoded_off_the_loop() -> None:
    """Some 10,000 series of real snapshots are walked in a worker thread, gzip included, while a ticker ticks."""
    threads, ticks = set(), 0

    class Watched(Sources):
        def parts(self) -> tuple[Part, ...]:
            threads.add(threading.get_ident())
            return super().parts()

    many = board(*(snapshot(target(impulse_id=number), classifier()) for number in range(180)))
    rendered = Renderer(CollectorRegistry(), Watched(many, clock=lambda: NOW)).render(OPENMETRICS, "gzip")
    scrape = asyncio.create_task(rendered)
    while not scrape.done():
        ticks += 1
        await asyncio.sleep(0.001)
    body, _ = await scrape

    assert gzip.decompress(bytes(body)).count(b"\nedge_impulse_") > 10_000
    assert threading.get_ident() not in threads
    assert ticks > 1


async def test_concurrent_scrapes_share_one_rendering(renderer: Renderer, gated: Gated) -> None:
    """Ten scrapes of one format at once are one rendering."""
    scrapes = [asyncio.create_task(renderer.render("", "")) for _ in range(10)]
    await asyncio.to_thread(gated.entered.wait, PATIENCE)
    gated.open.set()
    bodies = {body for body, _ in await asyncio.gather(*scrapes)}

    assert 1 == gated.runs == len(bodies)


async def test_one_rendering_at_a_time(renderer: Renderer, gated: Gated) -> None:
    """Different formats queue: a burst of scrapes takes one thread, not all of them."""
    scrapes = [
        asyncio.create_task(renderer.render(accept, encoding))
        for accept in ("", OPENMETRICS)
        for encoding in ("", "gzip")
    ]
    await asyncio.to_thread(gated.entered.wait, PATIENCE)
    gated.open.set()
    bodies = {body for body, _ in await asyncio.gather(*scrapes)}

    assert (gated.runs, len(bodies), gated.most_at_once) == (4, 4, 1)


async def test_bytes_are_kept_for_a_while(renderer: Renderer, gated: Gated, seconds: list[float]) -> None:
    """Within the age the same body comes again; after it the registry is collected anew."""
    gated.open.set()
    first, _ = await renderer.render("", "")
    seconds[0] += 0.99
    again, _ = await renderer.render("", "")
    seconds[0] += 0.01
    later, _ = await renderer.render("", "")

    assert first is again
    assert (bytes(first).split(b"\n")[2], bytes(later).split(b"\n")[2]) == (b"runs 1.0", b"runs 2.0")


async def test_age_counts_from_the_end_of_the_rendering(renderer: Renderer, gated: Gated, seconds: list[float]) -> None:
    """A rendering that takes longer than the age is kept all the same: it is the one that must not repeat."""
    scrape = asyncio.create_task(renderer.render("", ""))
    await asyncio.to_thread(gated.entered.wait, PATIENCE)
    seconds[0] += 5
    gated.open.set()
    await scrape
    await renderer.render("", "")

    assert gated.runs == 1


async def test_client_that_goes_away_takes_nothing_with_it(renderer: Renderer, gated: Gated) -> None:
    """A scrape that is cancelled leaves the rendering to those who wait for it."""
    impatient = asyncio.create_task(renderer.render("", ""))
    await asyncio.to_thread(gated.entered.wait, PATIENCE)
    patient = asyncio.create_task(renderer.render("", ""))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gated.open.set()
    body, _ = await patient

    assert b"runs 1.0" in bytes(body)
    assert gated.runs == 1


async def test_failure_is_not_kept(renderer: Renderer, gated: Gated) -> None:
    """A rendering that fails fails its scrapes; the next one tries again."""
    gated.open.set()
    gated.error = RuntimeError("no")
    with pytest.raises(RuntimeError, match="no"):
        await renderer.render("", "")
    gated.error = None
    body, _ = await renderer.render("", "")

    assert b"runs 2.0" in bytes(body)


async def test_concurrent_scrapes_share_a_failure(renderer: Renderer, gated: Gated) -> None:
    """A rendering that fails is not repeated for each scrape that waited for it."""
    gated.error = RuntimeError("no")
    scrapes = [asyncio.create_task(renderer.render("", "")) for _ in range(3)]
    await asyncio.to_thread(gated.entered.wait, PATIENCE)
    gated.open.set()
    outcomes = await asyncio.gather(*scrapes, return_exceptions=True)

    assert [gated.error] * 3 == outcomes
    assert gated.runs == 1

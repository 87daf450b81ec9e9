"""Series are kept as bytes: a scrape has the client library's bytes, whatever happened since the last one."""

import gc
import gzip
import math
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from weakref import ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

from monitor.alerts.rules import built_in
from monitor.alerts.states import AlertState, Phase
from monitor.errors import PullState
from monitor.exposition import Renderer, SnapshotCollector, Sources, Switch
from monitor.exposition.compression import Compressed, member
from monitor.figures.evaluation import Detection, Slice
from monitor.live.entry import ProjectStatus
from monitor.live.live import Live
from monitor.results import Block, BlockKind
from tests.exposition.exposition_boards import (
    NOW,
    STALE_AFTER,
    board,
    classifier,
    compared,
    detector,
    fomo,
    full,
    quality,
    regressor,
    snapshot,
    target,
)
from tests.factories import evaluation
from tests.live.live_parts import entry_of, shown_as, watch_of

TEXT = ""
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FORMATS = (
    TEXT,
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "text/plain;version=1.0.0;escaping=underscores",
    "text/plain;version=1.0.0;escaping=dots",
    "text/plain;version=1.0.0;escaping=values",
    OPENMETRICS,
    "application/openmetrics-text",
    "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8",
    "application/openmetrics-text;version=1.0.0;escaping=dots",
    "application/openmetrics-text;version=1.0.0;escaping=values",
)


class Scraped:
    """A board, what the client library says of it, and a renderer that keeps what it rendered.

    Args:
        live: The board.
    """

    def __init__(self, live: Live) -> None:
        self.live = live
        self.now = NOW
        self.left_out: set[str] = set()
        self.counted = CollectorRegistry()
        sources = Sources(live, left_out=lambda: self.left_out, clock=lambda: self.now)
        self._both = CollectorRegistry()
        self._both.register(self.counted)
        self._both.register(SnapshotCollector(sources))
        self._renderer = Renderer(self.counted, sources, max_age=0.0)

    async def body(self, accept: str = TEXT, encoding: str = "") -> bytes:
        """What a scrape gets."""
        return bytes((await self._renderer.render(accept, encoding))[0])

    async def sent(self, accept: str = TEXT, encoding: str = "") -> int:
        """How many bytes a scrape gets, part by part."""
        body, _ = await self._renderer.render(accept, encoding)
        size = sum(map(len, body))
        assert body.nbytes == size
        return size

    def expected(self, accept: str = TEXT) -> bytes:
        """What the client library makes of the same."""
        encoder, _ = choose_encoder(accept)
        return encoder(self._both)

    async def check(self) -> None:
        """Both formats, plain and compressed, are as the client library has them."""
        for accept in (TEXT, OPENMETRICS):
            expected = self.expected(accept)
            assert expected == await self.body(accept)
            assert expected == gzip.decompress(await self.body(accept, "gzip"))


class Name(str):
    """A target's name that counts how often it is written."""

    written = 0

    def encode(self, *args: str) -> bytes:
        """As of any text."""
        Name.written += 1
        return super().encode(*args)


def count_strangely(registry: CollectorRegistry) -> None:
    """Metrics of every type, with all that a format can bear: escapes, exemplars, a unit, and no finite values."""
    gauge = Gauge("strange_seconds", 'A "quoted" \\ HELP\nof two lines.', ["of"], unit="seconds", registry=registry)
    for of, value in (("\\", math.nan), ("\n", math.inf), ('"', -math.inf), ("é 語", 1e16), ("{}", 123456789.0)):
        gauge.labels(of).set(value)
    Counter("asked", "With an exemplar.", registry=registry).inc(3, exemplar={"trace_id": "a\\b"})
    histogram = Histogram("waited_seconds", "With exemplars.", registry=registry)
    histogram.observe(0.3, exemplar={"trace_id": '"'})


@pytest.mark.parametrize("accept", FORMATS)
async def test_every_kind_of_target_in_every_format(accept: str) -> None:
    """Byte for byte what the client library renders: names, escapes, HELP, UNIT, exemplars, the last line."""
    scraped = Scraped(full())
    count_strangely(scraped.counted)

    for _ in range(2):  # at first it is written, then it is joined
        assert scraped.expected(accept) == await scraped.body(accept)
        assert scraped.expected(accept) == gzip.decompress(await scraped.body(accept, "gzip"))


KINDS = (classifier, detector, fomo, regressor)

Step = Callable[[Scraped, int, int], None]
"""Something that happens: to one of several targets, with a number that makes it another event."""


def pulls(scraped: Scraped, which: int, number: int) -> None:
    """A pull of the same results."""
    for target_id in list(scraped.live.snapshots)[which : which + 1]:
        shown_as(scraped.live, target_id, last_pull=NOW + number, last_success=scraped.now)


def pulls_others(scraped: Scraped, which: int, number: int) -> None:
    """A pull of other results, of any kind, perhaps with another comparison and another training."""
    for target_id in list(scraped.live.snapshots)[which : which + 1]:
        found = replace(KINDS[number % 4](), samples=number)
        comparison = compared() if number % 3 else None
        shown_as(scraped.live, target_id, evaluation=found, comparison=comparison, last_success=scraped.now)
        shown_as(scraped.live, target_id, trained=NOW - number, impulse_stale=(None, False, True)[number % 3])


def fails(scraped: Scraped, which: int, number: int) -> None:
    """A pull that fails."""
    for target_id in list(scraped.live.snapshots)[which : which + 1]:
        shown_as(scraped.live, target_id, state=list(PullState)[number % len(PullState)], last_pull=NOW + number)


def comes(scraped: Scraped, which: int, number: int) -> None:
    """A target that is watched from now on, or otherwise: with another name, and other labels."""
    of = target(impulse_id=which, project=f"project {number % 5}", site=f"site {number % 3}")
    scraped.live.watch(watch_of(of, STALE_AFTER))


def is_pulled_first(scraped: Scraped, which: int, number: int) -> None:
    """The first pull of a target that has none."""
    for live_target in list(scraped.live.targets.values())[which : which + 1]:
        live_target.show(replace(snapshot(live_target.target, KINDS[number % 4]()), last_success=scraped.now))


def leaves(scraped: Scraped, which: int, number: int) -> None:
    """A target that is watched no more; its alerts stay."""
    for target_id in list(scraped.live.targets)[which : which + 1]:
        scraped.live.forget(target_id)


def alerts(scraped: Scraped, which: int, number: int) -> None:
    """An alert of a target, or of a project, that moves on."""
    subject = [*scraped.live.targets, "project-7"][which % (len(scraped.live.targets) + 1)]
    state = AlertState(f"Alert{number % 2}", subject, "digest", list(Phase)[number % len(Phase)], severity="warning")
    scraped.live.show_alerts(subject, [state], complete=number % 5 == 0)


def is_ruled(scraped: Scraped, which: int, number: int) -> None:
    """Other rules match a target."""
    for live_target in list(scraped.live.targets.values())[which : which + 1]:
        live_target.rules = built_in()[: number % 4]


def discovers(scraped: Scraped, which: int, number: int) -> None:
    """Projects whose discovery ended some way, of which there are others than before."""
    states = (None, PullState.OK, PullState.AUTH)
    found = [ProjectStatus(1 + each, states[(number + each) % 3], NOW + number) for each in range(which)]
    scraped.live.replace_entries(map(entry_of, found))


def time_passes(scraped: Scraped, which: int, number: int) -> None:
    """Figures that nobody pulls again become stale."""
    scraped.now += STALE_AFTER * number / 40


def switches(scraped: Scraped, which: int, number: int) -> None:
    """Another choice of families."""
    scraped.left_out = {switch for bit, switch in enumerate(Switch) if number >> bit & 1}


STEPS: tuple[Step, ...] = (
    pulls,
    pulls_others,
    fails,
    comes,
    is_pulled_first,
    leaves,
    alerts,
    is_ruled,
    discovers,
    time_passes,
    switches,
)


@pytest.mark.slow
@given(happens=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 6), st.integers(0, 60)), max_size=12))
@settings(max_examples=25, deadline=None)
async def test_whatever_happens_between_scrapes(happens: list[tuple[Step, int, int]]) -> None:
    """Nothing that changes is shown as it was: after each event both formats are what they would be without memory."""
    scraped = Scraped(full())
    await scraped.check()
    for step, which, number in happens:
        step(scraped, which, number)
        await scraped.check()


@pytest.mark.parametrize("step", STEPS)
async def test_each_event_shows(step: Step) -> None:
    """Every event of those above changes the exposition, and what is kept follows it."""
    scraped = Scraped(full())
    comes(scraped, 9, 1)
    await scraped.check()
    before = await scraped.body()
    new = list(scraped.live.targets).index(target(impulse_id=9).key.id)

    which: dict[Step, int] = {comes: 1, discovers: 3, is_pulled_first: new}
    step(scraped, which.get(step, 0), 41)

    assert before != await scraped.body()
    await scraped.check()


async def test_what_has_not_changed_is_not_written_again() -> None:
    """A second scrape writes nothing; after a pull of the same results the few series of the pull are written."""
    scraped = Scraped(board(snapshot(target(project=Name("vibration")), classifier(), comparison=compared())))
    Name.written = 0
    await scraped.body()
    at_first = Name.written
    assert at_first > 1

    for accept in FORMATS[:3] + FORMATS[5:8]:
        await scraped.body(accept, "gzip")
    assert at_first == Name.written
    pulls(scraped, 0, 1)
    await scraped.body()
    after_pull = Name.written - at_first
    assert after_pull == 1  # of the pull's series
    pulls_others(scraped, 0, 1)
    await scraped.body()
    assert Name.written == at_first + after_pull + 2  # figures, and the pull


async def test_one_changed_target_is_written_alone() -> None:
    """Other targets' series are not written for it."""
    other = target(impulse_id=2)
    of = board(snapshot(target(project=Name("vibration")), classifier()), snapshot(other, classifier()))
    scraped = Scraped(of)
    await scraped.body()
    written = Name.written

    shown_as(of, other.key.id, evaluation=detector())

    assert b'impulse_id="2"' in await scraped.body()
    assert written == Name.written


async def test_figures_that_are_equal_and_written_otherwise() -> None:
    """Other figures are written, also where Python calls them equal: a zero may have another sign."""
    found = classifier()
    assert found.calibration is not None
    scraped = Scraped(board(snapshot(target(), found)))
    for zero in (0.0, -0.0):
        shown_as(
            scraped.live, target().key.id, evaluation=replace(found, calibration=replace(found.calibration, brier=zero))
        )
        await scraped.check()


async def test_what_left_is_forgotten() -> None:
    """Nothing of a target that left is held after the next scrape, nor of one whose figures are stale."""
    name = Name("vibration")
    of = board(snapshot(target(project=name), classifier()), snapshot(target(impulse_id=2), classifier()))
    scraped = Scraped(of)
    for encoding in ("", "gzip"):
        await scraped.body(TEXT, encoding)
    held = ref(name)
    of.forget(target().key.id)
    del name

    assert b"vibration" in await scraped.body()  # the other one's
    gc.collect()

    assert held() is None


@pytest.mark.slow
async def test_memory() -> None:
    """All that is held at the peak is at most two bodies; and when everything was written again with the same values,
    no line is held twice.
    """
    of = board(*(snapshot(target(impulse_id=number), classifier(), comparison=compared()) for number in range(100)))
    again = {key: classifier() for key in of.targets}
    scraped = Scraped(of)
    await scraped.body()  # what the client library keeps for itself
    scraped = Scraped(of)
    gc.collect()
    tracemalloc.start()
    try:
        size = await scraped.sent()
        await scraped.sent(OPENMETRICS, "gzip")
        held, _ = tracemalloc.get_traced_memory()
        for key, figures in again.items():
            shown_as(of, key, evaluation=figures, trained=NOW)
        await scraped.sent()
        await scraped.sent(OPENMETRICS, "gzip")
        held_then, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 * size
    assert held_then < held + 0.1 * size


async def test_stale_figures_leave_at_their_time() -> None:
    """Nothing is pulled, and yet the figures leave; the pull's own series stay."""
    scraped = Scraped(board(snapshot(target(), classifier(), age=0)))
    scraped.now = NOW + STALE_AFTER
    assert b"edge_impulse_accuracy_ratio{" in await scraped.body()

    scraped.now += 1

    body = await scraped.body()
    assert b"edge_impulse_accuracy_ratio" not in body
    assert b"edge_impulse_up{" in body


async def test_counters_are_of_the_moment() -> None:
    """What the service counts is read at each scrape, although nothing else has changed."""
    scraped = Scraped(full())
    counter = Counter("asked", "Asked.", registry=scraped.counted)
    assert b"asked_total 0.0\n" in await scraped.body()

    counter.inc()

    for accept in (TEXT, OPENMETRICS):
        assert b"asked_total 1.0\n" in gzip.decompress(await scraped.body(accept, "gzip"))


async def test_gzip_is_one_member() -> None:
    """Clients that read one member and no more get everything."""
    scraped = Scraped(full())
    body = await scraped.body(OPENMETRICS, "gzip")
    decompress = zlib.decompressobj(zlib.MAX_WBITS | 16)

    assert scraped.expected(OPENMETRICS) == decompress.decompress(body)
    assert decompress.eof
    assert b"" == decompress.unused_data


@given(parts=st.lists(st.binary(max_size=300), max_size=8), again=st.integers(1, 400))
def test_parts_are_joined_with_the_right_checksum(parts: list[bytes], again: int) -> None:
    """Any parts, empty ones and long ones too: what is read is what went in, and its checksum and length agree."""
    whole = [part * again for part in parts]

    assert b"".join(whole) == gzip.decompress(member([Compressed.of(part) for part in whole]))


texts = st.text(st.characters() | st.sampled_from('\\"\n\r{}%,=é\ud800'), max_size=12)
numbers = st.floats() | st.sampled_from([0.0, -0.0, 1e16, 1e-7, 123456789.0, 1e22, 5e-324, math.nan, math.inf, True])


@given(
    names=st.lists(texts, min_size=6, max_size=6),
    values=st.lists(numbers, min_size=4, max_size=4),
    label=st.from_regex("[a-zA-Z_][a-zA-Z0-9_]{0,9}", fullmatch=True).filter(lambda name: name not in ("project",)),
)
async def test_any_name_and_any_number(names: list[str], values: list[float], label: str) -> None:
    """Whatever Studio calls a thing, and whatever a figure comes to: the same bytes."""
    project, impulse, own, block, kind, group = names
    shown = evaluation(
        quality=quality({kind: 1, block: 2}, {(kind, own): 3, (block, kind): 4}),
        blocks=(Block(1, kind, BlockKind.CLASSIFICATION, block, {own: values[0]}),),
        slices={("metadata.site", group): Slice(values[1], 3)},
        detection=Detection(class_ap={kind: values[2]}),
    )
    of = replace(target(project=project), impulse=impulse, labels={label: own})
    await Scraped(board(snapshot(of, shown, trained=values[3]))).check()

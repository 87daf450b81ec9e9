"""Pages that Studio gives a version: they are not sent again while they are the same, and mean the same columns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from monitor.errors import InvalidReply, Unreachable
from monitor.results import ResultSet
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Action, Body, Fault, Rewrite, Status
from monitor.simulator.generated import GeneratedProject
from monitor.store import columns
from monitor.studio import pull as pull_module
from monitor.studio.client import Client
from monitor.studio.last_readings import LastReading, LastReadings, Versioned, strong
from monitor.studio.paging import Span
from monitor.studio.project import StudioProject
from monitor.studio.pull import Filters, pull
from monitor.studio.versions import BELIEVED
from monitor.targets import TargetKey
from tests.clock import Clock
from tests.factories import result_set

KEY = TargetKey(900, 1, "int8", "testing")
PAGE = "result/page"


@pytest.fixture
def studio() -> Studio:
    """A classifier of 60 samples on a server that gives its pages versions."""
    return Studio([projects.bulk(samples=60, windows=1)], etags="strong")


@pytest.fixture
async def project(studio: Studio, counted: Any) -> AsyncIterator[StudioProject]:
    """Its calls."""
    async with serve(studio) as url, Client(url, counted, backoff=0.01) as client:
        yield StudioProject(client, 900, studio.projects[900].api_key)


async def again(project: StudioProject, known: ResultSet, **options: Any) -> ResultSet:
    """The pull after the one that found `known`."""
    return await pull(project, KEY, known=known.fingerprint(), **options)


async def test_an_unchanged_page_is_not_sent_again(project: StudioProject, studio: Studio, counted: Any) -> None:
    """The pull after a pull names the version of the page, gets no body, and has the same columns to the last byte."""
    first = await pull(project, KEY)
    studio.requests.clear()
    counted.bytes = 0
    second = await again(project, first)

    assert (1, 1, 0) == (len(studio.calls(PAGE)), studio.not_modified, counted.bytes)
    assert ("result_page", "304") == counted.requests[-1]
    assert columns.encode(first) == columns.encode(second)


@pytest.mark.parametrize("size", [1000, 20])
async def test_a_change_is_seen(
    project: StudioProject, studio: Studio, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """What has changed is read, wherever it is among the pages; of one page without a request more."""
    monkeypatch.setattr(pull_module, "LARGEST_PAGE", size)
    first = await pull(project, KEY)
    await again(project, first)
    unchanged = studio.not_modified
    studio.requests.clear()
    watched = studio.projects[900]
    assert isinstance(watched, GeneratedProject)
    watched.edit(quality=-2.0)
    second = await again(project, first)

    assert second.fingerprint() != first.fingerprint()
    assert unchanged == -(-60 // size)
    if size == 1000:
        assert 2 == len(studio.calls(PAGE))  # a set that says something new is read twice
    studio.not_modified = 0
    third = await again(project, second)
    assert third.fingerprint() == second.fingerprint()
    assert studio.not_modified == unchanged


async def test_what_no_fingerprint_covers_is_seen(project: StudioProject, studio: Studio) -> None:
    """A page in which only metadata has changed is another version: its columns come with it, although nothing of it is
    in the fingerprint.
    """
    first = await pull(project, KEY, metadata=("site",))
    studio.faults.append(Fault(Rewrite(lambda body: body.replace(b'"site":"', b'"site":"new ')), PAGE, times=None))
    second = await again(project, first, metadata=("site",))
    unchanged = studio.not_modified
    third = await again(project, second, metadata=("site",))

    assert first.fingerprint() == second.fingerprint()
    assert 0 == unchanged
    assert 1 == studio.not_modified
    for found in (second, third):
        assert all(text.startswith("new ") for text in found.metadata["site"].texts() if text)


@pytest.mark.parametrize("options", [{"metadata": ("site",)}, {"filters": Filters(labels=("idle",))}])
async def test_another_question_is_another_version(
    project: StudioProject, studio: Studio, options: dict[str, Any]
) -> None:
    """Where other samples or other metadata are wanted than in the pull before, what that kept is not used."""
    first = await pull(project, KEY)
    await again(project, first, **options)

    assert 0 == studio.not_modified


async def test_a_weak_version_is_not_named(project: StudioProject, studio: Studio) -> None:
    """A weak version promises a similar page, not the same one: it is not relied upon."""
    studio.etags = "weak"
    first = await pull(project, KEY)
    await again(project, first)

    assert 0 == studio.not_modified


async def test_what_was_kept_is_a_reading_like_another(project: StudioProject, studio: Studio) -> None:
    """Where the pull before took something else than what is kept, a second reading decides."""
    first = await pull(project, KEY)
    studio.requests.clear()
    found = await pull(project, KEY, known="another")

    assert 2 == len(studio.calls(PAGE))
    assert 1 == studio.not_modified
    assert found.fingerprint() == first.fingerprint()


async def not_sent(project: StudioProject, studio: Studio, known: ResultSet) -> int:
    """How many pages another pull, which finds the same, is not sent again."""
    studio.not_modified = 0
    found = await again(project, known)
    assert found.fingerprint() == known.fingerprint()
    return studio.not_modified


@pytest.mark.parametrize(
    ("action", "size"),
    [(Status(500), 1000), (Status(500), 20), (Status(204), 1000), (Status(403), 1000), (Body(b""), 1000)],
)
async def test_what_fails_when_asked_about_a_version_is_asked_for_the_page(
    project: StudioProject,
    studio: Studio,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    action: Action,
    size: int,
) -> None:
    """A server that cannot answer a request that names a version is asked without one, in the same pull and for a day,
    whichever page it is.
    """
    monkeypatch.setattr(pull_module, "LARGEST_PAGE", size)
    first = await pull(project, KEY)
    unharmed = 0 if size == 1000 else 1
    studio.fail(action, PAGE, after=unharmed)

    assert unharmed == await not_sent(project, studio, first)
    assert 0 == await not_sent(project, studio, first)
    clock.go_on(BELIEVED)
    assert [0, 60 // min(size, 60)] == [await not_sent(project, studio, first) for _ in range(2)]


@pytest.mark.usefixtures("clock")
async def test_what_never_answers_about_a_version_is_asked_for_the_page_by_the_next_pull(
    project: StudioProject, studio: Studio
) -> None:
    """Where no attempt is answered, the next pull names no version either."""
    first = await pull(project, KEY)
    studio.fail(Status(500), PAGE, times=5)
    with pytest.raises(Unreachable, match="Studio answered 500"):
        await again(project, first)

    assert 0 == await not_sent(project, studio, first)


async def test_a_failure_about_a_version_counts_though_the_page_has_changed(
    project: StudioProject, studio: Studio
) -> None:
    """Where the page that came after the failure is another one, its version is not named either."""
    first = await pull(project, KEY)
    studio.generated(900).edit(quality=-2.0)
    studio.fail(Status(500), PAGE)
    second = await again(project, first)

    assert second.fingerprint() != first.fingerprint()
    assert 0 == await not_sent(project, studio, second)


async def test_pages_are_read_whole_once_a_day(project: StudioProject, studio: Studio, clock: Clock) -> None:
    """Versions that are right are named in all pulls but one a day, in which what has changed is no reason to warn."""
    first = await pull(project, KEY)
    clock.go_on(BELIEVED - 1)
    before = await not_sent(project, studio, first)
    clock.go_on(1)
    after = [await not_sent(project, studio, first) for _ in range(2)]
    studio.generated(900).edit(quality=-2.0)
    clock.go_on(BELIEVED)
    with capture_logs() as logs:
        second = await again(project, first)

    assert (1, [0, 1]) == (before, after)
    assert second.fingerprint() != first.fingerprint()
    assert 1 == await not_sent(project, studio, second)
    assert "pull.versions_wrong" not in [line["event"] for line in logs]


async def test_a_version_that_outlasts_the_metadata_is_not_believed(
    project: StudioProject, studio: Studio, clock: Clock
) -> None:
    """Slices are made of metadata and devices: these may not be hidden either, though the fingerprint stays."""
    studio.etags = "constant"
    first = await pull(project, KEY, metadata=("site",))
    studio.faults.append(Fault(Rewrite(lambda body: body.replace(b'"site":"', b'"site":"new ')), PAGE, times=None))
    clock.go_on(BELIEVED)
    with capture_logs() as logs:
        second = await again(project, first, metadata=("site",))

    assert first.fingerprint() == second.fingerprint()
    assert "pull.versions_wrong" in [line["event"] for line in logs]


async def test_a_version_that_outlasts_its_content_is_not_believed(
    project: StudioProject, studio: Studio, clock: Clock
) -> None:
    """A constant version hides a change for a day at most; then the log says so once, and none is named any more."""
    studio.etags = "constant"
    first = await pull(project, KEY)
    studio.generated(900).edit(quality=-2.0)
    hidden = await again(project, first)
    clock.go_on(BELIEVED)
    with capture_logs() as logs:
        second = await again(project, first)
        studio.generated(900).edit(quality=2.0)
        third = await again(project, second)
        clock.go_on(2 * BELIEVED)
        not_named = [await not_sent(project, studio, third) for _ in range(2)]

    assert hidden.fingerprint() == first.fingerprint()
    assert 3 == len({first.fingerprint(), second.fingerprint(), third.fingerprint()})
    assert [0, 0] == not_named
    assert [KEY.id] == [line["target"] for line in logs if line["event"] == "pull.versions_wrong"]


async def test_not_modified_though_no_version_was_named(project: StudioProject, studio: Studio) -> None:
    """HTTP 304 to a request that named no version is no redirect: the error says where to look."""
    studio.fail(Status(304), PAGE)
    with pytest.raises(InvalidReply, match=r"HTTP 304 .* no version was named; look at caches"):
        await pull(project, KEY)


@pytest.mark.parametrize(
    ("etag", "kept"),
    [('"a"', True), ('""', False), ('W/"a"', False), ("a", False), ('"a" ', False), ('"a\nb"', False), (None, False)],
)
def test_strong(etag: str | None, kept: bool) -> None:
    """Only a strong entity tag of the documented form is one."""
    assert (etag if kept else None) == strong(etag)


def readings(of: Callable[[int], ResultSet], count: int, most: int) -> LastReadings:
    """So many readings, kept one after the other."""
    kept = LastReadings(most)
    for number in range(count):
        kept.put(number, LastReading(100 + number, (Versioned(Span(0, 100), '"a"'),), of(number)))
    return kept


def test_memory_is_bounded() -> None:
    """The columns of those that were not needed for longest are let go; their page sizes stay."""
    results = result_set(1000, sample_id=np.arange(1000))
    kept = readings(lambda _: results, 10, 4 * results.nbytes())
    found = [kept.get(number) for number in range(10)]

    assert [reading.size for reading in found if reading] == list(range(100, 110))
    assert [number for number, reading in enumerate(found) if reading and reading.results is not None] == [6, 7, 8, 9]
    assert kept.nbytes <= 4 * results.nbytes()


def test_a_large_set_is_not_kept() -> None:
    """A set that alone would take all room leaves that of the others alone."""
    small = result_set(10, sample_id=np.arange(10))
    large = result_set(10_000, sample_id=np.arange(10_000))
    kept = readings(lambda number: large if number == 1 else small, 2, small.nbytes())
    first, second = kept.get(0), kept.get(1)

    assert first is not None
    assert second is not None
    assert first.results is small
    assert (second.results, second.pages, second.size) == (None, (), 101)

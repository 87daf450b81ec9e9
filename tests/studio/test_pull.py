"""Pulling a target from a real HTTP server: paging, consistency, and every failure that is to be expected."""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from monitor.config import Config, FilterConfig
from monitor.errors import (
    AuthError,
    Inconsistent,
    InvalidReply,
    MonitorError,
    NoResults,
    NotFound,
    PullState,
    StudioError,
    Unreachable,
)
from monitor.exposition.service import ServiceMetrics
from monitor.pipeline.project_turn import ProjectTurn
from monitor.pipeline.run import Pipeline
from monitor.pipeline.watch import Watch
from monitor.results import BlockKind
from monitor.simulator import Studio, projects
from monitor.simulator.faults import (
    Body,
    Change,
    Delay,
    Edit,
    Elsewhere,
    Empty,
    Limit,
    NoTotal,
    Refuse,
    Reset,
    Status,
    Truncate,
)
from monitor.studio import client as client_module
from monitor.studio import pull as pull_module
from monitor.studio.client import Client
from monitor.studio.discovery import discover
from monitor.studio.project import StudioProject
from monitor.studio.pull import RESTARTS, Filters, pull
from monitor.targets import TargetKey

pytestmark = pytest.mark.usefixtures("clock")

PAGE = "result/page"
KEY = TargetKey(101, 1, "int8", "testing")


def key_of(project_id: int, variant: str = "int8") -> TargetKey:
    """The first impulse's target of a project."""
    return TargetKey(project_id, 1, variant, "testing")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages per pull although the sets are small."""
    monkeypatch.setattr(pull_module, "PAGE_BYTES", 60_000)
    monkeypatch.setattr(pull_module, "FIRST_PAGE", 20)


async def test_pulls_what_the_simulator_holds(project: StudioProject, studio: Studio) -> None:
    """Every sample and window arrives as the simulator knows it to be true."""
    ground = studio.ground(101)
    assert ground is not None
    results = await pull(project, KEY)

    windows = [
        (sample.id, window)
        for sample in sorted(ground.samples, key=lambda sample: sample.id)
        for window in sample.windows
    ]
    assert sorted(sample.id for sample in ground.samples) == results.sample_id.tolist()
    assert [number for number, _ in windows] == results.sample_id[results.sample].tolist()
    assert [window.prediction for _, window in windows] == [results.labels[code] for code in results.prediction]
    assert [window.label for _, window in windows] == [
        results.labels[code] if code >= 0 else None for code in results.label
    ]
    assert [window.start_ms for _, window in windows] == results.start_ms.tolist()
    assert len(studio.calls(PAGE)) > 4


@pytest.mark.parametrize("build", projects.KINDS)
async def test_every_kind_arrives(build: Callable[[], Any], client: Client, studio: Studio) -> None:
    """A project of every kind is pulled, on servers of both generations, with the documented reply
    checked on the way.
    """
    studio.validate = True
    expected = build()
    results = await pull(StudioProject(client, expected.id, expected.api_key), key_of(expected.id))

    assert {sample.id for sample in studio.ground(expected.id).samples} == set(results.sample_id.tolist())  # type: ignore[union-attr]
    assert (BlockKind.UNKNOWN in results.kinds()) == (build is projects.freeform)
    assert results.label_map == (build is projects.label_map)


async def test_progress_and_page_size(project: StudioProject, studio: Studio, counted: Any) -> None:
    """Progress ends at the total, and pages come near the wanted size."""
    known = (await pull(project, KEY)).fingerprint()
    assert 20 == int(studio.calls(PAGE)[0].query["limit"])
    studio.requests.clear()
    counted.bytes = 0
    seen: list[tuple[int, int | None]] = []
    await pull(project, KEY, known=known, progress=lambda done, total: seen.append((done, total)))

    assert (200, 200) == seen[-1]
    assert sorted(seen) == seen
    limits = [int(request.query["limit"]) for request in studio.calls(PAGE)]
    per_sample = counted.bytes / sum(limits)
    assert all(0.8 * 60_000 < limit * per_sample < 1.2 * 60_000 for limit in limits[:-2])


async def test_sends_the_filters(project: StudioProject, studio: Studio) -> None:
    """Filters reach Studio as it documents them, and only what passes them comes back."""
    filters = Filters(labels=("idle",), metadata=[{"key": "site", "op": "eq", "values": ["lab"]}])
    results = await pull(project, KEY, filters=filters, metadata=("site",))

    assert set(results.metadata["site"].texts()) == {"lab"}
    assert {"idle"} == {results.labels[code] for code in results.label if code >= 0}
    assert {("int8", "1", "testing", '["idle"]')} == {
        tuple(request.query[name] for name in ("variant", "impulseId", "category", "labels"))
        for request in studio.calls(PAGE)
    }


EVERY_FILTER = {
    "data_type": ("audio", "dataType", "audio"),
    "labels": (["idle", "é"], "labels", '["idle", "é"]'),
    "filename": ("run & 1", "filename", "run & 1"),
    "search": ("press=1", "search", "press=1"),
    "min_date": ("2026-01-31", "minDate", "2026-01-31T00:00:00.000Z"),
    "max_date": ("2026-02-28T12:30:00+01:00", "maxDate", "2026-02-28T11:30:00.000Z"),
    "min_id": (0, "minId", "0"),
    "max_id": (123_456_789_012, "maxId", "123456789012"),
    "min_label": (-0.1, "minLabel", "-0.1"),
    "max_label": (2.0, "maxLabel", "2"),
    "min_length": (0, "minLength", "0"),
    "max_length": (2000, "maxLength", "2000"),
    "min_frequency": (62.5, "minFrequency", "62.5"),
    "max_frequency": (16000.0, "maxFrequency", "16000"),
    "signature_validity": ("valid", "signatureValidity", "valid"),
}
CONDITION = {"key": "site", "op": "eq", "values": ["lab"]}


async def queries(client: Client, studio: Studio, filters: dict[str, Any]) -> list[dict[str, str]]:
    """The filters of each request that a run of a configured project sends."""
    entry = {"id": 101, "api_key": studio.projects[101].api_key, "filters": filters}
    config = Config.model_validate({"schedule": {"every": "20s"}, "projects": [entry]})
    found = await discover(StudioProject(client, 101, studio.projects[101].api_key), config.projects[0])
    with ThreadPoolExecutor(1) as workers:
        pipeline = Pipeline(ServiceMetrics(CollectorRegistry()), workers)
        await pipeline.run(
            Watch.of(config, config.projects[0], found.targets[0], found), ProjectTurn(client, config.projects[0])
        )
    own = {"variant", "impulseId", "category", "limit", "offset"}
    return [{name: value for name, value in request.query.items() if name not in own} for request in studio.calls(PAGE)]


@pytest.mark.parametrize("name", EVERY_FILTER)
async def test_every_filter_reaches_studio(client: Client, studio: Studio, name: str) -> None:
    """Each filter of the configuration is sent with every page, under Studio's name and as it reads it, and nothing
    else is.
    """
    written, sent, text = EVERY_FILTER[name]

    asked = await queries(client, studio, {name: written})
    assert asked
    assert all(query == {sent: text} for query in asked)
    assert set(FilterConfig.model_fields) == {*EVERY_FILTER, "metadata"}


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ([], [{"no_metadata": False}, {"filters_combinator": "and"}]),
        ([{"no_metadata": True}], [{"no_metadata": True}, {"filters_combinator": "and"}]),
        ([{"filters_combinator": "or"}], [{"filters_combinator": "or"}, {"no_metadata": False}]),
        ([{"filters_combinator": "or"}, {"no_metadata": True}], [{"filters_combinator": "or"}, {"no_metadata": True}]),
    ],
)
async def test_metadata_filters_say_how_they_combine(
    client: Client, studio: Studio, written: list[Any], options: list[Any]
) -> None:
    """Conditions on metadata always come with both options, as configured or as documented: a server's own defaults are
    not known.
    """
    sent = await queries(client, studio, {"metadata": [CONDITION, *written]})

    assert sent
    assert all([CONDITION, *options] == json.loads(query["metadata"]) for query in sent)


@pytest.mark.parametrize(("no_metadata", "combinator"), [(False, "and"), (True, "and"), (False, "or"), (True, "or")])
async def test_metadata_options_select(
    project: StudioProject, studio: Studio, no_metadata: bool, combinator: str
) -> None:
    """What comes back is what the documentation promises for the options."""
    ground = studio.ground(101)
    assert ground is not None
    conditions: list[dict[str, object]] = [
        {"key": "site", "op": "eq", "values": ["lab"]},
        {"key": "line", "op": "neq", "values": ["1"]},
    ]
    items: list[dict[str, object]] = [*conditions, {"no_metadata": no_metadata}, {"filters_combinator": combinator}]
    results = await pull(project, KEY, filters=Filters(metadata=items))

    combine = all if combinator == "and" else any
    expected = {
        sample.id
        for sample in ground.samples
        if (
            combine([sample.metadata["site"] == "lab", sample.metadata["line"] != "1"])
            if sample.metadata
            else no_metadata
        )
    }
    assert expected == set(results.sample_id.tolist())


async def test_respects_the_budgets(studio: Studio, url: str, counted: Any) -> None:
    """No more requests are in flight than allowed, over all keys and for each, while targets are pulled at once."""
    studio.latency = 0.02
    async with Client(url, counted, in_flight=3, in_flight_per_key=2) as client:
        pulls = (
            pull(StudioProject(client, number, studio.projects[number].api_key), key_of(number))
            for number in (101, 102, 103, 104)
        )
        await asyncio.gather(*pulls)

    assert 3 == studio.most_in_flight
    assert 2 == max(studio.most_in_flight_by_key.values())


@pytest.mark.parametrize("action", [NoTotal(), Limit(7), Limit(None), Elsewhere(3)], ids=repr)
async def test_older_and_odd_servers(project: StudioProject, studio: Studio, action: Any) -> None:
    """Without a total, with a limit that is not honoured, or with predictions on other pages, the set is the same."""
    expected = (await pull(project, KEY)).fingerprint()
    studio.fail(action, PAGE, times=None)

    assert expected == (await pull(project, KEY)).fingerprint()


REFUSALS = [
    (Refuse("No model testing results found, run 'startClassifyJob' first"), NoResults),
    (Status(404, "No model testing results found, run 'startClassifyJob' first"), NoResults),
    (Status(500, "No model testing results found, run 'startClassifyJob' first"), NoResults),
    (Empty(), NoResults),
    (Status(401), AuthError),
    (Status(403), AuthError),
    (Status(404), NotFound),
    (Refuse("Cannot find impulse 1"), NotFound),
    (Refuse("Something new"), InvalidReply),
    (Status(400, "Bad category"), InvalidReply),
    (Status(302), InvalidReply),
]


@pytest.mark.parametrize(("action", "error"), REFUSALS, ids=repr)
async def test_refusals_are_not_retried(
    project: StudioProject, studio: Studio, counted: Any, action: Any, error: type[StudioError]
) -> None:
    """What another attempt would not change ends the pull at once, in its state, without a secret in the text."""
    studio.fail(action, PAGE, times=None)

    with pytest.raises(error) as raised:
        await pull(project, KEY)
    assert 1 == len(studio.calls(PAGE))
    assert not counted.retries
    assert studio.projects[101].api_key not in str(raised.value) + repr(project)


PASSING = [
    (Status(429), "rate_limited", PullState.UNREACHABLE),
    (Status(500), "server_error", PullState.UNREACHABLE),
    (Status(502), "server_error", PullState.UNREACHABLE),
    (Status(503, retry_after="0"), "server_error", PullState.UNREACHABLE),
    (Truncate(0.5), "truncated", PullState.UNREACHABLE),
    (Truncate(0.0), "truncated", PullState.UNREACHABLE),
    (Reset(), "connection", PullState.UNREACHABLE),
    (Delay(120), "timeout", PullState.UNREACHABLE),
    (Body(b'{"success": true, "result": [{"sampleId"'), "truncated", PullState.UNREACHABLE),
    (Body(b"<html>hello</html>", "text/html"), "not_json", PullState.INVALID),
    (Body(b"\xff\xfe"), "not_json", PullState.INVALID),
    (Body(b'{"success": true, "result": {"a": 1}}'), "not_documented", PullState.INVALID),
    (Body(b'{"hello": "world"}'), "not_documented", PullState.INVALID),
    (Body(b"[]"), "not_documented", PullState.INVALID),
]


@pytest.mark.parametrize(("action", "reason", "state"), PASSING, ids=repr)
async def test_passing_failures_are_retried(
    project: StudioProject, studio: Studio, counted: Any, action: Any, reason: str, state: PullState
) -> None:
    """What may pass is tried again, in the middle of a pull, and the result set is whole."""
    del state
    studio.fail(action, PAGE, after=2, times=2)
    results = await pull(project, KEY)

    assert 200 == results.samples
    if not isinstance(action, Reset):  # which aiohttp itself hides, on a connection that was kept open
        assert {reason: 2} == dict(counted.retries)


@pytest.mark.parametrize(("action", "reason", "state"), PASSING, ids=repr)
async def test_lasting_failures_end_in_their_state(
    url: str, studio: Studio, counted: Any, action: Any, reason: str, state: PullState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lasts ends after a bounded number of attempts, in its state."""
    monkeypatch.setattr(client_module, "ATTEMPTS", 3)
    studio.fail(action, PAGE, times=None)
    async with Client(url, counted, timeout=60.0, backoff=0.01) as client:
        with pytest.raises(StudioError) as raised:
            await pull(StudioProject(client, 101, studio.projects[101].api_key), KEY)

    assert state is raised.value.state
    assert 3 == len(counted.requests)
    assert {reason: 2} == dict(counted.retries)


async def test_nobody_listens(counted: Any, unused_tcp_port: int) -> None:
    """A Studio that cannot be reached at all is unreachable."""
    async with Client(f"http://127.0.0.1:{unused_tcp_port}/v1", counted, backoff=0.001) as client:
        with pytest.raises(Unreachable, match="no connection"):
            await pull(StudioProject(client, 101, "ei_x"), KEY)

    assert {("result_page", "error")} == set(counted.requests)


@pytest.mark.parametrize("date", [False, True])
async def test_retry_after_is_honoured(project: StudioProject, studio: Studio, date: bool) -> None:
    """Studio's own word on when to come back counts, as seconds or as a date, and for all requests of that key."""
    begin = time.time()
    retry_after = email.utils.formatdate(begin + 20, usegmt=True) if date else "20"
    studio.fail(Status(429, retry_after=retry_after), PAGE, after=1)
    await pull(project, KEY)

    hit = next(place for place, request in enumerate(studio.calls(PAGE)) if request.faults)
    later = [request.time for request in studio.calls(PAGE)[hit + 3 :]]  # those already under way are not called back
    assert later[0] >= begin + 19.9


async def test_long_retry_after_ends_the_pull(project: StudioProject, studio: Studio) -> None:
    """A wait longer than a pull may take ends it at once, and nothing is sent with that key until the time has come."""
    studio.fail(Status(429, retry_after="3600"), PAGE)
    with pytest.raises(Unreachable, match="429"):
        await pull(project, KEY)
    with pytest.raises(Unreachable, match="Retry-After"):
        await pull(project, KEY)

    assert 1 == len(studio.calls(PAGE))


async def test_pull_has_a_deadline(project: StudioProject, studio: Studio) -> None:
    """A pull that takes too long ends, whatever it is doing."""
    studio.latency = 20
    with pytest.raises(Unreachable, match=r"longer than 30 s"):
        await pull(project, KEY, deadline=30)


async def test_key_is_not_sent_elsewhere(studio: Studio, url: str, counted: Any) -> None:
    """A redirect is refused instead of followed with the key in hand."""

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(url.removesuffix("/v1") + request.path_qs)

    app = web.Application()
    app.router.add_get("/{path:.*}", redirect)
    async with TestServer(app) as elsewhere, Client(f"{elsewhere.make_url('/v1')}", counted) as client:
        with pytest.raises(InvalidReply, match="redirected"):
            await pull(StudioProject(client, 101, studio.projects[101].api_key), KEY)

    assert [] == studio.calls()


async def test_total_that_moves_is_noticed(project: StudioProject, studio: Studio, counted: Any) -> None:
    """Another total on one page is a change, although every sample came."""
    studio.fail(Edit(lambda page: page.update(totalCount=201)), PAGE, after=3)
    results = await pull(project, KEY)

    assert 200 == results.samples
    assert {"changed": 1} == dict(counted.retries)


async def test_large_bodies_are_asked_for_in_smaller_pieces(
    project: StudioProject, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page beyond the limit of a body is not read to its end; fewer samples are asked for."""
    monkeypatch.setattr("monitor.studio.body.BODY_LIMIT", 70_000)
    monkeypatch.setattr(pull_module, "FIRST_PAGE", 100)
    results = await pull(project, KEY)

    assert 200 == results.samples
    assert [100, 20] == [int(request.query["limit"]) for request in studio.calls(PAGE)][:2]


async def test_a_sample_too_large_is_an_error(project: StudioProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single sample beyond the limit ends the pull with a sentence, not with the memory."""
    monkeypatch.setattr("monitor.studio.body.BODY_LIMIT", 100)
    with pytest.raises(InvalidReply, match="single sample"):
        await pull(project, KEY)


def threads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often which function is handed to a thread from now on, by name."""
    handed: Counter[str] = Counter()
    to_thread = asyncio.to_thread

    async def noted(function: Any, *args: Any) -> Any:
        handed[function.__name__] += 1
        return await to_thread(function, *args)

    monkeypatch.setattr(asyncio, "to_thread", noted)
    return handed


async def test_large_pages_are_decoded_off_the_loop(project: StudioProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies above the limit go through a thread, with the same result."""
    expected = (await pull(project, KEY)).fingerprint()
    monkeypatch.setattr(client_module, "ON_LOOP_LIMIT", 1000)
    handed = threads(monkeypatch)

    assert expected == (await pull(project, KEY)).fingerprint()
    assert handed["decode"] >= 2


async def test_pages_that_fill_slowly_are_added_off_the_loop(
    project: StudioProject, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns are filled on the loop by pages that take little, and in a thread by those that seem to take more."""
    expected = (await pull(project, KEY)).fingerprint()
    handed = threads(monkeypatch)
    monkeypatch.setattr(pull_module, "FILLED_ON_LOOP", 60.0)
    assert expected == (await pull(project, KEY)).fingerprint()
    assert not handed["_seconds_of_adding"]

    monkeypatch.setattr(pull_module, "FILLED_ON_LOOP", 0.0)
    begun = len(studio.calls(PAGE))
    assert expected == (await pull(project, KEY, known=expected)).fingerprint()
    assert len(studio.calls(PAGE)) - begun == handed["_seconds_of_adding"]


def first_sample(studio: Studio) -> int:
    """A sample of the first page."""
    ground = studio.ground(101)
    assert ground is not None
    return ground.samples[0].id


CHANGES: list[tuple[str, Callable[[Studio], Callable[[Any], None]]]] = [
    ("added", lambda studio: lambda project: project.add(1)),
    ("removed", lambda studio: lambda project: project.remove(first_sample(studio))),
    ("relabelled", lambda studio: lambda project: project.relabel(first_sample(studio))),
    ("rescored", lambda studio: lambda project: project.retrain()),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[name for name, _ in CHANGES])
async def test_change_while_paging_starts_again(
    project: StudioProject, studio: Studio, counted: Any, name: str, change: Any
) -> None:
    """A result set that changes once while it is paged is read until two readings agree, and is then the new one,
    whole.
    """
    del name
    studio.fail(Change(change(studio)), PAGE, after=2)
    results = await pull(project, KEY)
    again = await pull(project, KEY)

    assert again.fingerprint() == results.fingerprint()
    assert {"changed": 1} == dict(counted.retries)


@pytest.mark.parametrize(("name", "change"), CHANGES[:1] + CHANGES[3:], ids=["added", "rescored"])
async def test_set_that_keeps_changing_is_inconsistent(
    project: StudioProject, studio: Studio, counted: Any, name: str, change: Any
) -> None:
    """One that changes in every reading ends as inconsistent, after a bounded number of readings."""
    del name
    studio.fail(Change(change(studio)), PAGE, times=None)
    with pytest.raises(Inconsistent, match=r"no two of 5 readings in a row said the same"):
        await pull(project, KEY)

    assert 5 == 2 + RESTARTS
    assert counted.retries["changed"] in (4, 5)  # the first reading may be whole by itself


async def test_duplicate_samples_are_noticed(project: StudioProject, studio: Studio) -> None:
    """One sample removed and another added while paging leaves the count as it was: the duplicate or the gap tells."""

    def swap(changed: Any) -> None:
        changed.remove(first_sample(studio))
        changed.add(1)

    studio.fail(Change(swap), PAGE, after=2)
    results = await pull(project, KEY)

    assert {sample.id for sample in studio.ground(101).samples} == set(results.sample_id.tolist())  # type: ignore[union-attr]


async def test_missing_sample_is_noticed(project: StudioProject, studio: Studio) -> None:
    """Pages that are full but hold one sample in place of another, again and again, are never taken
    for the whole set.
    """

    def double(page: Any) -> None:
        page["result"][-1] = page["result"][0]
        kept = {result["sampleId"] for result in page["result"]}
        page["predictions"] = [row for row in page["predictions"] if row["sampleId"] in kept]

    studio.fail(Edit(double), PAGE, after=2, times=None)
    with pytest.raises(Inconsistent):
        await pull(project, KEY)


async def test_cancelled_pull_leaves_nothing_behind(project: StudioProject, studio: Studio) -> None:
    """Cancelling a pull ends its requests in flight; the client goes on to be used."""
    studio.latency = 0.2
    task = asyncio.create_task(pull(project, KEY))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    studio.latency = 0.0

    assert [] == [task for task in asyncio.all_tasks() if "_page" in repr(task.get_coro())]
    assert 200 == (await pull(project, KEY)).samples


def test_states_form_a_tree() -> None:
    """Every error of a pull has a state of its own."""
    errors = StudioError.__subclasses__()

    assert all(issubclass(error, MonitorError) for error in errors)
    assert len(errors) == len({error.state for error in errors}) == len(PullState) - 1

"""Each programmable failure, as a client meets it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from monitor.simulator import Studio, edits, projects
from monitor.simulator.faults import (
    Action,
    Body,
    Change,
    Delay,
    Edit,
    Elsewhere,
    Empty,
    IgnoreCategory,
    IgnoreOffset,
    Limit,
    NoPredictions,
    NoTotal,
    Refuse,
    RefuseLimit,
    RepeatPredictions,
    Reset,
    Status,
    Stream,
    Trickle,
    Truncate,
)
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.project import Project
from tests.clock import Clock

Serving = Callable[[Studio], Awaitable[Any]]
PAGE = "classify/all/result/page"


async def one(serving: Serving, action: Action, samples: int = 10, **fault: Any) -> tuple[Any, Any]:
    """A client of a studio with one project and one fault, and the project."""
    project = projects.classification(sizes={"testing": samples}, windows=2)
    studio = Studio([project])
    studio.fail(action, **fault)
    return await serving(studio), project


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 502, 503])
async def test_status_codes(code: int, serving: Serving) -> None:
    """Any status, once; then the true answer again."""
    client, project = await one(serving, Status(code))
    status, body = await client.get(project, f"{project.id}/{PAGE}")

    assert (status, body["success"]) == (code, False)
    assert (await client.page(project))["totalCount"] == 10


@pytest.mark.parametrize("value", [None, "7", "Wed, 21 Oct 2026 07:28:00 GMT"])
async def test_retry_after(value: str | None, serving: Serving) -> None:
    """`Retry-After` is absent, in seconds, or an HTTP date."""
    client, project = await one(serving, Status(429, retry_after=value))
    async with client.session.get(
        f"{client.url}/api/{project.id}/{PAGE}", headers={"x-api-key": project.api_key}
    ) as response:
        assert (response.status, response.headers.get("Retry-After")) == (429, value)


async def test_refusals(serving: Serving) -> None:
    """`success: false` with any text comes with HTTP 200."""
    client, project = await one(serving, Refuse("Deadline exceeded"))
    status, body = await client.get(project, f"{project.id}/{PAGE}")

    assert (status, body) == (200, {"success": False, "error": "Deadline exceeded"})


@pytest.mark.parametrize(
    ("content", "content_type"), [(b"<html>maintenance</html>", "text/html"), (b'{"hello": 1}', "application/json")]
)
async def test_other_bodies(content: bytes, content_type: str, serving: Serving) -> None:
    """HTML or wrong JSON comes with HTTP 200, as it was given."""
    client, project = await one(serving, Body(content, content_type))
    async with client.session.get(
        f"{client.url}/api/{project.id}/{PAGE}", headers={"x-api-key": project.api_key}
    ) as response:
        assert (response.status, response.content_type, await response.read()) == (200, content_type, content)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_truncated_bodies(encoding: str, serving: Serving) -> None:
    """A body ends before its announced length, gzipped or not."""
    client, project = await one(serving, Truncate(0.5))
    headers = {"x-api-key": project.api_key, "Accept-Encoding": encoding}
    async with client.session.get(f"{client.url}/api/{project.id}/{PAGE}", headers=headers) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_resets(serving: Serving) -> None:
    """The connection is reset, and the server lives on."""
    client, project = await one(serving, Reset(), times=2)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.session.post(
                f"{client.url}/api/{project.id}/jobs/classify", headers={"x-api-key": project.api_key}
            )

    assert (await client.page(project))["totalCount"] == 10


async def test_a_reset_is_no_orderly_end(serving: Serving) -> None:
    """On the wire the fault is a reset (RST), not the end of the stream that a server closing in order sends."""
    client, _ = await one(serving, Reset())
    address = URL(client.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /v1/api/101/impulses HTTP/1.1\r\nHost: studio\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_delays_come_before_other_faults(serving: Serving, clock: Clock) -> None:
    """A reply can be slow, and fail afterwards."""
    client, project = await one(serving, Delay(0.2))
    client.studio.fail(Status(503))
    before = clock.monotonic()
    status, _ = await client.get(project, f"{project.id}/{PAGE}")

    assert status == 503
    assert pytest.approx(0.2, abs=0.01) == clock.monotonic() - before


async def test_faults_meet_what_they_name(serving: Serving) -> None:
    """A fault meets only its call and its project, from its n-th request on, so many times; removed, it meets none."""
    first, second = projects.classification(sizes={"testing": 2}), projects.fomo(sizes={"testing": 2})
    studio = Studio([first, second])
    client = await serving(studio)
    fault = studio.fail(Status(500), call="result/page", project=first.id, after=1, times=2)
    seen = []
    for project, path in [
        (first, PAGE),
        (second, PAGE),
        (first, "impulses"),
        (first, PAGE),
        (second, PAGE),
        (first, PAGE),
        (first, PAGE),
    ]:
        seen.append((await client.get(project, f"{project.id}/{path}"))[0])
    endless = studio.fail(Status(502), call="impulses", times=None)
    seen += [(await client.get(first, f"{first.id}/impulses"))[0] for _ in range(3)]
    studio.heal(endless)
    seen.append((await client.get(first, f"{first.id}/impulses"))[0])

    assert seen == [200, 200, 200, 500, 200, 500, 200, 502, 502, 502, 200]
    assert (fault.met, endless.met) == (2, 3)
    assert [r.faults for r in studio.calls(project=first.id)][2] == (Status(500),)
    studio.heal()
    assert studio.faults == []


async def test_faults_by_project_meet_calls_without_an_id(serving: Serving) -> None:
    """The key check has no project in its path; the key says whose it is."""
    client, project = await one(serving, Status(503), project=101)

    assert (await client.get(project, "projects/api-key-info"))[0] == 503


@pytest.mark.parametrize(
    ("change", "total"),
    [
        (lambda p: p.add(1), 11),
        (lambda p: p.remove(p.ground().samples[0].id), 9),
        (lambda p: p.relabel(p.ground().samples[0].id), 10),
    ],
    ids=["added", "removed", "relabelled"],
)
async def test_the_set_changes_while_it_is_paged(change: Callable[[Any], None], total: int, serving: Serving) -> None:
    """After the second page the set is another one; the second page itself is still of the old."""
    client, project = await one(serving, Change(change), call="result/page", after=1)
    pages = [await client.page(project, limit=4, offset=offset) for offset in (0, 4, 8)]
    again = await client.page(project, limit=4)

    assert [page["totalCount"] for page in pages] == [10, 10, total]
    ids, labels = (
        [[row["sample"][name] for row in page["result"]] for page in (pages[0], again)] for name in ("id", "label")
    )
    assert (ids[0] == ids[1], labels[0] == labels[1]) == {
        11: (True, True),
        9: (False, labels[0] == labels[1]),
        10: (True, False),
    }[total]


async def test_limits_not_honoured(serving: Serving) -> None:
    """A server may cap the page size, or send everything from the offset on."""
    client, project = await one(serving, Limit(3))
    client.studio.fail(Limit(None), after=1)
    capped, all_of_it = await client.page(project, limit=5), await client.page(project, limit=5, offset=2)

    assert [len(capped["result"]), len(all_of_it["result"])] == [3, 8]
    assert capped["totalCount"] == 10


async def test_total_absent_and_empty_sets(serving: Serving) -> None:
    """`totalCount` may be absent; a result set may be empty although the call succeeds."""
    client, project = await one(serving, NoTotal())
    client.studio.fail(Empty(), after=1)
    without, empty = await client.page(project), await client.page(project)

    assert "totalCount" not in without
    assert len(without["result"]) == 10
    assert (empty["result"], empty["predictions"], empty["totalCount"]) == ([], [], 0)


async def test_predictions_on_other_pages(serving: Serving) -> None:
    """Over the whole pull each prediction comes once, but not on its sample's page."""
    client, project = await one(serving, Elsewhere(4), times=None)
    first = await client.page(project, limit=4)
    results, predictions = await client.pull(project, limit=4)
    client.studio.heal()
    _, expected = await client.pull(project, limit=4)

    assert not {row["sampleId"] for row in first["result"]} & {row["sampleId"] for row in first["predictions"]}
    assert sorted(map(str, predictions)) == sorted(map(str, expected))
    assert len(results) == 10


async def test_edits(serving: Serving) -> None:
    """Any part of a true answer can be changed in place, or all of it replaced."""

    def blank(page: Any) -> None:
        page["predictions"][0]["label"] = None

    client, project = await one(serving, Edit(blank))
    client.studio.fail(Edit(lambda page: {"success": True, "result": None}), after=1)
    edited, replaced = await client.page(project), await client.page(project)

    assert edited["predictions"][0]["label"] is None
    assert replaced == {"success": True, "result": None}


def swap(project: Project) -> None:
    """Let 20 samples leave and 20 others come."""
    assert isinstance(project, GeneratedProject)
    project.swap(20, after=10)


async def test_swaps_while_paging(serving: Serving) -> None:
    """Between two requests 20 samples leave and 20 others come: `totalCount` and first page stay, and paging on misses
    what moved up.
    """
    client, project = await one(serving, Change(swap), samples=100, call="result/page", after=2)
    before = {sample.id for sample in project.ground().samples}
    pages = [await client.page(project, limit=10, offset=offset) for offset in range(0, 100, 10)]
    read = [row["sampleId"] for page in pages for row in page["result"]]
    first = await client.page(project, limit=10)
    after = {sample.id for sample in project.ground().samples}

    assert (len(before), len(after), len(after - before)) == (100, 100, 20)
    assert {page["totalCount"] for page in pages} == {100}
    assert [row["sampleId"] for row in first["result"]] == [row["sampleId"] for row in pages[0]["result"]]
    assert len(set(read)) == len(read) == 100
    assert set(read) not in (before, after)


def test_a_swap_wants_enough_samples() -> None:
    """More samples than there are cannot be swapped, and nothing changes then."""
    project = projects.classification(sizes={"testing": 10})
    with pytest.raises(ValueError, match="10"):
        project.swap(6, after=5)

    assert len(project.ground().samples) == 10  # type: ignore[union-attr]


async def test_refused_limits(serving: Serving) -> None:
    """A limit above the server's maximum is refused with HTTP 200; one at it is served."""
    client, project = await one(serving, RefuseLimit(4), times=None)
    refused = await client.get(project, f"{project.id}/{PAGE}", limit="5")
    served = await client.page(project, limit=4)

    assert refused == (200, {"success": False, "error": "Limit must not be greater than 4"})
    assert len(served["result"]) == 4


async def test_short_pages(serving: Serving) -> None:
    """Samples without results count in `totalCount` and `offset` and are left out of pages; the truth holds the others
    only.
    """
    project = projects.classification(sizes={"testing": 60})
    project.edit(untested=0.3)
    client = await serving(Studio([project], validate=True))
    pages = [await client.page(project, limit=20, offset=offset) for offset in (0, 20, 40)]
    ids = [row["sampleId"] for page in pages for row in page["result"]]

    assert {page["totalCount"] for page in pages} == {60}
    assert all(10 <= len(page["result"]) < 20 for page in pages)
    assert ids == [sample.id for sample in project.ground().samples]  # type: ignore[union-attr]
    assert {row["sampleId"] for page in pages for row in page["predictions"]} == set(ids)


async def test_offset_ignored(serving: Serving) -> None:
    """Every page is the first, and nothing says how many there are."""
    client, project = await one(serving, IgnoreOffset(), times=None)
    client.studio.fail(NoTotal(), times=None)
    first, third = await client.page(project, limit=4), await client.page(project, limit=4, offset=8)

    assert first["predictions"] == third["predictions"]
    assert [row["sampleId"] for row in first["result"]] == [row["sampleId"] for row in third["result"]]
    assert "totalCount" not in third


async def test_repeated_predictions(serving: Serving) -> None:
    """Each page has its own samples and the predictions of all of them."""
    client, project = await one(serving, RepeatPredictions(), times=None)
    pages = [await client.page(project, limit=4, offset=offset) for offset in (0, 4, 8)]
    everyone = [sample.id for sample in project.ground().samples for _ in sample.windows]

    assert [len(page["result"]) for page in pages] == [4, 4, 2]
    assert all([row["sampleId"] for row in page["predictions"]] == everyone for page in pages)


async def test_predictions_empty(serving: Serving) -> None:
    """`result` is full and `predictions` empty."""
    client, project = await one(serving, NoPredictions())
    page = await client.page(project)

    assert (len(page["result"]), page["predictions"], page["totalCount"]) == (10, [], 10)


async def test_category_ignored(serving: Serving) -> None:
    """Whatever category was asked for, testing samples come, and say so; without the fault it is the one asked for."""
    project = projects.classification(sizes={"testing": 4, "training": 6})
    studio = Studio([project])
    fault = studio.fail(IgnoreCategory(), times=None)
    client = await serving(studio)
    ignored = await client.page(project, category="training")
    studio.heal(fault)
    honoured = await client.page(project, category="training")

    assert [row["sample"]["category"] for row in ignored["result"]] == ["testing"] * 4
    assert [row["sample"]["category"] for row in honoured["result"]] == ["training"] * 6


async def test_samples_of_another_category(serving: Serving) -> None:
    """Single samples of a page say that they are of another category."""
    client, project = await one(serving, edits.other_category("training", every=5))
    page = await client.page(project)

    assert [place for place, row in enumerate(page["result"]) if row["sample"]["category"] == "training"] == [0, 5]


async def raw(client: Any, project: Any, path: str = PAGE) -> bytes:
    """The bytes of one reply."""
    url = f"{client.url}/api/{project.id}/{path}".rstrip("/")
    async with client.session.get(url, headers={"x-api-key": project.api_key}) as response:
        body: bytes = await response.read()
    return body


@pytest.mark.parametrize("field", ["filename", "deviceName", "label", "projectOwnerName", "metadata"])
async def test_lone_surrogates(field: str, serving: Serving) -> None:
    """Half an emoji at the end of a text, which JSON can say and UTF-8 cannot; the rest of the page is true."""
    client, project = await one(serving, edits.surrogates(field, every=5), times=None)
    body = await raw(client, project)
    page = json.loads(body)
    client.studio.heal()
    true = await client.page(project)

    def texts(page: Any) -> list[str]:
        values = [row["sample"][field] for row in page["result"]]
        return [";".join(value.values()) if field == "metadata" else value for value in values]

    changed = [(place, text) for place, text in enumerate(texts(page)) if text != texts(true)[place]]
    assert b"\\ud83d" in body
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)
    assert [place for place, _ in changed] == [0, 5]
    assert all(
        text.endswith(edits.SURROGATE) and text.replace(edits.SURROGATE, "") == texts(true)[place]
        for place, text in changed
    )
    if field == "label":
        marked = {row["sampleId"] for row in page["predictions"] if row["label"].endswith(edits.SURROGATE)}
        assert marked == {page["result"][place]["sampleId"] for place in (0, 5)}


async def test_byte_order_marks_and_escapes(serving: Serving) -> None:
    """A body may begin with a byte-order mark, and may write every character as an escape; its
    content is the true one.
    """
    project = projects.keywords(sizes={"testing": 10})
    studio = Studio([project])
    client = await serving(studio)
    project.fresh_media = False
    true = await raw(client, project)
    studio.fail(edits.byte_order_mark())
    studio.fail(edits.escaped(), after=1)
    marked, plain = await raw(client, project), await raw(client, project)

    assert marked == b"\xef\xbb\xbf" + true
    assert "こんにちは" in true.decode()
    assert plain.isascii()
    assert json.loads(plain) == json.loads(true)


async def test_nesting(serving: Serving) -> None:
    """An unknown field is thousands of lists deep."""
    client, project = await one(serving, edits.nested(5000))

    assert b"[" * 5000 + b"]" * 5000 in await raw(client, project)


@pytest.mark.parametrize("name", edits.SIDE_TYPES)
async def test_side_types(name: str, serving: Serving) -> None:
    """A side field has another JSON type; whoever converts it back where that is possible has the true reply."""
    project = (
        projects.fomo(sizes={"testing": 10})
        if "box" in name or "dimensions" in name
        else projects.classification(sizes={"testing": 10})
    )
    project.fresh_media = False
    side = edits.SIDE_TYPES[name]
    studio = Studio([project])
    studio.fail(edits.side_types(name), call=side.call)
    client = await serving(studio)
    path = PAGE if side.call == "result/page" else ""
    changed, true = json.loads(await raw(client, project, path)), json.loads(await raw(client, project, path))
    differences = list(differing(changed, true))

    assert differences
    assert all(type(one) is not type(other) or name.endswith("beyond") for one, other in differences)
    if side.same and name not in ("nulls", "added-milliseconds"):
        assert all(float(one) == float(other) for one, other in differences)
    if name == "added-milliseconds":
        assert all(
            datetime.fromtimestamp(one / 1000, UTC) == datetime.fromisoformat(other) for one, other in differences
        )


def differing(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """The values in which two decoded replies differ; None stands for what only one of them has."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one.keys() | other.keys():
            yield from differing(one.get(name), other.get(name))
    elif isinstance(one, list) and isinstance(other, list):
        for left, right in itertools.zip_longest(one, other, fillvalue="nothing"):
            yield from differing(left, right)
    elif one != other or type(one) is not type(other):
        yield one, other


async def test_all_side_types_at_once(serving: Serving) -> None:
    """Without a name, every side field of a page has another type."""
    client, project = await one(serving, edits.side_types())
    page = await client.page(project)
    sample, entry = page["result"][0]["sample"], page["result"][0]["classifications"][0]

    assert (page["totalCount"], sample["deviceName"], sample["metadata"], entry["learnBlock"]["id"]) == (
        "10.0",
        7,
        [1, 2],
        2**63,
    )


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (projects.fomo, ("objectDetectionLastLayer",)),
        (projects.visual_anomaly, ("maxScore", "meanScore")),
        (projects.kmeans, ("learnBlock",)),
    ],
    ids=["last layer", "scores", "learn block"],
)
async def test_optional_fields_absent(make: Any, names: tuple[str, ...], serving: Serving) -> None:
    """Optional fields are absent wherever they stood, and nothing else is."""
    project = make(sizes={"testing": 5})
    project.fresh_media = False
    studio = Studio([project])
    studio.fail(edits.without(*names))
    client = await serving(studio)
    without, true = await raw(client, project), await raw(client, project)

    assert all(f'"{name}"'.encode() in true and f'"{name}"'.encode() not in without for name in names)
    assert [one for one, _ in differing(json.loads(without), json.loads(true)) if one is not None] == []


async def test_nan_in_debug_info(serving: Serving) -> None:
    """One image in five has a NaN among its distances, which its matching does not depend on."""
    project = projects.fomo(sizes={"testing": 10})
    studio = Studio([project])
    studio.fail(edits.nan_in_debug_info(every=5))
    page = await (await serving(studio)).page(project)
    texts = [row["classifications"][0]["structuredResult"][0]["debugInfoJson"] for row in page["result"]]
    counts = [len(json.loads(text)["assignments"]) for text in texts]

    assert [place for place, text in enumerate(texts) if "NaN" in text] == [0, 5]
    assert counts == [len(sample.windows[0].fomo.assignments) for sample in project.ground().samples]  # type: ignore[union-attr]


async def test_classes_that_differ_from_window_to_window(serving: Serving) -> None:
    """No two windows share a class name."""
    client, project = await one(serving, edits.endless_classes())
    page = await client.page(project)
    names = [name for row in page["result"] for window in row["classifications"][0]["result"] for name in window]

    assert len(set(names)) == len(names) == 10 * 2 * 4


async def test_trickled_bodies(serving: Serving, clock: Clock) -> None:
    """A body comes a few bytes at a time, and whole in the end."""
    client, project = await one(serving, Trickle(0.02, size=50), call="impulses")
    before = clock.monotonic()
    slow = await raw(client, project, "impulses")
    took = clock.monotonic() - before
    fast = await raw(client, project, "impulses")

    assert slow == fast
    assert pytest.approx(0.02 * math.ceil(len(slow) / 50), abs=0.005) == took


async def test_a_client_that_leaves_is_no_error(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """Who hangs up in the middle of a body costs the simulator no line in its log, and the next one is answered."""
    client, project = await one(serving, Trickle(0.01, size=20), call="impulses")
    url = f"{client.url}/api/{project.id}/impulses"
    async with aiohttp.ClientSession() as session:
        response = await session.get(url, headers={"x-api-key": project.api_key})
        await response.content.read(20)
        response.close()
    while client.studio._in_flight:
        await asyncio.sleep(0)
    body = await raw(client, project, "impulses")

    assert json.loads(body)["success"]
    assert [] == [record.getMessage() for record in caplog.records if record.name == "aiohttp.server"]


@pytest.mark.parametrize("size", [70_000, 2**17])
async def test_streams_have_their_size(size: int, serving: Serving) -> None:
    """A stream with a size ends after so many blanks."""
    client, project = await one(serving, Stream(size))

    async with client.session.get(
        f"{client.url}/api/{project.id}/{PAGE}", headers={"x-api-key": project.api_key}
    ) as response:
        assert b" " * size == await response.read()

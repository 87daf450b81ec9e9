"""Each programmable failure, as a client meets it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from monitor.simulator import Studio, projects
from monitor.simulator.faults import (
    Action,
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
    async with client.session.get(f"{client.url}/api/{project.id}/{PAGE}", headers={"x-api-key": project.api_key}) as response:
        assert (response.status, response.headers.get("Retry-After")) == (429, value)


async def test_refusals(serving: Serving) -> None:
    """`success: false` with any text comes with HTTP 200."""
    client, project = await one(serving, Refuse("Deadline exceeded"))
    status, body = await client.get(project, f"{project.id}/{PAGE}")

    assert (status, body) == (200, {"success": False, "error": "Deadline exceeded"})


@pytest.mark.parametrize(("content", "content_type"), [(b"<html>maintenance</html>", "text/html"), (b'{"hello": 1}', "application/json")])
async def test_other_bodies(content: bytes, content_type: str, serving: Serving) -> None:
    """HTML or wrong JSON comes with HTTP 200, as it was given."""
    client, project = await one(serving, Body(content, content_type))
    async with client.session.get(f"{client.url}/api/{project.id}/{PAGE}", headers={"x-api-key": project.api_key}) as response:
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
            await client.session.post(f"{client.url}/api/{project.id}/jobs/classify", headers={"x-api-key": project.api_key})

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


async def test_delays_come_before_other_faults(serving: Serving) -> None:
    """A reply can be slow, and fail afterwards."""
    client, project = await one(serving, Delay(0.2))
    client.studio.fail(Status(503))
    before = time.perf_counter()
    status, _ = await client.get(project, f"{project.id}/{PAGE}")

    assert status == 503
    assert time.perf_counter() - before >= 0.2


async def test_faults_meet_what_they_name(serving: Serving) -> None:
    """A fault meets only its call and its project, from its n-th request on, so many times; removed, it meets none."""
    first, second = projects.classification(sizes={"testing": 2}), projects.fomo(sizes={"testing": 2})
    studio = Studio([first, second])
    client = await serving(studio)
    fault = studio.fail(Status(500), call="result/page", project=first.id, after=1, times=2)
    seen = []
    for project, path in [(first, PAGE), (second, PAGE), (first, "impulses"), (first, PAGE), (second, PAGE), (first, PAGE), (first, PAGE)]:
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
    [(lambda p: p.add(1), 11), (lambda p: p.remove(p.ground().samples[0].id), 9), (lambda p: p.relabel(p.ground().samples[0].id), 10)],
    ids=["added", "removed", "relabelled"],
)
async def test_the_set_changes_while_it_is_paged(change: Callable[[Any], None], total: int, serving: Serving) -> None:
    """After the second page the set is another one; the second page itself is still of the old."""
    client, project = await one(serving, Change(change), call="result/page", after=1)
    pages = [await client.page(project, limit=4, offset=offset) for offset in (0, 4, 8)]
    again = await client.page(project, limit=4)

    assert [page["totalCount"] for page in pages] == [10, 10, total]
    ids, labels = ([[row["sample"][name] for row in page["result"]] for page in (pages[0], again)] for name in ("id", "label"))
    assert (ids[0] == ids[1], labels[0] == labels[1]) == {11: (True, True), 9: (False, labels[0] == labels[1]), 10: (True, False)}[total]


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

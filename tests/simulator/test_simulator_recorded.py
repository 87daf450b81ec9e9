"""Recorded result sets as projects."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.simulator import RecordingError, Studio, load_recorded, projects, replies

Serving = Callable[[Studio], Awaitable[Any]]
EXAMPLE = Path(__file__).parents[1] / "data" / "studio-api-page.json"


def pages(limit: int = 4) -> list[bytes]:
    """Pages of a set of ten samples, as recorded from a server."""
    project = projects.kmeans(sizes={"testing": 10})
    studio = Studio([project])
    return [
        replies.page(studio, project, {"limit": str(limit), "offset": str(offset)}) for offset in range(0, 10, limit)
    ]


def merged(bodies: list[bytes]) -> tuple[list[Any], list[Any]]:
    """Results and predictions of all pages."""
    decoded = [json.loads(body) for body in bodies]
    return [row for page in decoded for row in page["result"]], [row for page in decoded for row in page["predictions"]]


@pytest.mark.parametrize("form", ["folder", "list", "page"])
async def test_what_was_recorded_is_served(form: str, tmp_path: Path, serving: Serving) -> None:
    """A folder of pages, a list of them in one file, and one page alike give the recorded set, whatever page size is
    asked for.
    """
    bodies = pages(limit=20 if form == "page" else 4)
    if form == "folder":
        for place, body in enumerate(bodies):
            (tmp_path / f"{place}.json").write_bytes(body)
        path = tmp_path
    else:
        path = tmp_path / "recorded.json"
        path.write_bytes(b"[" + b",".join(bodies) + b"]" if form == "list" else bodies[0])
    project = load_recorded(path)
    client = await serving(Studio([project], validate=True))

    assert await client.pull(project, limit=3) == merged(bodies)
    assert (project.id, project.name) == (103, "vibration-press-line")
    _, impulses = await client.get(project, f"{project.id}/impulses")
    assert [block["type"] for block in impulses["impulses"][0]["learnBlocks"]] == ["keras", "anomaly"]
    body = (await client.page(project, labels='["idle"]', limit=20))["result"]
    assert [row["sampleId"] for row in body] == [
        row["sampleId"] for row in merged(bodies)[0] if row["sample"]["label"] == "idle"
    ]
    status, training = await client.get(project, f"{project.id}/training/training/none")
    assert (status, training["success"]) == (404, False)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte-order mark"])
async def test_a_text_cut_inside_an_emoji(mark: bytes, tmp_path: Path, serving: Serving) -> None:
    """A recording with lone surrogates, in texts that are read here and in others, is served with them."""
    page = json.loads(pages(limit=20)[0])
    page["result"][3]["sample"] |= {"filename": "clip \ud83d", "deviceName": "\ude00"}
    page["predictions"][3]["label"] = "idle \ud83d"
    path = tmp_path / "recorded.json"
    path.write_bytes(mark + json.dumps(page).encode())
    client = await serving(Studio([load_recorded(path)]))

    served = await client.pull(load_recorded(path), limit=3)

    assert served == (page["result"], page["predictions"])


async def test_the_vendors_example_can_be_served(serving: Serving) -> None:
    """The documentation's example page goes through unchanged."""
    project = load_recorded(EXAMPLE)
    client = await serving(Studio([project], validate=True))
    page, example = await client.page(project), json.loads(EXAMPLE.read_bytes())

    assert page["result"] == example["result"]
    assert page["predictions"] == example["predictions"]
    assert (project.id, page["totalCount"]) == (123, 1)


async def test_only_the_recorded_category_and_variant_have_results(serving: Serving) -> None:
    """What was not recorded is `success: false`, not an empty set."""
    project = load_recorded(EXAMPLE, category="training", variant="float32")
    client = await serving(Studio([project]))

    assert (await client.page(project, category="training", variant="float32"))["totalCount"] == 1
    for query in ({"category": "training", "variant": "int8"}, {"variant": "float32"}):
        _, body = await client.get(project, f"{project.id}/classify/all/result/page", **query)
        assert body["success"] is False


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<html>", "not a page"),
        ('{"success": true, "result": [{"sample": {}}]}', "sampleId"),
        ('{"success": true, "result": []}', "no results"),
        ('{"success": false, "error": "no"}', "success: false"),
        (
            '[{"success": true, "result": [{"sampleId": 1}]}, {"success": true, "result": [{"sampleId": 1}]}]',
            "sample 1 was recorded twice",
        ),
    ],
)
def test_files_that_are_no_recording(content: str, words: str, tmp_path: Path) -> None:
    """A file that cannot be served is named, with what is wrong with it."""
    path = tmp_path / "recorded.json"
    path.write_text(content)

    with pytest.raises(RecordingError, match=words) as caught:
        load_recorded(path)
    assert str(path) in str(caught.value)

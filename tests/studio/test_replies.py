"""Replies that once went wrong, over HTTP, and the columns they stand for. The pages in `data/replies` were made for
this.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from monitor.results import BlockKind, ResultSet
from monitor.studio import pull as pull_module
from monitor.studio.client import Client
from monitor.studio.columns import ColumnBuilder
from monitor.studio.project import StudioProject
from monitor.studio.pull import pull
from monitor.targets import TargetKey

REPLIES = Path(__file__).parent.parent / "data" / "replies"


@asynccontextmanager
async def served(body: bytes) -> AsyncIterator[str]:
    """A Studio whose whole result set is this page."""

    async def page(request: web.Request) -> web.Response:
        empty = b'{"success": true, "result": [], "predictions": []}'
        return web.Response(body=body if request.query["offset"] == "0" else empty, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/api/1/classify/all/result/page", page)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


async def pulled(body: bytes, counted: Any) -> ResultSet:
    """What a pull makes of a result set that is this page."""
    async with served(body) as url, Client(url, counted, timeout=120, backoff=0.01) as client:
        return await pull(StudioProject(client, 1, "ei_key"), TargetKey(1, 1, "int8", "testing"))


async def reply(name: str, counted: Any) -> ResultSet:
    """What a pull makes of one of the pages beside."""
    return await pulled((REPLIES / f"{name}.json").read_bytes(), counted)


@pytest.mark.parametrize("field", ["filename", "label", "metadata"])
async def test_surrogates(field: str, counted: Any) -> None:
    """A text that JavaScript cut inside an emoji costs neither the page nor a sample."""
    results = await reply(f"surrogate-in-{field}", counted)

    assert (40, 40) == (results.samples, results.windows)
    assert (field == "label") == any("\ufffd" in label for label in results.labels)
    assert not counted.retries
    assert {"200"} == {code for _, code in counted.requests}


async def test_fomo_without_a_last_layer(counted: Any) -> None:
    """Debug information with centroids says that a detector is FOMO where no last layer does; its figures are those of
    its matching.
    """
    results = await reply("fomo-unnamed", counted)

    assert [BlockKind.FOMO] == [block.kind for block in results.blocks]
    fomo = results.fomo
    assert fomo is not None
    whole = 2 * fomo.true_positives + fomo.false_positives + fomo.false_negatives
    assert 0.95 == pytest.approx(np.mean(np.where(whole > 0, 2 * fomo.true_positives / np.maximum(whole, 1), 1)))


async def test_nan_in_debug_information(counted: Any) -> None:
    """A NaN, as Python's json writes it, in a member of one image's debug information leaves that image's counts."""
    fomo = (await reply("fomo-nan-in-debug-info", counted)).fomo

    assert fomo is not None
    assert 60 == int((fomo.true_positives >= 0).sum())
    hits, extra, missed = (
        int(column.sum()) for column in (fomo.true_positives, fomo.false_positives, fomo.false_negatives)
    )
    assert (1.0, pytest.approx(2 / 3), pytest.approx(0.8)) == (
        hits / (hits + extra),
        hits / (hits + missed),
        2 * hits / (2 * hits + extra + missed),
    )
    assert not counted.fields


async def test_class_called_anomaly(counted: Any) -> None:
    """A class named `anomaly`, in an impulse without an anomaly block, is a class like another."""
    results = await reply("class-called-anomaly", counted)

    confidences = results.confidences[2]
    assert ("anomaly", "normal") == confidences.classes
    truth = np.array([confidences.classes.index(name) for name in results.labels])[results.label]
    brier = ((confidences.values - np.eye(2)[truth]) ** 2).sum(axis=1).mean()
    assert 0.35231255589999966 == pytest.approx(brier)


async def test_visual_anomaly_without_a_maximum(counted: Any) -> None:
    """Where the maximum is not sent it is that of the grid."""
    scores = (await reply("visual-anomaly-without-maximum", counted)).anomaly[3]

    assert 6.288995 == pytest.approx(scores.mean())
    assert 0.5166666666666667 == pytest.approx((scores > 6.0).mean())


async def test_labels_of_a_regression_stay_as_written(counted: Any) -> None:
    """Numbers as people write them into file names arrive as they are; what they mean is the figures' to say."""
    results = await reply("regression-labels-as-written", counted)

    assert {"000.50", "4.5"} <= set(results.labels)
    labels = np.array([float(label) for label in results.labels])
    assert 1.0 == pytest.approx(np.abs(labels[results.label] - labels[results.prediction]).mean())


def spelled(page: bytes, how: str) -> bytes:
    """The same content in another spelling."""
    document = json.loads(page)
    if how == "escaped":
        return json.dumps(document).encode()
    if how == "keys":
        return json.dumps(turned(document), ensure_ascii=False).encode()
    return b"\xef\xbb\xbf" + json.dumps(document, ensure_ascii=False, indent=1).encode()


def turned(value: Any) -> Any:
    """With the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("how", ["escaped", "keys", "mark"])
async def test_two_spellings_are_one_content(how: str, counted: Any) -> None:
    """`é` against its escape, keys in another order, white space and a byte-order mark: the same result set."""
    page = (
        (REPLIES / "surrogate-in-label.json")
        .read_bytes()
        .replace(rb"\ud83d", "é".encode())
        .replace(b"snake", "sn\u00e4ke".encode())
    )

    assert (await pulled(page, counted)).fingerprint() == (await pulled(spelled(page, how), counted)).fingerprint()


async def test_side_types_are_counted(counted: Any) -> None:
    """What a reply's field cannot mean is counted by field, whether the client or the columns found it."""
    page = json.loads((REPLIES / "surrogate-in-filename.json").read_bytes())
    page["result"][0]["sample"] |= {"imageDimensions": [], "added": "soon"}
    page["result"][1]["classifications"][0]["thresholds"] = "high"
    results = await pulled(json.dumps(page).encode(), counted)

    assert 40 == results.samples
    assert {"image_dimensions", "added", "thresholds"} == set(counted.fields)
    assert {"min_score": 0.6} == results.blocks[0].thresholds


@pytest.mark.parametrize(("most", "on_loop"), [(0.0, False), (60.0, True)])
async def test_columns_are_filled_beside_the_loop(
    counted: Any, monkeypatch: pytest.MonkeyPatch, most: float, on_loop: bool
) -> None:
    """A page's rows are taken over in a thread where that seems to take longer than the event loop may be held up."""
    monkeypatch.setattr(pull_module, "FILLED_ON_LOOP", most)
    threads = set()
    add: Callable[..., None] = ColumnBuilder.add

    def noted(builder: ColumnBuilder, page: Any) -> None:
        threads.add(threading.current_thread())
        add(builder, page)

    monkeypatch.setattr(ColumnBuilder, "add", noted)
    await reply("class-called-anomaly", counted)

    assert threads
    assert on_loop == (threading.main_thread() in threads)

"""`docs/store-format.md`: what it says of the tables, the columns and their size, and its program, which knows nothing
of the monitor.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.errors import PullState
from monitor.results import Block, BlockKind, Boxes, Categorical, Confidences, FomoCounts, Points, ResultSet
from monitor.store import Store
from monitor.store.columns import encode
from monitor.store.migrate import newest_version
from monitor.store.schema import VERSION_TABLE, metadata
from tests import factories
from tests.store.store_sets import COMPARISON, EVALUATION, TARGET, add, result_set, run

DOCUMENT = (Path(__file__).parents[2] / "docs" / "store-format.md").read_text()
SAMPLES = 10_000


async def test_program(sqlite: str) -> None:
    """The document's own program reads the newest good result set from the file of a running store."""
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    content = result_set(seed=7)
    async with Store(sqlite) as store:
        await add(store, run(1), result_set(seed=6))
        await add(store, replace(run(2), evaluation=EVALUATION, comparison=COMPARISON), content)
        await add(store, run(3, PullState.AUTH))
        await add(store, run(4, target_id="other"), result_set(seed=8))
        done = subprocess.run(
            [sys.executable, "-I", "-c", program, sqlite.removeprefix("sqlite:///"), TARGET],
            capture_output=True,
            text=True,
            check=False,
        )

    scored = content.correct >= 0
    counts = np.bincount(content.prediction, minlength=4)
    lines = [
        f"accuracy {content.correct[scored].mean()}",
        *(f"{label} {count}" for label, count in zip(content.labels, counts, strict=True)),
    ]
    assert ("", lines) == (done.stderr, done.stdout.splitlines())
    assert not re.search(r"^\s*(import|from) monitor", program, re.MULTILINE)


def test_tables() -> None:
    """The document names every table and every column, and the version that the migrations lead to."""
    for table in metadata.sorted_tables:
        assert f"**`{table.name}`**" in DOCUMENT
        section = DOCUMENT.split(f"**`{table.name}`**")[1].split("**`")[0].split("\n## ")[0]
        for column in table.columns:
            assert f"`{column.name}`" in section, (table.name, column.name)
    assert f"`{VERSION_TABLE}.version_num` is the version of the tables: `{newest_version()}`" in DOCUMENT


def test_columns() -> None:
    """The document names every column that a result set can have, with its number of dimensions, and every key of the
    manifest.
    """
    with zipfile.ZipFile(io.BytesIO(encode(everything()))) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        shapes = {name: np.load(io.BytesIO(archive.read(f"{name}.npy"))).ndim for name in manifest["columns"]}
    documented = documented_columns()

    assert {
        re.sub(r"^(confidences|anomaly)/\d+$", r"\1/B", re.sub(r"^metadata/\d+$", "metadata/I", name)): ndim
        for name, ndim in shapes.items()
    } == documented
    for key in (*manifest, *manifest["tables"], *manifest["blocks"][0]):
        assert f"`{key}`" in DOCUMENT, key


def documented_columns() -> dict[str, int]:
    """Columns by name, with their number of dimensions, from the table of the document."""
    found: dict[str, int] = {}
    table = DOCUMENT.split("| column | shape | |\n")[1].split("\n\n")[0]
    for line in table.splitlines()[1:]:
        names, shapes = line.split(" | ")[:2]
        last = ""
        for place, name in enumerate(re.findall(r"`([^`]+)`", names)):
            if name.startswith("/"):
                name = last.rpartition("/")[0] + name
            of = shapes.split("; ")
            part = (
                {"owner": 0, "label": 1, "xywh": 2, "xy": 2, "score": 3}.get(name.rpartition("/")[2], place)
                if len(of) > 1
                else 0
            )
            found[name] = of[part].count(",") + 1
            last = name
    return found


def everything() -> ResultSet:
    """A result set with every column there is."""
    images, windows = images_with_boxes(10), classifier(10, lambda values: values)
    owner, code = np.zeros(1, np.int32), np.zeros(1, np.int8)
    points, counts = Points(owner, code, np.zeros((1, 2))), np.zeros(10, np.int64)
    return replace(
        images,
        blocks=(*images.blocks, *windows.blocks),
        confidences={3: Confidences(windows.confidences[3].classes, np.zeros((10, 5)))},
        anomaly={9: np.zeros(10)},
        metadata={"site": Categorical.encode(["lab"] * 10)},
        expected_anomaly=np.zeros(10, np.int8),
        fomo=FomoCounts(counts, counts, counts, np.zeros(10), points, points),
    )


def frame(samples: int, rng: np.random.Generator) -> dict[str, Any]:
    """The columns of samples."""
    days = rng.integers(0, 300, samples)
    kinds = rng.integers(2**24, 2**28, samples)
    names = [f"five.{kind:x}.s{day:03}.{number:05}" for number, (kind, day) in enumerate(zip(kinds, days, strict=True))]
    return {
        "filename": Categorical.encode(names),
        "sample_id": 100_000 + np.cumsum(rng.integers(1, 5, samples)),
        "added": np.datetime64("2026-01-02T03:04:05.006", "ms")
        + np.cumsum(rng.integers(1, 60_000, samples)).astype("timedelta64[ms]"),
        "device": Categorical.encode([("one", "two", "three")[number] for number in rng.integers(0, 3, samples)]),
    }


def classifier(samples: int, rounded: Any) -> ResultSet:
    """Five classes, ten overlapping windows per sample, right in some 85 %, with confidences as a kind of model gives
    them.
    """
    rng = np.random.default_rng(1)
    labels = ("five", "four", "one", "three", "two")
    label = np.repeat(rng.integers(0, 5, samples), 10)
    logits = (
        rng.normal(size=(10 * samples, 5))
        + np.repeat(rng.normal(size=(samples, 5)), 10, axis=0)
        + 3.5 * np.eye(5)[label]
    )
    confidences = rounded(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    prediction = confidences.argmax(axis=1)
    return factories.result_set(
        **frame(samples, rng),
        blocks=(Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.6}),),
        labels=labels,
        sample=np.arange(samples, dtype=np.int16).repeat(10),
        start_ms=np.tile(np.arange(0, 5000, 500, dtype=np.int16), samples),
        end_ms=np.tile(np.arange(1000, 6000, 500, dtype=np.int16), samples),
        label=label.astype(np.int8),
        prediction=prediction.astype(np.int8),
        correct=(label == prediction).astype(np.int8),
        confidences={3: Confidences(labels, confidences)},
    )


def images_with_boxes(samples: int) -> ResultSet:
    """Images of 640 x 480 with five labelled boxes in whole pixels, and six predicted ones near them in float32."""
    rng = np.random.default_rng(2)
    corner, size = rng.integers(0, 320, (5 * samples, 2)), rng.integers(10, 160, (5 * samples, 2))
    truth = np.hstack([corner, size]).astype(np.float64)
    owner = np.arange(samples, dtype=np.int16)
    label = rng.integers(0, 3, 5 * samples).astype(np.int8)
    near = truth.reshape(samples, 5, 4)[:, [0, 1, 2, 3, 4, 0]].reshape(-1, 4) + rng.normal(0, 4, (6 * samples, 4))
    score = rng.beta(5, 2, 6 * samples).astype(np.float32).astype(np.float64)
    return factories.result_set(
        **frame(samples, rng),
        blocks=(Block(4, "keras-object-detection", BlockKind.DETECTION, "Boxes"),),
        labels=("car", "dog", "person"),
        image_size=np.tile(np.array([640, 480], np.int32), (samples, 1)),
        sample=owner,
        start_ms=np.full(samples, -1, np.int8),
        end_ms=np.full(samples, -1, np.int8),
        label=np.full(samples, -1, np.int8),
        prediction=np.full(samples, -1, np.int8),
        correct=np.full(samples, -1, np.int8),
        truth=Boxes(owner.repeat(5), label, truth),
        detections=Boxes(
            owner.repeat(6),
            label.reshape(samples, 5)[:, [0, 1, 2, 3, 4, 0]].ravel(),
            (near / [640, 480, 640, 480]).astype(np.float32).astype(np.float64),
            score,
        ),
        reported_map=rng.random(samples),
        reported_f1=np.round(rng.random(samples), 4),
    )


SIZES = {
    "10 windows, 5 classes, float32": lambda: classifier(
        SAMPLES, lambda values: values.astype(np.float32).astype(np.float64)
    ),
    "10 windows, 5 classes, 4 decimals": lambda: classifier(SAMPLES, lambda values: values.round(4)),
    "10 windows, 5 classes, int8": lambda: classifier(
        SAMPLES, lambda values: (values * 256).round().clip(0, 255) / 256
    ),
    "image, 5 labelled and 6 predicted boxes": lambda: images_with_boxes(SAMPLES),
}
"""What the document tells the size of."""


@pytest.mark.parametrize("what", SIZES)
def test_sizes(what: str) -> None:
    """The bytes per sample are what the document says, to 3 % (another zlib may differ by as much)."""
    told = re.search(rf"^\| {re.escape(what)} \| (\d+) \| (\d+) \|$", DOCUMENT, re.MULTILINE)
    results = SIZES[what]()
    stored, held = len(encode(results)) / SAMPLES, results.nbytes() / SAMPLES
    assert told is not None, (what, stored, held)

    assert int(told[1]) == pytest.approx(stored, rel=0.03)
    assert int(told[2]) == pytest.approx(held, rel=0.03)

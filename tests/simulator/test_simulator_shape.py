"""The simulator's replies have the documented shape, and the check of that can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.simulator import Studio, projects, replies
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.kinds import BoxDetector, Freeform
from monitor.simulator.shape import validate
from monitor.simulator.shape_results import Page

EXAMPLE = Path(__file__).parents[1] / "data" / "studio-api-page.json"


def example() -> Any:
    """The vendor's example page, decoded."""
    return json.loads(EXAMPLE.read_bytes())


def test_the_vendors_example_is_valid() -> None:
    """The page printed in the vendor's documentation passes the strict models."""
    page = validate("result/page", EXAMPLE.read_bytes())

    assert page.success


def every_object(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all JSON objects whose fields are documented (not those keyed by label)."""
    found = []
    if isinstance(value, dict):
        if path[-2:-1] != ("result",) or "sampleId" in value:
            found.append(path)
        for key, item in value.items():
            if key != "metadata":
                found += every_object(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            found += every_object(item, (*path, place))
    return found


def reach(value: Any, path: tuple[Any, ...]) -> Any:
    """The item at a path."""
    for step in path:
        value = value[step]
    return value


@pytest.mark.parametrize("path", every_object(example()), ids=lambda path: "/".join(map(str, path)))
def test_no_object_takes_an_unknown_field(path: tuple[Any, ...]) -> None:
    """An undocumented field anywhere in a page is an error."""
    page = example()
    reach(page, path)["surprise"] = 1

    with pytest.raises(msgspec.ValidationError, match="surprise"):
        validate("result/page", json.dumps(page).encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("result", 0, "sample", "category"), "production"),
        (("result", 0, "sample", "added"), "yesterday"),
        (("result", 0, "sample", "boundingBoxes", 0, "x"), 0.5),
        (("result", 0, "classifications", 0, "thresholds", 0, "value"), None),
        (("result", 0, "classifications", 0, "structuredResult", 0, "debugInfoJson"), "{}"),
        (("predictions", 0, "prediction"), 1),
        (("predictions", 0, "boundingBoxes", 0, "score"), "high"),
        (("totalCount",), "12"),
    ],
)
def test_wrong_values_are_refused(path: tuple[Any, ...], value: object) -> None:
    """A value of another type than documented is an error."""
    page = example()
    reach(page, path[:-1])[path[-1]] = value

    with pytest.raises(msgspec.ValidationError):
        validate("result/page", json.dumps(page).encode())


@pytest.mark.parametrize("field", ["sampleId", "prediction", "startMs"])
def test_missing_fields_are_refused(field: str) -> None:
    """A required field that is missing is an error."""
    page = example()
    del page["predictions"][0][field]

    with pytest.raises(msgspec.ValidationError, match=field):
        validate("result/page", json.dumps(page).encode())


def test_a_refusal_must_say_why() -> None:
    """`success: false` without `error` is an error; with it, nothing else is needed."""
    assert validate("result/page", b'{"success":false,"error":"no"}').error == "no"

    with pytest.raises(msgspec.ValidationError, match="error"):
        validate("result/page", b'{"success":false}')


@pytest.mark.parametrize("api", ["older", "documented", "newer"])
@pytest.mark.parametrize("make", projects.KINDS, ids=lambda make: make.__name__)
def test_every_kind_of_project_has_the_documented_shape(make: Any, api: str) -> None:
    """Pages of every kind, by servers of every age, pass the strict models and hold what they announce."""
    project = make(api=api, sizes={"testing": 40})
    body = replies.page(Studio([project]), project, {"limit": "40"})
    page = validate("result/page", body)

    assert isinstance(page, Page)
    assert len(page.result) == 40
    assert page.total_count == (None if api == "older" else 40)


def test_older_servers_lack_fields() -> None:
    """An older server sends neither thresholds nor predicted boxes; a documented one sends both."""
    pages = {}
    for api in ("older", "documented"):
        project = projects.box_detector(api=api, sizes={"testing": 5})
        pages[api] = replies.page(Studio([project]), project, {})

    assert [b'"thresholds"' in page for page in pages.values()] == [False, True]
    assert b'"boundingBoxes"' not in pages["older"].split(b'"predictions":', 1)[1]
    assert b'"boundingBoxes"' in pages["documented"].split(b'"predictions":', 1)[1]


def test_newer_servers_send_the_expected_outcome_per_window() -> None:
    """A newer server adds the anomaly ground truth to predictions and to the block's windows."""
    project = projects.gmm(sizes={"testing": 5})
    page = json.loads(replies.page(Studio([project]), project, {}))

    outcomes = [row["expectedAnomalyOutcome"] for row in page["predictions"]]
    listed = [item["label"] for row in page["result"] for item in row["classifications"][0]["expectedAnomalyOutcome"]]
    assert outcomes == listed
    assert set(outcomes) == {"anomaly", "no anomaly"}


@pytest.mark.parametrize("layer", ["mobilenet-ssd", "yolox", "yolov11-abs", "a-layer-of-tomorrow"])
def test_every_last_layer_can_be_played(layer: str) -> None:
    """A box detector reports the last layer it was made with, known or not."""
    project = GeneratedProject(1, "boxes", BoxDetector(last_layer=layer), sizes={"testing": 3})
    body = replies.page(Studio([project]), project, {})
    validate("result/page", body)

    assert json.loads(body)["result"][0]["classifications"][0]["objectDetectionLastLayer"] == layer


def test_unknown_block_types_can_be_played() -> None:
    """A block type that no reader knows goes over the wire as it is."""
    project = GeneratedProject(1, "later", Freeform(block_type="keras-tomorrow"), sizes={"testing": 3})
    body = replies.page(Studio([project]), project, {})
    validate("result/page", body)

    assert json.loads(body)["result"][0]["classifications"][0]["learnBlock"]["type"] == "keras-tomorrow"


def test_a_sample_has_the_size_of_real_ones() -> None:
    """A sample of ten windows weighs about 7.4 kB, as measured on real replies."""
    project = projects.bulk(samples=50)
    body = replies.page(Studio([project]), project, {"limit": "50"})

    assert 7100 <= len(body) / 50 <= 7700

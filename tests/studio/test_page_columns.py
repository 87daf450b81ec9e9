"""A page's columns are taken at once: the same as those of pages of one sample each, whatever the page holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.results import ResultSet
from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder, SetChanged
from monitor.studio.dates import all_milliseconds, milliseconds

decoder = msgspec.json.Decoder(wire.Page)
Json = dict[str, Any]

names = st.sampled_from(["idle", "wave", "", "😀", "x" * 300])
numbers = st.sampled_from([0.0, 0.25, 1.0, -3.5])
outcomes: st.SearchStrategy[Any] = st.sampled_from(
    [None, "anomaly", "no anomaly", "perhaps", 7, ["anomaly", None], [{"label": "anomaly"}], {}]
)
boxes = st.none() | st.lists(
    st.fixed_dictionaries(
        {}, optional={"label": names, **dict.fromkeys(("x", "y", "width", "height", "score"), numbers | st.none())}
    ),
    max_size=3,
)
rows = st.sampled_from(
    [
        {"idle": 0.75, "wave": 0.25},
        {"idle": 0.5, "wave": 0.5},
        {"wave": 0.5, "idle": 0.5},
        {"idle": None, "wave": 1.0},
        {"idle": 1.0},
        {"idle": 0.25, "wave": 0.25, "snake": 0.5},
        {"idle": "high", "wave": 1.0},
        {"anomaly": 3.5},
        {"anomaly": None},
        {},
        None,
    ]
)
images = st.sampled_from(
    [
        {"maxScore": 3.0, "meanScore": 2.0},
        {"scores": [[1, 2], [3, None]]},
        {"maxScore": None},
        {"maxScore": "much"},
        None,
    ]
)
matched = {"y_trues": [{"x": 0.5, "y": 0.5, "label": 1}], "y_preds": [], "assignments": []}
scores = st.sampled_from(
    [
        {"mAP": 0.5, "f1": 1, "debugInfoJson": "{}"},
        {"f1": 0.5, "debugInfoJson": json.dumps({**matched, "unassigned_y_true_idxs": [0]})},
        {"debugInfoJson": "{broken"},
        None,
    ]
)
blocks = st.sampled_from(
    [
        {"id": 3, "type": "keras", "name": "NN"},
        {"id": 3, "type": "keras"},
        {"id": 3, "type": "keras", "name": "another"},
        {"id": 4, "type": "anomaly"},
        {"id": 5, "type": "keras-visual-anomaly"},
        {"id": 6, "type": "keras-object-detection"},
        {"id": 7, "type": "keras-quantum"},
        {"type": "keras"},
        {"id": 8},
        None,
    ]
)
entries = st.fixed_dictionaries(
    {"learnBlock": blocks, "result": st.lists(rows, max_size=3) | st.sampled_from([None, {"not": "a list"}])},
    optional={
        "thresholds": st.sampled_from(
            [None, [{"key": "min_score", "value": 0.5}], [{"key": "min_score", "value": "0.6"}], "none"]
        ),
        "minimumConfidenceRating": numbers | st.none(),
        "anomalyResult": st.lists(images, max_size=3),
        "structuredResult": st.lists(scores, max_size=3),
        "objectDetectionLastLayer": st.sampled_from([None, "fomo", "yolov5"]),
        "expectedAnomalyOutcome": outcomes,
    },
)
REGULAR: Json = {
    "learnBlock": {"id": 3, "type": "keras", "name": "NN"},
    "result": [{"idle": 0.75, "wave": 0.25}],
    "thresholds": [{"key": "min_score", "value": 0.5}],
}
samples = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "added": st.sampled_from(
            ["2026-01-02T03:04:05.678Z", "2026-02-30T00:00:00.000Z", "2026-01-02", "1767323045678", "soon", "", None]
        ),
        "deviceName": names,
        "filename": names,
        "imageDimensions": st.sampled_from([None, {"width": 3, "height": 4}, {"width": -1}, {"width": 1e12}]),
        "metadata": st.sampled_from([{"site": "lab"}, {"site": 7}, {"site": None}, [], None]),
        "boundingBoxes": boxes,
        "labelMap": st.sampled_from([{}, None, {"a": 1}]),
    },
)
windows = st.lists(
    st.fixed_dictionaries(
        {"prediction": names | st.sampled_from([1, 2.5])},
        optional={
            "startMs": st.sampled_from([None, 0.5]),
            "endMs": st.sampled_from([None, 1000]),
            "label": names | st.sampled_from([1, 2.5, None]),
            "predictionCorrect": st.sampled_from([True, False, None]),
            "f1Score": numbers | st.none(),
            "boundingBoxes": boxes,
            "expectedAnomalyOutcome": outcomes,
        },
    ),
    max_size=3,
)
sets = st.lists(st.tuples(samples, st.just([REGULAR]) | st.lists(entries, max_size=3), windows), min_size=1, max_size=6)


def page_of(number: int, sample: Json | None, classifications: list[Json], predictions: list[Json]) -> Json:
    """A page with one sample and its windows, each of which has bounds of its own where it has any."""
    moved = [
        {**row, "startMs": row["startMs"] + place} if row.get("startMs") else row
        for place, row in enumerate(predictions)
    ]
    return {
        "result": [{"sampleId": number, "sample": sample, "classifications": classifications}],
        "predictions": [{"sampleId": number, **row} for row in moved],
    }


def joined(pages: list[Json]) -> Json:
    """One page of all."""
    return {name: [row for page in pages for row in page[name]] for name in ("result", "predictions")}


def build(*pages: Json) -> tuple[ResultSet, Mapping[str, int]]:
    """The result set of these pages, and what was counted."""
    builder = ColumnBuilder(("site",))
    for page in pages:
        builder.add(decoder.decode(json.dumps({"success": True, **page}).encode()))
    return builder.finish(), builder.unknown


def assert_same(one: Any, other: Any, name: str = "results") -> None:
    """Equal down to every value and type of a column."""
    assert type(one) is type(other), name
    if is_dataclass(one):
        for each in fields(one):
            assert_same(getattr(one, each.name), getattr(other, each.name), f"{name}.{each.name}")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, name)
    elif isinstance(one, Mapping):
        assert list(one) == list(other), name
        for key in one:
            assert_same(one[key], other[key], f"{name}[{key}]")
    else:
        assert one == other, name


@given(sets)
def test_a_page_is_its_samples(parts: list[tuple[Json | None, list[Json], list[Json]]]) -> None:
    """One page of all samples gives the columns and counts of pages of one sample each: what deviates in one sample
    changes nothing of another.
    """
    pages = [page_of(number, *part) for number, part in enumerate(parts, 1)]

    together, counted = build(joined(pages))
    apart, counted_apart = build(*pages)

    assert_same(together, apart)
    assert counted == counted_apart


ODD: list[Json] = [
    {"learnBlock": {"id": 3, "type": "keras", "name": "NN"}, "result": [{"wave": 0.5, "idle": 0.5}]},
    {"learnBlock": {"id": 3, "type": "keras", "name": "NN"}, "result": [{"idle": None, "wave": 0.5}]},
    {"learnBlock": {"id": 3, "type": "keras", "name": "NN"}, "result": "none"},
    {"learnBlock": {"id": 3, "type": "keras", "name": "NN"}},
    {"learnBlock": {"id": 3, "type": "keras", "name": "another"}, "result": [{"idle": 0.5, "wave": 0.5}]},
    {"learnBlock": {"id": 3}, "result": [{"idle": 0.5, "wave": 0.5}]},
]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_entry_among_regular_ones(odd: Json) -> None:
    """An entry that has to be read by itself leaves those beside it as they are without it."""
    row = {"prediction": "idle", "label": "idle", "predictionCorrect": True, "startMs": 0, "endMs": 1000}
    regular = [page_of(number, {}, [REGULAR], [row]) for number in range(1, 5)]
    alone, _ = build(joined(regular))
    beside, _ = build(joined([*regular[:2], page_of(9, {}, [odd], [row]), *regular[2:]]))

    np.testing.assert_array_equal([[0.75, 0.25]] * 4, alone.confidences[3].values)
    np.testing.assert_array_equal(alone.confidences[3].values, beside.confidences[3].values[beside.sample < 4])


LATE: list[Any] = [
    {"idle": 1, "wave": 0},
    {"wave": 0.5, "idle": 0.25},
    {"idle": None, "wave": 0.5},
    {"idle": "0.5", "wave": 0.5},
    {"idle": "high", "wave": 0.5},
    {"idle": 0.5},
    {"idle": 0.25, "wave": 0.25, "snake": 0.5},
    {},
    None,
]


@pytest.mark.parametrize("late", LATE, ids=json.dumps)
@pytest.mark.parametrize("names", [("idle", "wave"), ('"idle"', "\nwave")], ids=repr)
def test_rows_after_many_alike(late: Any, names: tuple[str, str]) -> None:
    """A row after a thousand with the same classes gives the values that it gives after one."""
    renamed = dict(zip(("idle", "wave"), names, strict=True))

    def sample(number: int, rows: list[Any]) -> Json:
        written = [row and {renamed.get(name, name): value for name, value in row.items()} for row in rows]
        windows = [{"prediction": "idle", "startMs": start + 1} for start in range(len(rows))]
        return page_of(number, {}, [{**REGULAR, "result": written}], windows)

    regular = {"idle": 0.75, "wave": 0.25}
    parts = [sample(8, [regular, late]), sample(9, [regular, {"idle": 0.5, "wave": 0.5}])]
    after_one, counted = build(sample(1, [regular]), *parts)
    after_many, counted_after_many = build(sample(1, [regular] * 1000), sample(2, [regular]), *parts)

    assert after_one.confidences[3].classes == after_many.confidences[3].classes
    np.testing.assert_array_equal(after_one.confidences[3].values[1:], after_many.confidences[3].values[1001:])
    assert counted == counted_after_many


def test_a_class_that_is_no_text_after_many_alike() -> None:
    """A class whose name is not UTF-8, after a thousand rows with others, is read as after one."""

    def built(rows: int) -> tuple[ResultSet, Mapping[str, int]]:
        window = {"prediction": "idle"}
        regular = page_of(1, {}, [{**REGULAR, "result": REGULAR["result"] * rows}], [window] * rows)
        odd = page_of(2, {}, [{**REGULAR, "result": [{"idle": 0.5, "?": 0.5}]}], [window])
        builder = ColumnBuilder()
        for page in (regular, odd):
            text = json.dumps({"success": True, **page}).encode().replace(b"?", b"\xff")
            builder.add(decoder.decode(text))
        return builder.finish(), builder.unknown

    (after_one, counted), (after_many, counted_after_many) = built(1), built(1000)

    assert ("idle", "wave", "\ufffd") == after_many.confidences[3].classes
    assert_same(after_one.confidences[3].values[-1:], after_many.confidences[3].values[-1:])
    assert counted == counted_after_many


def test_a_page_that_repeats_another() -> None:
    """Windows of a page are dropped where an earlier one held exactly the same, and compared where it held others."""
    row = {"prediction": "idle", "label": "idle", "startMs": 0, "endMs": 1000}
    page = page_of(1, {}, [REGULAR], [row, {**row, "startMs": None}])
    again, _ = build(page, page, page)

    assert_same(build(page)[0], again)
    with pytest.raises(SetChanged, match="same bounds"):
        build(page, {**page, "predictions": [{**each, "label": "wave"} for each in page["predictions"]]})


texts = st.sampled_from(
    ["2026-01-02T03:04:05.678Z", "0001-01-01T00:00:00.000Z", "0000-01-01T00:00:00.000Z", "2026-02-29T00:00:00.000Z"]
)
changed = st.builds(
    lambda text, at, character: text[:at] + character + text[at + 1 :],
    texts,
    st.integers(0, 23),
    st.sampled_from("0123456789-:.TZ+ ٣é"),
)


@given(st.lists(texts | changed | st.none() | st.just("2026-01-02"), max_size=3) | st.lists(changed, min_size=1))
def test_dates_of_a_page_are_those_of_its_samples(dates: list[str | None]) -> None:
    """Dates that are looked through at once are the same as one by one, whatever they are."""
    assert list(map(milliseconds, dates)) == all_milliseconds(dates)

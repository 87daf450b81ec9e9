"""From pages of JSON to the columns of a result set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.results import BlockKind, ResultSet
from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder, SetChanged
from monitor.studio.dates import timestamp
from tests.growth import LINEAR, growth

DATA = Path(__file__).parent.parent / "data"
decoder = msgspec.json.Decoder(wire.Page)


def build(*pages: dict[str, Any], metadata: tuple[str, ...] = ()) -> tuple[ResultSet, ColumnBuilder]:
    """The result set of these pages, and its builder."""
    builder = ColumnBuilder(metadata)
    for page in pages:
        builder.add(decoder.decode(json.dumps({"success": True, **page}).encode()))
    return builder.finish(), builder


def sample(number: int, *classifications: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One entry of a page's `result`."""
    return {"sampleId": number, "sample": {"id": number, **fields}, "classifications": list(classifications)}


def classified(
    *rows: Mapping[str, float | None] | Mapping[str, float] | None,
    number: int = 3,
    block_type: str = "keras",
    **fields: Any,
) -> dict[str, Any]:
    """One entry of a sample's `classifications`."""
    return {"learnBlock": {"id": number, "type": block_type, "name": "NN"}, "result": list(rows), **fields}


def window(
    number: int, prediction: str = "idle", label: str | None = "idle", start: int = 0, **fields: Any
) -> dict[str, Any]:
    """One entry of a page's `predictions`."""
    correct = {} if label is None else {"predictionCorrect": prediction == label}
    return {
        "sampleId": number,
        "startMs": start,
        "endMs": start + 1000,
        "prediction": prediction,
        "label": label,
        **correct,
        **fields,
    }


def detector(last_layer: str | None, **fields: Any) -> dict[str, Any]:
    """A detector's entry."""
    return {"learnBlock": {"id": 8, "type": "keras-object-detection"}, "objectDetectionLastLayer": last_layer, **fields}


MATCHED = {
    "y_trues": [{"x": 0.8, "y": 0.4, "label": 1}, {"x": 0.2, "y": 0.5, "label": 2}],
    "y_preds": [{"x": 0.9, "y": 0.8, "label": 1}, {"x": 0.25, "y": 0.5, "label": 2}],
    "assignments": [{"yp": 1, "yt": 1, "label": 2, "distance": 0.05}],
    "normalised_min_distance": 0.2,
    "unassigned_y_true_idxs": [0],
    "unassigned_y_pred_idxs": [0],
}
"""FOMO's matching of an image with two objects: one is found, one missed, and one found that is none."""


def test_vendors_page() -> None:
    """The vendor's example page, exactly as printed, gives one sample with one window of an anomaly block."""
    builder = ColumnBuilder()
    builder.add(decoder.decode((DATA / "studio-api-page.json").read_bytes()))
    results = builder.finish()

    assert [123] == results.sample_id.tolist()
    assert [0] == results.sample.tolist()
    assert [123] == results.start_ms.tolist()
    assert ("<string>",) == results.labels
    assert [1] == results.correct.tolist()
    assert ["<string>"] == results.device.texts()
    assert np.datetime64("2023-11-07T05:31:56", "ms") == results.added[0]
    (block,) = results.blocks
    assert (2, "anomaly", BlockKind.ANOMALY, {"min_score": 0.5}) == (block.id, block.type, block.kind, block.thresholds)
    assert [-0.42] == results.anomaly[2].tolist()


def test_joins_over_pages() -> None:
    """Predictions that came on another page than their sample find it, in the order of their start."""
    results, _ = build(
        {
            "result": [sample(9, classified({"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}))],
            "predictions": [window(4, "a", "b")],
        },
        {
            "result": [sample(4, classified({"a": 0.7, "b": 0.3}))],
            "predictions": [window(9, "b", "b", 1000), window(9, "a", "a", 0)],
        },
    )

    assert [4, 9] == results.sample_id.tolist()
    assert [0, 1, 1] == results.sample.tolist()
    assert ["a", "a", "b"] == [results.labels[code] for code in results.prediction]
    assert [0, 1, 1] == results.correct.tolist()
    assert [[0.7, 0.3], [0.9, 0.1], [0.2, 0.8]] == results.confidences[3].values.tolist()


def test_tolerates_missing_and_null() -> None:
    """Everything but the sample's id and the prediction may be missing or null."""
    results, builder = build(
        {
            "result": [
                {"sampleId": 1},
                {"sampleId": 2, "sample": None, "classifications": None},
                {
                    "sampleId": 3,
                    "sample": {"added": None, "imageDimensions": None},
                    "classifications": [{"learnBlock": None, "result": None}],
                },
                {"sampleId": 4, "classifications": [classified(None, thresholds=None, structuredResult=None)]},
            ],
            "predictions": [
                {"sampleId": 1, "prediction": "a"},
                {
                    "sampleId": 4,
                    "prediction": "a",
                    "label": None,
                    "predictionCorrect": None,
                    "startMs": None,
                    "boundingBoxes": None,
                },
            ],
        }
    )

    assert (4, 2) == (results.samples, results.windows)
    assert [-1, -1] == results.correct.tolist()
    assert [-1, -1] == results.label.tolist()
    assert np.isnat(results.added).all()
    assert {"learn_block_type": 1} == dict(builder.unknown)


@pytest.mark.parametrize("missing", ["sampleId", "prediction"])
def test_refuses_predictions_without_the_essential(missing: str) -> None:
    """A prediction without its sample's id or without its text is not the documented JSON."""
    row = window(1)
    del row[missing]
    with pytest.raises(msgspec.ValidationError, match=missing):
        build({"result": [sample(1)], "predictions": [row]})


def test_unknown_block_is_counted_and_skipped() -> None:
    """A block type of tomorrow, whatever its result looks like, fails nothing."""
    odd = {
        "learnBlock": {"id": 7, "type": "keras-quantum"},
        "result": {"not": ["a", "list"]},
        "thresholds": [{"key": "t", "value": 1}],
    }
    results, builder = build({"result": [sample(1, odd), sample(2, odd)], "predictions": [window(1), window(2)]})

    assert [BlockKind.UNKNOWN] == [block.kind for block in results.blocks]
    assert {"learn_block_type": 1} == dict(builder.unknown)
    assert {"unknown_block": 1} == results.left_out


def test_undocumented_result_of_a_known_block_is_counted() -> None:
    """A value of another shape than documented is left out and counted by its field."""
    _, builder = build(
        {
            "result": [sample(1, {**classified(), "result": [{"a": "high"}], "thresholds": "none"})],
            "predictions": [window(1)],
        }
    )

    assert {"result": 1, "thresholds": 1} == dict(builder.unknown)


def test_thresholds_keep_numbers_only() -> None:
    """Texts among the thresholds are no thresholds of a figure; servers that know none have the deprecated rating."""
    listed = [
        {"key": "min_anomaly_score", "value": 0.3},
        {"key": "anomaly_scoring_aggregation_method", "value": "max"},
        {"key": "x", "value": True},
    ]
    new, _ = build({"result": [sample(1, classified({"a": 1.0}, thresholds=listed))], "predictions": [window(1)]})
    old, _ = build(
        {"result": [sample(1, classified({"a": 1.0}, minimumConfidenceRating=0.6))], "predictions": [window(1)]}
    )

    assert {"min_anomaly_score": 0.3} == new.blocks[0].thresholds
    assert {"minimum_confidence_rating": 0.6} == old.blocks[0].thresholds


def test_classes_that_appear_late() -> None:
    """A class first seen in a later window is NaN before, and classes come out sorted."""
    results, _ = build(
        {
            "result": [sample(1, classified({}, {"b": 0.5, "a": None}, {"a": 0.1, "c": 0.9, "b": 0.0}))],
            "predictions": [window(1, start=start) for start in (0, 1, 2)],
        }
    )

    confidences = results.confidences[3]
    assert ("a", "b", "c") == confidences.classes
    nan = np.nan
    np.testing.assert_array_equal([[nan, nan, nan], [nan, 0.5, nan], [0.1, 0.0, 0.9]], confidences.values)


def test_rows_that_fit_no_window_are_counted() -> None:
    """A block that gave another number of windows than there are predictions cannot be joined: counted, not guessed."""
    results, _ = build(
        {
            "result": [sample(1, classified({"a": 1.0}, {"a": 0.5})), sample(2, classified({"a": 0.25}))],
            "predictions": [window(1), window(2)],
        }
    )

    np.testing.assert_array_equal([[np.nan], [0.25]], results.confidences[3].values)
    assert {"unparsable": 2} == results.left_out


def test_sample_on_two_pages_counts_once() -> None:
    """A sample that comes twice with the same content is one sample, whatever block its rows are of."""
    fields = {
        "added": "2026-01-02T03:04:05Z",
        "deviceName": "one",
        "boundingBoxes": [{"label": "cat", "x": 1, "y": 2, "width": 3, "height": 4}],
    }
    entries = (
        classified({"a": 1.0, "b": None}),
        classified({"anomaly": 0.5}, number=4, block_type="anomaly"),
        detector("fomo", structuredResult=[{"f1": 1, "debugInfoJson": json.dumps(MATCHED)}]),
    )
    page = {"result": [sample(1, *entries, **fields)], "predictions": [window(1)]}
    once, _ = build(page)
    twice, _ = build(page, {"result": [sample(2, *entries, **fields)], "predictions": [window(2)]}, page)

    assert [1, 2] == twice.sample_id.tolist()
    assert [0, 1] == twice.sample.tolist()
    assert {} == twice.left_out
    assert twice.truth is not None and twice.fomo is not None
    assert [0, 1] == twice.truth.owner.tolist()
    assert [1, 1] == twice.fomo.true_positives.tolist()
    assert [0, 0, 1, 1] == twice.fomo.truth.owner.tolist()
    assert once.fingerprint() == build(page, page)[0].fingerprint()


OTHERS: list[dict[str, Any]] = [
    sample(1, classified({"a": 1.0}), deviceName="another"),
    sample(1, classified({"a": 0.5})),
    sample(1, classified({"a": 1.0}, {"a": 1.0})),
    sample(1),
    sample(1, classified({"a": 1.0}), classified({"anomaly": 1.0}, number=4, block_type="anomaly")),
    sample(1, classified({"a": 1.0}), boundingBoxes=[{"label": "cat", "x": 1, "y": 2, "width": 3, "height": 4}]),
    sample(1, classified({"a": 1.0}), added="2026-01-02T03:04:05Z"),
    sample(1, classified({"a": 1.0}), imageDimensions={"width": 3, "height": 4}),
    sample(1, classified({"a": 1.0}), metadata={"site": "lab"}),
    sample(1, classified({"a": 1.0}, expectedAnomalyOutcome="anomaly")),
]


@pytest.mark.parametrize("other", OTHERS)
def test_sample_that_differs_on_another_page_is_a_change(other: dict[str, Any]) -> None:
    """A sample that comes twice and is not the same says that the set moved under the paging."""
    with pytest.raises(SetChanged, match="different content"):
        build({"result": [sample(1, classified({"a": 1.0}))]}, {"result": [other]}, metadata=("site",))


def test_prediction_of_an_unknown_sample_is_a_change() -> None:
    """A prediction whose sample no page held says that the set moved under the paging."""
    with pytest.raises(SetChanged, match="no page held"):
        build({"result": [sample(1)], "predictions": [window(1), window(2)]})


def test_anomaly_scores() -> None:
    """Scores are kept as they are; null is a score that is not finite, an absent key is no score."""
    results, _ = build(
        {
            "result": [sample(1, classified({"anomaly": -0.5}, {"anomaly": None}, {}, block_type="anomaly"))],
            "predictions": [window(1, start=start) for start in (0, 1, 2)],
        }
    )

    np.testing.assert_array_equal([-0.5, np.inf, np.nan], results.anomaly[3])
    assert not results.confidences


def test_visual_anomaly_takes_the_maximum() -> None:
    """Of a grid of scores only the image's maximum is kept."""
    entry = {
        "learnBlock": {"id": 5, "type": "keras-visual-anomaly"},
        "anomalyResult": [{"scores": [[1, 2], [3, 9]], "maxScore": 9, "meanScore": 4}],
    }
    results, _ = build(
        {
            "result": [sample(1, entry)],
            "predictions": [window(1, "anomaly", "anomaly", expectedAnomalyOutcome="anomaly")],
        }
    )

    assert [9.0] == results.anomaly[5].tolist()
    assert results.expected_anomaly is not None
    assert [1] == results.expected_anomaly.tolist()


def test_expected_outcome_of_the_sample() -> None:
    """Ground truth named beside the block counts for windows that name none; an unknown word is counted."""
    entry = classified({"anomaly": 1.0}, {"anomaly": 1.0}, block_type="anomaly", expectedAnomalyOutcome="no anomaly")
    predictions = [window(1, expectedAnomalyOutcome="anomaly"), window(1, start=5, expectedAnomalyOutcome="perhaps")]
    results, builder = build({"result": [sample(1, entry)], "predictions": predictions})

    assert results.expected_anomaly is not None
    assert [1, 0] == results.expected_anomaly.tolist()
    assert {"expected_anomaly_outcome": 1} == dict(builder.unknown)


def test_expected_outcome_per_window() -> None:
    """Ground truth listed beside the block counts window by window; a shape that nobody documented fails nothing."""
    entry = classified(
        {"anomaly": 1.0},
        {"anomaly": 1.0},
        block_type="anomaly",
        expectedAnomalyOutcome=[{"startIndex": 0, "endIndex": 9, "label": "anomaly"}, None],
    )
    odd = classified({"anomaly": 1.0}, block_type="anomaly", expectedAnomalyOutcome={"what": 1})
    results, builder = build(
        {"result": [sample(1, entry), sample(2, odd)], "predictions": [window(1), window(1, start=5), window(2)]}
    )

    assert results.expected_anomaly is not None
    assert [1, -1, -1] == results.expected_anomaly.tolist()
    assert {"expected_anomaly_outcome": 1} == dict(builder.unknown)


def test_boxes() -> None:
    """Truth belongs to samples in pixels, detections to windows in shares; Studio's own score is kept apart; a broken
    box is counted.
    """
    whole = {"label": "cat", "x": 1, "y": 2, "width": 3, "height": 4}
    found = {**whole, "x": 0.1, "score": 0.75}
    results, _ = build(
        {
            "result": [
                sample(
                    2,
                    detector("yolov5", structuredResult=[{"mAP": 0.5, "f1": None}]),
                    boundingBoxes=[whole],
                    imageDimensions={"width": 320, "height": 240},
                ),
                sample(
                    1,
                    detector("yolov11", details=[{"mAP": 0.25}]),
                    boundingBoxes=[{**whole, "label": "dog"}, {**whole, "x": None}],
                ),
            ],
            "predictions": [
                window(2, boundingBoxes=[found, {**found, "score": None}]),
                window(1, boundingBoxes=[found]),
            ],
        }
    )

    assert results.truth is not None
    assert results.detections is not None
    assert results.image_size is not None
    assert [[0, 0], [320, 240]] == results.image_size.tolist()
    assert [(0, "dog"), (1, "cat")] == [
        (owner, results.labels[label]) for owner, label in zip(results.truth.owner, results.truth.label, strict=True)
    ]
    assert [0, 1] == results.detections.owner.tolist()
    assert [0.1, 2.0, 3.0, 4.0] == results.detections.xywh[1].tolist()
    np.testing.assert_array_equal([0.25, 0.5], results.reported_map)
    assert {"unparsable": 2} == results.left_out


def test_scores_that_are_none() -> None:
    """Studio's own score of an image that is no share, as COCO's -1 of one without truth, is absent; what rounding adds
    is not."""
    scores = [{"mAP": -1, "f1": 1.5}, {"mAP": 1 + 1e-12, "f1": -1e-12}, {"mAP": 1e300, "f1": -0.1}]
    rows = [sample(number, detector("yolov5", structuredResult=[score])) for number, score in enumerate(scores, 1)]
    results, _ = build({"result": rows, "predictions": [window(number) for number in (1, 2, 3)]})

    np.testing.assert_array_equal([np.nan, 1.0, np.nan], results.reported_map)
    np.testing.assert_array_equal([np.nan, 0.0, np.nan], results.reported_f1)


def test_server_without_predicted_boxes() -> None:
    """A server too old to send predicted boxes leaves them unknown; one that sends empty lists found nothing."""
    page = {"result": [sample(1, detector("yolov5", structuredResult=[{"mAP": 0.5}]))]}
    older, _ = build({**page, "predictions": [window(1)]})
    newer, _ = build({**page, "predictions": [window(1, boundingBoxes=[])]})

    assert older.detections is None
    assert newer.detections is not None
    assert 0 == len(newer.detections)


def test_fomo_counts() -> None:
    """FOMO's counts are those of its own matching; an empty image has none of the lists, a broken
    one is not reported.
    """
    images = [json.dumps(MATCHED), "{}", "{broken"]
    results, builder = build(
        {
            "result": [
                sample(number, detector("fomo", structuredResult=[{"f1": 0.5, "debugInfoJson": text}]))
                for number, text in enumerate(images)
            ],
            "predictions": [window(number) for number in range(3)],
        }
    )

    assert BlockKind.FOMO is results.blocks[0].kind
    fomo = results.fomo
    assert fomo is not None
    assert ([1, 0, -1], [1, 0, -1], [1, 0, -1]) == tuple(
        column.tolist() for column in (fomo.true_positives, fomo.false_positives, fomo.false_negatives)
    )
    assert [[0.8, 0.4], [0.2, 0.5]] == fomo.truth.xy.tolist()
    assert [0, 0] == fomo.predicted.owner.tolist()
    assert {"debug_info": 1} == dict(builder.unknown)


@pytest.mark.parametrize(
    "page",
    [
        {"result": [sample(1)], "labelMapPredictions": [{"x": 1}]},
        {"result": [sample(1)], "predictions": [window(1, labelMapPredictions=[{"x": 1}])]},
        {"result": [sample(1, {**classified({"a": 1.0}), "labelMapResult": [["x"]]})]},
        {"result": [sample(1, labelMap={"colour": "red"})]},
        {"result": [sample(1, projectLabelingMethod="label_map")]},
    ],
)
def test_label_map_is_noticed(page: dict[str, Any]) -> None:
    """A project that maps labels is marked wherever the server says so, since its predictions have
    no documented score.
    """
    assert build(page)[0].label_map


def test_ordinary_project_is_no_label_map() -> None:
    """Fields that are there but empty say nothing."""
    entry = {**classified({"a": 1.0}), "labelMapResult": None}
    page = {"result": [sample(1, entry, labelMap={}, projectLabelingMethod="single_label")], "labelMapPredictions": []}

    assert not build(page)[0].label_map


def test_metadata_and_numeric_labels() -> None:
    """Only the wanted keys of metadata are kept, as texts; labels that are JSON numbers become texts."""
    results, _ = build(
        {
            "result": [
                sample(1, metadata={"site": "lab", "line": 4}),
                sample(2, metadata={"line": "5"}),
                sample(3, metadata=["odd"]),
            ],
            "predictions": [{"sampleId": 1, "prediction": 21.5, "label": 20}],
        },
        metadata=("site", "line"),
    )

    assert ["lab", None, None] == results.metadata["site"].texts()
    assert ["4", "5", None] == results.metadata["line"].texts()
    assert ("20", "21.5") == results.labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T01:00:00.5+01:00", 0.5),
        ("1970-01-01", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_timestamp(text: str | None, expected: float | None) -> None:
    """Dates are UTC unless they say otherwise; what is no date is unknown."""
    assert expected == timestamp(text)


@st.composite
def sets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples and windows of a classifier with an anomaly block, in any order."""
    numbers = draw(st.lists(st.integers(1, 10**12), unique=True, max_size=8))
    labels = st.sampled_from(["idle", "wave", "ünïcode", "uncertain"])
    shares = st.floats(0, 1)
    samples, windows = [], []
    for number in numbers:
        count = draw(st.integers(0, 3))
        rows = [{"idle": draw(shares), "wave": draw(shares)} for _ in range(count)]
        scores = [{"anomaly": draw(st.floats(-9, 9))} for _ in range(count)]
        samples.append(sample(number, classified(*rows), classified(*scores, number=4, block_type="anomaly")))
        windows += [window(number, draw(labels), draw(labels | st.none()), start * 500) for start in range(count)]
    return draw(st.permutations(samples)), draw(st.permutations(windows))


@pytest.mark.slow
@given(sets(), st.data())
def test_pages_do_not_matter(content: tuple[list[dict[str, Any]], list[dict[str, Any]]], data: st.DataObject) -> None:
    """However samples and predictions are dealt to pages, in whatever order, the columns and the fingerprint are the
    same.
    """
    samples, windows = content
    whole, _ = build({"result": sorted(samples, key=lambda row: row["sampleId"]), "predictions": windows})
    cut, other = data.draw(st.integers(0, len(samples))), data.draw(st.integers(0, len(windows)))
    parted, _ = build(
        {"result": samples[:cut], "predictions": windows[other:]},
        {"result": samples[cut:]},
        {"result": [], "predictions": windows[:other]},
    )

    assert whole.fingerprint() == parted.fingerprint()
    assert whole.labels == parted.labels
    for number, block in whole.confidences.items():
        np.testing.assert_array_equal(block.values, parted.confidences[number].values)


@pytest.mark.slow
@given(sets())
def test_fingerprint_tells_changes_apart(content: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    """Another label, verdict or score is another result set; another device or a score's tenth decimal is not."""
    samples, windows = content
    if not windows:
        return
    base = build({"result": samples, "predictions": windows})[0].fingerprint()

    relabelled = [{**windows[0], "label": "other"}, *windows[1:]]
    assert base != build({"result": samples, "predictions": relabelled})[0].fingerprint()
    place = next(number for number, row in enumerate(samples) if row["classifications"][1]["result"])
    entry = samples[place]

    def scored(change: float) -> str:
        rows = [{"anomaly": row["anomaly"] + change} for row in entry["classifications"][1]["result"]]
        changed = sample(
            entry["sampleId"],
            entry["classifications"][0],
            classified(*rows, number=4, block_type="anomaly"),
            deviceName="another",
        )
        return build({"result": [*samples[:place], changed, *samples[place + 1 :]], "predictions": windows})[
            0
        ].fingerprint()

    assert base == scored(0.0)
    assert base != scored(0.001)


def test_predictions_on_every_page_count_once() -> None:
    """Where each page repeats all predictions, or some of another page's, a window is one by its sample and bounds."""
    rows = [sample(number, classified({"a": 1.0}, {"a": 0.5})) for number in (1, 2, 3)]
    found = {"label": "cat", "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4, "score": 0.5}
    windows = [window(number, start=start, boundingBoxes=[found]) for number in (1, 2, 3) for start in (0, 500)]
    once, _ = build({"result": rows, "predictions": windows})
    repeated, _ = build(*({"result": [row], "predictions": windows} for row in rows))
    overlapping, _ = build(
        *({"result": [row], "predictions": windows[place : place + 3]} for place, row in enumerate(rows)),
        {"predictions": windows[4:]},
    )

    assert 6 == once.windows
    assert once.fingerprint() == repeated.fingerprint() == overlapping.fingerprint()
    assert {} == dict(repeated.left_out)


@pytest.mark.parametrize(
    "other", [{"prediction": "wave"}, {"label": None}, {"predictionCorrect": False}, {"boundingBoxes": []}]
)
def test_window_that_differs_on_another_page_is_a_change(other: dict[str, Any]) -> None:
    """Two windows of the same sample and bounds that say different things are of two states of the set."""
    first = window(1, boundingBoxes=[{"label": "cat", "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4, "score": 0.5}])
    with pytest.raises(SetChanged, match="bounds"):
        build({"result": [sample(1)], "predictions": [first]}, {"predictions": [first | other]})


def test_windows_without_bounds() -> None:
    """Windows without a start are told apart by their place; the same list on another page is a repeat, another list is
    not.
    """
    rows = [{"sampleId": 1, "prediction": name, "label": "a"} for name in ("a", "a", "b")]
    page = {"result": [sample(1, classified({"a": 1.0}, {"a": 0.5}, {"a": 0.25}))], "predictions": rows}
    several = {"result": [sample(2, classified({"a": 0.125}))], "predictions": [*rows, window(2, "a", "a")]}
    parted, _ = build({**page, "predictions": rows[:2]}, {"predictions": rows[2:]})

    for pages in ([page], [page, {"predictions": rows}], [page, several]):
        results, _ = build(*pages)
        first = results.sample == 0
        assert ["a", "a", "b"] == [results.labels[code] for code in results.prediction[first]]
        assert [1.0, 0.5, 0.25] == results.confidences[3].values[first, 0].tolist()
    assert ["a", "a", "b"] == [parted.labels[code] for code in parted.prediction]


def test_class_names_that_differ_from_window_to_window() -> None:
    """More classes than a model has are left out and counted, at a cost that does not grow with their square."""

    def of(classes: int) -> Callable[[], ResultSet]:
        rows = [{f"class {number}": 1.0} for number in range(classes)]
        predictions = [window(1, start=at) for at in range(classes)]
        sent = {"success": True, "result": [sample(1, classified(*rows))], "predictions": predictions}
        page = decoder.decode(json.dumps(sent).encode())

        def work() -> ResultSet:
            builder = ColumnBuilder()
            builder.add(page)
            return builder.finish()

        return work

    results = of(45_000)()

    assert {} == dict(results.confidences)
    assert {"too_many_classes": 45_000} == results.left_out
    assert 45_000 == results.windows
    assert growth(of, 4_500) < LINEAR


def test_as_many_classes_as_there_may_be() -> None:
    """4,096 classes are kept, beside an anomaly block's score; one more are too many."""

    def of(classes: int) -> ResultSet:
        names = [f"c{number:04}" for number in range(classes)]
        first, second = names[: classes // 2], names[classes // 2 :]
        rows = [dict.fromkeys(first, 1 / len(first)) | {"anomaly": 0.5}, dict.fromkeys(second, 1 / len(second))]
        entries = classified(*rows), classified({"anomaly": 0.5}, {"anomaly": 0.5}, number=4, block_type="anomaly")
        return build({"result": [sample(1, *entries)], "predictions": [window(1), window(1, start=5)]})[0]

    assert 4096 == len(of(4096).confidences[3].classes)
    assert 2048 == np.isnan(of(4096).confidences[3].values[0]).sum()
    assert {"too_many_classes": 2} == of(4097).left_out


@pytest.mark.parametrize("name", ["__proto__", "", "😀", "x" * 10**5, "NaN", "uncertain"])
def test_odd_class_names(name: str) -> None:
    """A class may have any name."""
    results, _ = build(
        {"result": [sample(1, classified({name: 0.75, "a": 0.25}))], "predictions": [window(1, name, name)]}
    )

    assert {name, "a"} == set(results.confidences[3].classes)
    assert (name,) == results.labels


ANOMALY_ROWS = [
    ([{"a": 0.4, "b": 0.62, "anomaly": 9.0}, {"a": None, "b": None, "anomaly": 1.0}], True, ("a", "b")),
    ([{"a": 0.4, "b": 0.6, "anomaly": 0.2}, {"a": 0.4, "b": 0.3, "anomaly": 0.3}], True, ("a", "anomaly", "b")),
    ([{"a": 0.4, "b": 0.6, "anomaly": 0.2}], False, ("a", "anomaly", "b")),
    ([{"anomaly": 1.0}], True, ("anomaly",)),
]


@pytest.mark.parametrize(("rows", "block", "classes"), ANOMALY_ROWS)
@pytest.mark.parametrize("block_type", ["anomaly", "anomaly-gmm", "keras-anomaly"])
def test_when_anomaly_is_a_class(rows: list[Any], block: bool, classes: tuple[str, ...], block_type: str) -> None:
    """The key `anomaly` is a score only where the impulse has an anomaly block and the other classes sum to 1 in every
    row of the set.
    """
    entries = [classified({"anomaly": 0.5}, number=4, block_type=block_type)] * block
    results, _ = build(
        {
            "result": [sample(number, classified(row), *entries) for number, row in enumerate(rows)],
            "predictions": [window(number) for number in range(len(rows))],
        }
    )

    assert classes == results.confidences[3].classes


def test_kind_of_detector_is_decided_by_all_images() -> None:
    """Empty images before the first centroid are FOMO's as well; a last layer that is named decides alone."""
    texts = ["{}", None, json.dumps(MATCHED), "{}"]

    def kinds(last_layer: str | None, listed: list[str | None]) -> ResultSet:
        entries = [
            detector(last_layer, structuredResult=[{"mAP": 0.5, "f1": 1, "debugInfoJson": text}]) for text in listed
        ]
        rows = [sample(number, entry) for number, entry in enumerate(entries)]
        return build(*({"result": [row], "predictions": [window(number)]} for number, row in enumerate(rows)))[0]

    found = kinds(None, texts)
    assert BlockKind.FOMO is found.blocks[0].kind
    assert found.fomo is not None
    assert [0, 0, 1, 0] == found.fomo.true_positives.tolist()  # f1 = 1 without a labelled box: empty, and found to be
    assert BlockKind.DETECTION is kinds("yolov5", texts).blocks[0].kind
    assert BlockKind.DETECTION is kinds(None, ["{}", None]).blocks[0].kind
    assert BlockKind.FOMO is kinds("fomo", [None]).blocks[0].kind
    assert kinds("fomo", [None, None]).fomo is None  # sent by no image, which is not the same as unreadable


def test_f1_of_the_prediction() -> None:
    """Where the structured result lacks f1, that of the prediction is Studio's own score of the image."""
    rows = [
        sample(1, detector("yolov5", structuredResult=[{"mAP": 0.5}])),
        sample(2, detector("yolov5", structuredResult=[{"f1": 0.5}])),
    ]
    results, _ = build({"result": rows, "predictions": [window(1, f1Score=0.25), window(2, f1Score=0.75)]})

    assert results.reported_f1 is not None
    assert [0.25, 0.5] == results.reported_f1.tolist()


VISUAL = [
    ({"scores": [[1, 2], [3, 6]]}, 6.0, 3.0),
    ({"scores": [[1, 2], [3, 6]], "maxScore": 9, "meanScore": 4}, 9.0, 4.0),
    ({"scores": [[1, 2], [3, 6]], "maxScore": None, "meanScore": None}, 6.0, 3.0),
    ({"maxScore": None, "meanScore": None}, np.inf, np.inf),
    ({}, np.nan, np.nan),
    (None, np.nan, np.nan),
    ({"scores": []}, np.nan, np.nan),
    ({"scores": [[1, None]]}, np.inf, np.inf),
    ({"scores": [[1, 2]], "meanScore": 7}, 2.0, 7.0),
]


@pytest.mark.parametrize(("image", "largest", "mean"), VISUAL)
def test_score_that_studio_decides_on(image: dict[str, Any] | None, largest: float, mean: float) -> None:
    """The maximum, or the mean where the block's text threshold says so, of the grid where Studio sends neither."""
    for method, expected in ((None, largest), ("max", largest), ("mean", mean)):
        listed = [
            {"key": "anomaly_scoring_aggregation_method", "value": method},
            {"key": "min_anomaly_score", "value": 6.0},
        ]
        entry = {
            "learnBlock": {"id": 5, "type": "keras-visual-anomaly"},
            "anomalyResult": [image],
            "thresholds": listed,
        }
        results, _ = build({"result": [sample(1, entry)], "predictions": [window(1)]})

        np.testing.assert_array_equal([expected], results.anomaly[5])
        assert ({} if method is None else {"anomaly_scoring_aggregation_method": method}) == results.blocks[0].texts


def test_label_map_of_any_sample() -> None:
    """A project maps labels if any sample of any page says so, whatever the size of the pages."""
    plain, mapped = sample(1, classified({"a": 1.0})), sample(2, labelMap={"labels": {"colour": "red"}})

    assert build({"result": [plain, mapped]})[0].label_map
    assert build({"result": [plain]}, {"result": [mapped]})[0].label_map
    assert build({"result": [plain], "predictions": [window(1), window(1, start=9, labelMapPredictions={"a": "b"})]})[
        0
    ].label_map
    assert not build({"result": [plain, sample(2, labelMap={})]})[0].label_map


def test_blocks_without_a_number() -> None:
    """Blocks that come without an id are told apart by their type, and what most entries say of a block counts."""
    first, second = classified({"a": 1.0}), classified({"anomaly": 0.5}, block_type="anomaly")
    for entry in (first, second):
        del entry["learnBlock"]["id"]
    sure = classified({"a": 1.0}, number=7, thresholds=[{"key": "min_score", "value": 0.5}])
    rows = [
        sample(1, first, second, {**sure, "thresholds": None}),
        sample(2, first, second, sure),
        sample(3, first, second, sure),
    ]
    rows.append(sample(4, first, second, {**sure, "thresholds": [{"key": "min_score", "value": 0.75}]}))
    pages = [{"result": [row], "predictions": [window(number)]} for number, row in enumerate(rows, 1)]
    results, _ = build(*pages)
    backwards, _ = build(*reversed(pages))

    assert [(-2, "keras"), (-1, "anomaly"), (7, "keras")] == [(block.id, block.type) for block in results.blocks]
    assert {"min_score": 0.5} == results.blocks[2].thresholds
    assert [0.5] * 4 == results.anomaly[-1].tolist()
    assert results.fingerprint() == backwards.fingerprint()

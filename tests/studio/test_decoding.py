"""Replies that are not quite what Studio documents: other JSON types, texts that JSON does not allow, values beyond a
column's range.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import inspect

from monitor.results import ResultSet
from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder
from monitor.studio.dates import timestamp
from monitor.studio.decoding import decode
from tests.growth import LINEAR, growth

Path = tuple[str | int, ...]

REPLIES = [reply for reply in wire.Reply.__subclasses__() if reply is not wire.Page]
BEYOND = {"5000 digits": b"1" * 5000, "beyond a double": b"-1e999"}
OTHER_TYPES: list[Any] = [
    None,
    True,
    7,
    -0.5,
    "60",
    "",
    "word",
    [],
    [None],
    {},
    {"what": [1]},
    2**63,
    10**400,
    np.nan,
    "9" * 400,
    *BEYOND,
]
ESSENTIAL = ("success", "sampleId", "prediction")
"""What may fail a reply."""
LISTS = ("result", "predictions", "impulses", "modelVariants")
"""What would say that there is nothing, if it was left out."""


def written(value: object) -> bytes:
    """As JSON, with numbers that Python cannot write."""
    text = json.dumps(value).encode()
    for name, digits in BEYOND.items():
        text = text.replace(f'"{name}"'.encode(), digits)
    return text


def example(kind: inspect.Type) -> Any:
    """A value of the documented type, with every field there is."""
    if isinstance(kind, inspect.UnionType):
        return example(next(each for each in kind.types if not isinstance(each, inspect.NoneType)))
    match kind:
        case inspect.StructType():
            return {field.encode_name: example(field.type) for field in kind.fields}
        case inspect.ListType():
            return [example(kind.item_type), example(kind.item_type)]
        case inspect.IntType() | inspect.FloatType():
            return 3
        case inspect.BoolType():
            return True
        case inspect.RawType():
            return {"raw": 1}
    return "text"


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every place within a document."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from paths(item, (*path, key))


def replaced(document: Any, path: Path, value: object) -> Any:
    """The document with another value at one place."""
    document = copy.deepcopy(document)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@pytest.mark.slow
@pytest.mark.parametrize("reply", [wire.Page, *REPLIES])
def test_every_side_field_may_have_another_type(reply: type[wire.Reply]) -> None:
    """Whatever the type of a field that is not essential, the reply is read, what it cannot mean is counted, and the
    rest is as it was.
    """
    decoder = msgspec.json.Decoder(reply)
    document = example(inspect.type_info(reply))
    whole = plain(decoder.decode(written(document)))
    tried = 0
    for path in paths(document):
        if path[-1] in ESSENTIAL or "raw" in path:
            continue
        for value in OTHER_TYPES:
            if isinstance(value, dict) and path[0] in ("result", "predictions") and len(path) == 2:
                continue  # a sample or window without its id
            if path[0] in LISTS and len(path) == 1 and not isinstance(value, list | type(None)):
                continue
            unknown: Counter[str] = Counter()
            found = decode(decoder, written(replaced(document, path, value)), unknown)
            again = plain(found)
            for other in paths(whole):
                if diverges_at_a_field(path, other):
                    assert at(whole, other) == at(again, other), (path, value, other)
            assert set(unknown) <= {snake(part) for part in path if isinstance(part, str)} | {"number"} | {"what"}, (
                path,
                value,
            )
            tried += 1
    assert tried >= len(OTHER_TYPES)


@pytest.mark.parametrize(
    ("reply", "name"),
    [(wire.Page, LISTS[0]), (wire.Page, LISTS[1]), (wire.Impulses, LISTS[2]), (wire.Variants, LISTS[3])],
)
@pytest.mark.parametrize("value", [7, "text", {}, {"a": 1}])
def test_a_list_of_another_type_is_not_an_empty_one(reply: type[wire.Reply], name: str, value: object) -> None:
    """A reply whose list is none is refused: taken as empty it would say that results or impulses are gone."""
    with pytest.raises(msgspec.ValidationError, match=name):
        decode(msgspec.json.Decoder(reply), written({"success": True, name: value}), Counter())


def diverges_at_a_field(path: Path, other: Path) -> bool:
    """Whether two places are in different fields, and not in an item of a list that needs an id or a name to be read at
    all.
    """
    for depth, (mine, its) in enumerate(zip(path, other, strict=False)):
        if mine != its:
            droppable = path[-1] in ("id", "variant") and path[0] in ("impulses", "modelVariants")
            return isinstance(mine, str) and not (droppable and depth > 0)
    return False


def plain(value: Any) -> Any:
    """What was read, as on the wire."""
    if isinstance(value, msgspec.Struct):
        return {field.encode_name: plain(getattr(value, field.name)) for field in msgspec.structs.fields(value)}
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    return [plain(item) for item in value] if isinstance(value, list) else value


def at(document: Any, path: Path) -> Any:
    """The value at one place; a marker where there is none."""
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return "nothing here"
    return document


def snake(name: str) -> str:
    """The name of a field in Python."""
    return {"mAP": "map"}.get(name, "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


@pytest.mark.parametrize(
    "path", [("result", 0, "sampleId"), ("predictions", 1, "sampleId"), ("predictions", 0, "prediction"), ("success",)]
)
@pytest.mark.parametrize("value", [None, [], {}])
def test_essential_fields_fail_the_page(path: Path, value: object) -> None:
    """A sample without a readable id, or a window without its prediction, is no page that figures
    could be taken from.
    """
    decoder = msgspec.json.Decoder(wire.Page)
    document = example(inspect.type_info(wire.Page))

    with pytest.raises(msgspec.ValidationError):
        decode(decoder, written(replaced(document, path, value)), Counter())


READ_AS: list[tuple[Path, Any, Any]] = [
    (("totalCount",), 60.0, 60),
    (("totalCount",), "60", 60),
    (("totalCount",), " +60. ", 60),
    (("result", 0, "sampleId"), "12", 12),
    (("result", 0, "sample", "deviceName"), 7, "7"),
    (("result", 0, "sample", "added"), 1700000000000, "1700000000000"),
    (("result", 0, "sample", "boundingBoxes", 0, "label"), 1, "1"),
    (("result", 0, "sample", "boundingBoxes", 0, "label"), False, "false"),
    (("result", 0, "sample", "boundingBoxes", 0, "x"), "1.5", 1.5),
    (("result", 0, "classifications", 0, "minimumConfidenceRating"), "0.6", 0.6),
    (("result", 0, "classifications", 0, "learnBlock", "id"), "2", 2),
    (("predictions", 0, "predictionCorrect"), 1, True),
    (("predictions", 0, "predictionCorrect"), 0.0, False),
    (("predictions", 0, "predictionCorrect"), "True", True),
    (("predictions", 0, "startMs"), "500", 500.0),
    (("predictions", 0, "prediction"), True, "true"),
]


@pytest.mark.parametrize(("path", "value", "expected"), READ_AS)
def test_read_where_it_can_only_mean_one_thing(path: Path, value: object, expected: object) -> None:
    """A number in quotes is that number, a number as a name is its digits; nothing of it is counted as unknown."""
    unknown: Counter[str] = Counter()
    document = example(inspect.type_info(wire.Page))
    found = decode(msgspec.json.Decoder(wire.Page), written(replaced(document, path, value)), unknown)

    assert expected == at(plain(found), path)
    assert not unknown


LEFT_OUT: list[tuple[Path, Any, str]] = [
    (("totalCount",), "many", "total_count"),
    (("totalCount",), 1.5, "total_count"),
    (("totalCount",), True, "total_count"),
    (("result", 0, "sample", "imageDimensions"), [], "image_dimensions"),
    (("result", 0, "classifications", 0, "learnBlock", "id"), 2**63, "id"),
    (("predictions", 0, "predictionCorrect"), 2, "prediction_correct"),
    (("predictions", 0, "startMs"), "nan", "start_ms"),
    (("predictions", 0, "startMs"), 10**400, "start_ms"),
]


@pytest.mark.parametrize(("path", "value", "field"), LEFT_OUT)
def test_left_out_where_it_can_mean_nothing(path: Path, value: object, field: str) -> None:
    """What a field cannot mean is absent, and counted by the field's name."""
    unknown: Counter[str] = Counter()
    document = example(inspect.type_info(wire.Page))
    found = decode(msgspec.json.Decoder(wire.Page), written(replaced(document, path, value)), unknown)

    assert at(plain(found), path) is None
    assert {field: 1} == unknown


def test_null_within_a_list() -> None:
    """A null among samples, entries or boxes is left out and counted; one among impulses likewise, and an impulse
    without an id.
    """
    unknown = Counter[str]()
    page: wire.Page = decode(
        msgspec.json.Decoder(wire.Page),
        b'{"success": true, "result": [null, {"sampleId": 1, "classifications": [null, {}],'
        b' "sample": {"boundingBoxes": [null]}}]}',
        unknown,
    )
    impulses = decode(
        msgspec.json.Decoder(wire.Impulses), b'{"success": true, "impulses": [null, {"name": "x"}, {"id": 1}]}', unknown
    )

    assert page.result is not None and page.result[0].classifications is not None
    assert (1, 1) == (len(page.result), len(page.result[0].classifications))
    assert [1] == [impulse.id for impulse in impulses.impulses or ()]
    assert {"result": 1, "classifications": 1, "bounding_boxes": 1, "impulses": 2} == unknown


SURROGATES: list[tuple[bytes, str]] = [
    (rb"clip \ud83d", "clip \ufffd"),
    (rb"clip \ude00!", "clip \ufffd!"),
    (rb"\ud83d\ud83d\ude00", "\ufffd😀"),
    (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
    (rb"\ud83d\n", "\ufffd\n"),
    (b"clip \xed\xa0\xbd", "clip \ufffd"),
    (b"clip \xff", "clip \ufffd"),
]


@pytest.mark.parametrize(("sent", "expected"), SURROGATES)
@pytest.mark.parametrize("field", ["deviceName", "filename"])
def test_lone_surrogates(sent: bytes, expected: str, field: str) -> None:
    """A text cut inside an emoji, read or skipped, is read with U+FFFD in the place of what was cut."""
    body = b'{"success": true, "result": [{"sampleId": 1, "sample": {"%s": "%s", "category": "\xc3\xa9\\u00e9"}}]}' % (
        field.encode(),
        sent,
    )
    page = decode(msgspec.json.Decoder(wire.Page), body, Counter())

    assert page.result is not None
    sample = page.result[0].sample
    assert sample is not None
    read = {"deviceName": sample.device_name, "filename": sample.filename}
    assert (expected, "éé") == (read[field], sample.category)


def test_byte_order_mark() -> None:
    """A byte-order mark in front is skipped."""
    assert decode(msgspec.json.Decoder(wire.Reply), b'\xef\xbb\xbf{"success": true}', Counter()).success


def test_constants_of_python() -> None:
    """NaN and infinities, which are not JSON, are no value; in a text they are what they are."""
    unknown: Counter[str] = Counter()
    body = b'{"success": true, "totalCount": NaN, "x": [-Infinity, Infinity], "error": "NaN \\" -Infinity"}'
    page = decode(msgspec.json.Decoder(wire.Page), body, unknown)

    assert (None, 'NaN " -Infinity') == (page.total_count, page.error)
    assert {"number": 3} == unknown


@pytest.mark.parametrize("field", [b"metadata", b"labelMap", b"skipped", b"deviceName"])
def test_deep_nesting(field: bytes) -> None:
    """What is nested thousands deep is cut off and counted, wherever it is."""
    deep = b'{"a":[' * 4000 + b'"]"' + b"]}" * 4000
    body = b'{"success": true, "result": [{"sampleId": 1, "sample": {"%s": %s, "category": "testing"}}]}' % (
        field,
        deep,
    )
    unknown: Counter[str] = Counter()
    page = decode(msgspec.json.Decoder(wire.Page), body, unknown)

    assert page.result is not None and page.result[0].sample is not None
    assert "testing" == page.result[0].sample.category
    assert 1 == unknown["nesting"]


BROKEN = [
    b"",
    b"{",
    b'{"success": true, "error": "\\ud83d',
    b"<html>NaN [[[</html>",
    b'"',
    b"[" * 5000,
    b"\xff\xfe",
    b'{"a": NaN',
    b"N" * 9999,
]


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_not_json(body: bytes) -> None:
    """A text that breaks off or never was JSON is refused as such."""
    with pytest.raises(msgspec.DecodeError):
        decode(msgspec.json.Decoder(wire.Page), body, Counter())


@pytest.mark.parametrize(
    ("begin", "repeated", "end"),
    [
        (b"", b'{"N', b""),
        (b"", b"N", b""),
        (b"I" * 10, b"x", b"NaN"),
        (b"", b'\\"', b"NaN"),
        (b"", b"[", b""),
    ],
    ids=repr,
)
def test_garbage_is_read_in_one_pass(begin: bytes, repeated: bytes, end: bytes) -> None:
    """Mending costs no more than a text is longer, also where it is made to be scanned again and again."""

    def mending(times: int) -> Callable[[], None]:
        garbage = begin + repeated * times + end

        def work() -> None:
            with pytest.raises(msgspec.DecodeError):
                decode(msgspec.json.Decoder(wire.Page), garbage, Counter())

        return work

    assert growth(mending, 2_000) < LINEAR


def entry(number: int, block_type: str, **fields: Any) -> dict[str, Any]:
    """One entry of a sample's `classifications`."""
    listed = [{"key": "min_score", "value": 0.6}, {"key": "anomaly_scoring_aggregation_method", "value": "max"}]
    return {
        "learnBlock": {"id": number, "type": block_type, "name": "NN"},
        "thresholds": listed,
        "minimumConfidenceRating": 0.6,
        **fields,
    }


def debug_info() -> dict[str, Any]:
    """FOMO's matching of one image."""
    point = {"x": 0.8, "y": 0.4, "label": 1}
    lists: dict[str, Any] = {"y_trues": [point, point], "y_preds": [point], "assignments": [{"yp": 0, "yt": 0}]}
    return {**lists, "unassigned_y_true_idxs": [1], "unassigned_y_pred_idxs": [], "normalised_min_distance": 0.2}


def document(*numbers: int) -> dict[str, Any]:
    """A page with a block of every kind, debug information not yet as a text."""
    box = {"label": "cat", "x": 1, "y": 2, "width": 3, "height": 4}
    fields = {
        "added": "2026-01-02T03:04:05Z",
        "deviceName": "one",
        "metadata": {"site": "lab"},
        "imageDimensions": {"width": 32, "height": 24},
    }
    entries = [
        entry(1, "keras", result=[{"a": 0.25, "b": 0.75}], expectedAnomalyOutcome=["anomaly"]),
        entry(2, "anomaly", result=[{"anomaly": 0.5}]),
        entry(3, "keras-visual-anomaly", anomalyResult=[{"scores": [[0.1, 0.2]], "maxScore": 0.2, "meanScore": 0.15}]),
        entry(4, "keras-object-detection", structuredResult=[{"mAP": 0.5, "f1": 0.5, "debugInfoJson": debug_info()}]),
    ]
    window = {"startMs": 0, "endMs": 1000, "label": "a", "prediction": "b", "predictionCorrect": False, "f1Score": 0.5}
    page = {
        "success": True,
        "totalCount": len(numbers),
        "result": [
            {"sampleId": number, "sample": {**fields, "boundingBoxes": [box]}, "classifications": entries}
            for number in numbers
        ],
        "predictions": [{"sampleId": number, **window, "boundingBoxes": [{**box, "score": 0.5}]} for number in numbers],
    }
    unshared: dict[str, Any] = json.loads(json.dumps(page))
    return unshared


def built(page: dict[str, Any]) -> tuple[ResultSet, Counter[str]]:
    """The result set of one page, and what was counted as unknown."""
    page = copy.deepcopy(page)
    for result in page["result"]:
        with contextlib.suppress(AttributeError, LookupError, TypeError):
            for image in result["classifications"][3]["structuredResult"]:
                if isinstance(image["debugInfoJson"], dict):
                    image["debugInfoJson"] = json.dumps(image["debugInfoJson"])
    unknown: Counter[str] = Counter()
    builder = ColumnBuilder(("site",))
    builder.add(decode(msgspec.json.Decoder(wire.Page), written(page), unknown))
    results = builder.finish()
    return results, unknown + builder.unknown


@pytest.mark.slow
def test_every_value_of_a_sample_may_have_another_type() -> None:
    """Whatever one value of one sample is, in whichever block, the result set is built, and another sample's rows are
    as they were.
    """
    page = document(1, 2)
    whole, unknown = built(page)
    assert not unknown
    assert whole.fomo is not None
    tried = Counter[str]()
    for path in paths(page):
        if path[:2] not in (("result", 1), ("predictions", 1)) or path[-1] in ESSENTIAL or len(path) == 2:
            continue
        for value in OTHER_TYPES:
            results, counted = built(replaced(page, path, value))
            assert whole.sample_id.tolist() == results.sample_id.tolist()
            assert (0.25, 0.75) == tuple(results.confidences[1].values[0, :2].tolist()), (path, value)
            assert [0.5] == results.anomaly[2][:1].tolist()
            assert [0.2] == results.anomaly[3][:1].tolist()
            assert results.fomo is not None
            assert (1, 0, 1) == tuple(
                column.tolist()[0]
                for column in (results.fomo.true_positives, results.fomo.false_positives, results.fomo.false_negatives)
            )
            tried["counted" if counted else "read"] += 1
    assert tried["counted"] > 300 < tried["read"]


def test_a_bad_centroid_costs_no_counts() -> None:
    """One centroid that cannot be read, or none of their coordinates, leaves the image's counts, and the others their
    places.
    """
    for broken in (None, 7, {"x": "far", "y": 0.4, "label": [1]}, {}):
        info = debug_info() | {"y_trues": [broken, {"x": "0.5", "y": 0.4, "label": 2.0}]}
        page = document(1)
        page["result"][0]["classifications"][3]["structuredResult"][0]["debugInfoJson"] = info
        fomo = built(page)[0].fomo

        assert fomo is not None
        assert (1, 0, 1) == (fomo.true_positives[0], fomo.false_positives[0], fomo.false_negatives[0])
        assert (-1, 2) == tuple(fomo.truth.label.tolist())
        assert np.isnan(fomo.truth.xy[0, 0]) and [0.5, 0.4] == fomo.truth.xy[1].tolist()


@pytest.mark.parametrize("text", ["{broken", "[1, 2", '"', '{"y_trues": [], "assignments": "none"}', "[]", "NaN"])
def test_debug_info_that_cannot_be_read(text: str) -> None:
    """An image whose debug information cannot be read has no counts; the others keep theirs."""
    page = document(1, 2)
    page["result"][1]["classifications"][3]["structuredResult"][0]["debugInfoJson"] = text
    results, counted = built(page)

    assert results.fomo is not None
    assert [1, -1] == results.fomo.true_positives.tolist()
    assert [1, -1] == results.fomo.false_negatives.tolist()
    assert 1 == counted["debug_info"]


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (1700000000000, "2023-11-14T22:13:20"),
        ("1700000000", "2023-11-14T22:13:20"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59"),
        ("12345-01-01T00:00:00Z", None),
        (10**18, None),
        (-1e300, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
    ],
)
def test_dates(added: object, expected: str | None) -> None:
    """Dates may be numbers of seconds or milliseconds; what is beyond the calendar is unknown, and counted."""
    page = document(1)
    page["result"][0]["sample"]["added"] = added
    results, counted = built(page)

    if expected is None and str(added).startswith("0001"):
        assert not np.isnat(results.added[0])  # datetime64 holds it
        return
    assert np.datetime64(expected or "NaT", "ms") == results.added[0] or (
        expected is None and np.isnat(results.added[0])
    )
    assert (0 if expected else 1) == counted["added"]
    assert (expected is None) == (timestamp(str(added)) is None)


def test_thresholds() -> None:
    """Numbers in quotes are numbers, other texts are kept as texts, what is neither is counted and left out."""
    page = document(1)
    page["result"][0]["classifications"][0]["thresholds"] = [
        {"key": "min_score", "value": "0.75"},
        {"key": "method", "value": "mean"},
        {"key": "huge", "value": 10**400},
        {"key": "longer", "value": "5000 digits"},
        {"key": "list", "value": [1]},
        {"key": "flag", "value": True},
        {"key": "nothing", "value": None},
        {"value": 1},
        None,
    ]
    results, counted = built(page)

    block = results.blocks[0]
    assert {"min_score": 0.75} == block.thresholds
    assert {"method": "mean"} == block.texts
    assert 5 == counted["thresholds"]

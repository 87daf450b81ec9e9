"""`ResultSet`: what Studio said about one target, as columns.

A *sample* is one uploaded recording or image; a *window* is one prediction on it. A sample has zero, one or many
windows. Columns are NumPy arrays in the smallest integer type that holds them; texts are codes into a sorted table, so
that two result sets with the same content have the same columns, whatever order the pages came in.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.float64]

FINGERPRINT_VERSION = 3
"""Of what a reply of Studio is read as, and of the formula of its fingerprint. Raised, once per release, where the same
reply gives other columns or another fingerprint: what is stored is then brought up before anything is compared with
it."""

UNCERTAIN = "uncertain"
"""Studio's prediction for a window whose best confidence is below the block's `min_score`."""

# values of `ResultSet.correct`
CORRECT = 1
WRONG = 0
UNSCORED = -1
"""The value for a prediction that Studio did not evaluate."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""A decimal as people and programs write it: `05.50`, `+3`, `3.5`, `.5`, `5.`, `1e-07`; no `nan`, `inf`, `1_000` or
`0x10`.
"""

_VALUES_AT_ONCE = 1 << 16  # of a column, as bytes of a fingerprint (512 kB)


EXEMPT: Mapping[str, str] = MappingProxyType(
    {
        "blocks.name": "renaming a block changes nothing that it says",
        "added": "when a sample came into the data set is no result; uploading it again would be",
        "filename": "what a recording is called changes nothing that was found on it",
        "device": "whose recording a sample is decides about slices and units, not about what was found on it",
        "metadata": "which keys are kept is configured; they decide about slices, as devices do",
        "left_out": "counts of what no column holds; the same content counts differently where a server repeats itself",
    }
)
"""Columns that are no part of the fingerprint, each with the reason; a test changes every column of a result set."""


class BlockKind(StrEnum):
    """What a learning block's results mean; decided from its `type` and last layer."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    ANOMALY = "anomaly"
    VISUAL_ANOMALY = "visual_anomaly"
    DETECTION = "detection"
    FOMO = "fomo"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Block:
    """One learning block of the impulse: identity, kind, its numeric thresholds by key, and those that are texts
    (such as `anomaly_scoring_aggregation_method`)."""

    id: int
    type: str
    kind: BlockKind
    name: str = ""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Categorical:
    """A column of texts: `codes` index `table` (sorted); -1 where there is none."""

    codes: IntArray
    table: tuple[str, ...]

    @classmethod
    def encode(cls, texts: Iterable[str | None]) -> Categorical:
        """Codes for `texts`, with a table of the distinct ones in sorted order."""
        texts = list(texts)
        table = tuple(sorted({text for text in texts if text is not None}))
        index = {text: code for code, text in enumerate(table)}
        return cls(shrink_dtype(np.array([-1 if text is None else index[text] for text in texts], np.int64)), table)

    def __len__(self) -> int:
        return len(self.codes)

    def texts(self) -> list[str | None]:
        """The column as Python strings; None where there is no value."""
        return [self.table[code] if code >= 0 else None for code in self.codes]


@dataclass(frozen=True, slots=True, eq=False)
class Confidences:
    """`values[m, k]` (float64, NaN where a window has none): the confidence of `classes[k]` (sorted) in window m."""

    classes: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Axis-aligned boxes, `xywh[k, 4]` (float64): left, top, width, height.

    `owner[k]` is ascending: for truth boxes the sample's index and pixels of the image; for detections the window's
    index and shares (0..1) of the image, with `score[k]` (float64). `label[k]` is a code into `ResultSet.labels`.
    """

    owner: IntArray
    label: IntArray
    xywh: FloatArray
    score: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.owner)

    @classmethod
    def none(cls, *, scored: bool) -> Boxes:
        """No boxes at all."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int8), np.empty((0, 4)), np.empty(0) if scored else None)


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """FOMO's centroids, as shares (0..1) of the image: `owner[k]` the window (ascending), `label[k]` Studio's class
    number.

    What could not be read of one is NaN, or -1 as class.
    """

    owner: IntArray
    label: IntArray
    xy: FloatArray

    @classmethod
    def none(cls) -> Points:
        """No points at all."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int8), np.empty((0, 2)))


@dataclass(frozen=True, slots=True, eq=False)
class FomoCounts:
    """What FOMO's own matching found per window (int64[m]; all -1 where its report is missing or cannot be read), and
    what it matched.
    """

    true_positives: IntArray
    false_positives: IntArray
    false_negatives: IntArray
    min_distance: FloatArray
    truth: Points
    predicted: Points


@dataclass(frozen=True, slots=True, eq=False)
class ResultSet:
    """The result set of one target at one time: n samples (ascending id), m windows (by sample, then start).

    Attributes:
        blocks: The impulse's learning blocks, by id.
        labels: Code table (sorted) of `label`, `prediction` and the labels of boxes.
        sample_id: int64[n], ascending, unique.
        added: datetime64[ms][n], when the sample came into the data set; NaT where unknown.
        device: Names of the devices the samples were recorded with.
        metadata: Per configured key, the samples' values.
        filename: What the samples are called; None where nobody kept it.
        image_size: int32[n, 2], width and height in pixels; 0 where unknown.
        sample: int[m], the window's sample as an index into the sample columns, ascending.
        start_ms, end_ms: Bounds of the window in milliseconds; -1 where unknown. Integers where all of them are.
        label, prediction: int[m], codes into `labels`; -1 where there is no label.
        correct: int8[m], CORRECT, WRONG or UNSCORED.
        confidences: Per classification block id.
        anomaly: Per anomaly block id, float64[m]; NaN where a window has none, infinity for what is not finite.
            Visual anomaly: the score that Studio decides on, each image's maximum or, by the block's texts, its mean.
        expected_anomaly: int8[m], 1 anomaly, 0 no anomaly, -1 no ground truth (Studio's `expectedAnomalyOutcome`).
        truth: The labelled boxes.
        detections: The predicted ones; None where the server is too old to send any, which is not the same as none
            found.
        reported_map, reported_f1: float64[m], Studio's own score of the image; NaN where absent.
        fomo: FOMO's matching; None for other models, and where no image came with debug information.
        left_out: How much of the reply no column could hold, by reason: `unparsable` boxes and rows, `unknown_block`s,
            and windows whose confidences have `too_many_classes`.
        label_map: Whether the project maps labels, so that predictions have no documented score.
    """

    blocks: tuple[Block, ...]
    labels: tuple[str, ...]
    sample_id: npt.NDArray[np.int64]
    added: npt.NDArray[np.datetime64]
    device: Categorical
    sample: IntArray
    start_ms: npt.NDArray[np.number]
    end_ms: npt.NDArray[np.number]
    label: IntArray
    prediction: IntArray
    correct: npt.NDArray[np.int8]
    confidences: Mapping[int, Confidences] = field(default_factory=dict)
    anomaly: Mapping[int, FloatArray] = field(default_factory=dict)
    expected_anomaly: npt.NDArray[np.int8] | None = None
    metadata: Mapping[str, Categorical] = field(default_factory=dict)
    filename: Categorical | None = None
    image_size: IntArray | None = None
    truth: Boxes | None = None
    detections: Boxes | None = None
    reported_map: FloatArray | None = None
    reported_f1: FloatArray | None = None
    fomo: FomoCounts | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    label_map: bool = False
    # once computed: columns never change
    _fingerprint: str | None = field(default=None, init=False, repr=False)
    _numbers: FloatArray | None = field(default=None, init=False, repr=False)

    @property
    def samples(self) -> int:
        """How many samples the set holds."""
        return len(self.sample_id)

    @property
    def windows(self) -> int:
        """How many windows (predictions) the set holds."""
        return len(self.sample)

    def kinds(self) -> frozenset[BlockKind]:
        """The kinds of learning block that occur."""
        return frozenset(block.kind for block in self.blocks)

    def numbers(self) -> FloatArray:
        """float64[labels + 1], the finite number that each text of `labels` spells, else NaN; NaN too at -1, which is
        for no text: the one reading of a regression's labels and predictions. Computed once.
        """
        if self._numbers is None:
            object.__setattr__(self, "_numbers", _read_numbers(self.labels))
        return cast("FloatArray", self._numbers)

    def fingerprint(self) -> str:
        """sha256 over what a verdict could depend on, with scores to 1e-9; `EXEMPT` lists what is not part of it, and
        why.

        Equal fingerprints: nothing new is known. Computed once.
        """
        if self._fingerprint is None:
            object.__setattr__(self, "_fingerprint", self._digest())
        return cast("str", self._fingerprint)

    def _digest(self) -> str:
        digest = hashlib.sha256(f"{FINGERPRINT_VERSION}".encode())
        for name, value in _content(self, ""):
            digest.update(f"\n{name} ".encode())
            for part in value:
                digest.update(part)
        return digest.hexdigest()

    def nbytes(self) -> int:
        """Bytes held by the columns and the texts that they stand for."""
        return _nbytes(self)


def shrink_dtype(values: npt.NDArray[np.integer]) -> IntArray:
    """`values` in the smallest signed integer type that holds them."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    return values.astype(np.promote_types(np.min_scalar_type(min(low, -1)), np.min_scalar_type(-high - 1)), copy=False)


def _read_numbers(texts: Sequence[str]) -> FloatArray:
    """float64[texts + 1]: what `ResultSet.numbers` gives."""
    together = "".join(texts)
    # of such texts `float` reads what `_NUMBER` matches, and what is not finite
    plain = together.isascii() and "_" not in together
    try:
        numbers = np.array([*map(float if plain else _number, texts), math.nan])
    except ValueError:
        numbers = np.array([*map(_number, texts), math.nan])
    numbers[~np.isfinite(numbers)] = math.nan
    return numbers


def _number(text: str) -> float:
    """The number that a text spells, else NaN."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _content(value: Any, name: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Every part of a result set that is not exempt, by name, as bytes that are the same for the same content, some at
    a time.
    """
    kind = type(value)
    if is_dataclass(kind):
        for each in _init_fields(kind):
            path = f"{name}.{each}" if name else each
            if path not in EXEMPT:
                yield from _content(getattr(value, each), path)
    elif isinstance(value, np.ndarray):
        yield f"{name} {value.shape}", _canonical_bytes(value)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        for item in value:
            yield from _content(item, name)
    elif isinstance(value, Mapping) and any(
        isinstance(item, np.ndarray) or is_dataclass(item) for item in value.values()
    ):
        for key, item in sorted(value.items()):
            yield from _content(item, f"{name}[{key}]")
    else:
        yield name, [json.dumps(sorted(value.items()) if isinstance(value, Mapping) else value).encode()]


@cache
def _init_fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind) if each.init)


def _canonical_bytes(values: npt.NDArray[Any]) -> Iterator[bytes]:
    """Of the array in canonical form: what is made of a block stays in the cache of one core."""
    flat = values.reshape(-1)
    for first in range(0, len(flat), _VALUES_AT_ONCE):
        yield _canonical(flat[first : first + _VALUES_AT_ONCE]).tobytes()


def _canonical(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """In the widest type, whatever the column's own is; scores rounded to 1e-9."""
    if values.dtype.kind != "f":
        return np.ascontiguousarray(values.astype("<i8"))
    wide = values.astype("<f8")
    with np.errstate(over="ignore"):
        rounded = np.round(wide, 9) + 0.0  # -0.0 and 0.0 are one value
    rounded = np.where(np.isfinite(rounded), rounded, wide)  # rounding overflows where there are no decimals anyway
    rounded[np.isnan(rounded)] = np.nan  # one bit pattern for every NaN
    return np.ascontiguousarray(rounded)


def _nbytes(value: object) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str):
        return sys.getsizeof(value)
    if isinstance(value, tuple):
        return sys.getsizeof(value) + sum(map(_nbytes, value))
    if isinstance(value, Mapping):
        return sum(map(_nbytes, value.values()))
    names = getattr(type(value), "__dataclass_fields__", ())
    return sum(_nbytes(getattr(value, name)) for name in names)

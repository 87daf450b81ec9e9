"""The same set as replies of `classify/all/result/page`, in the many ways in which servers may write and cut it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

Json = dict[str, Any]

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Spelling:
    """How a set is written; the defaults are the plainest way.

    Attributes:
        seed: Of orders and choices.
        page: Samples on a page.
        shuffled: Samples, predictions and members come in another order.
        escaped: Letters beyond ASCII are written as `\\u00e9`.
        loose: Numbers as texts, floats and truth values as numbers, wherever these mean the same.
        predictions: On the page of their sample (`own`), all on each page (`every`), all on the last page (`last`), each twice (`twice`).
        mark: A byte-order mark in front.
        total: `totalCount`, as a whole number, a float, a text, null, or not at all.
    """

    seed: int = 0
    page: int = 1000
    shuffled: bool = False
    escaped: bool = True
    loose: bool = False
    predictions: str = "own"
    mark: bool = False
    total: str = "int"

    def pages(self, results: list[Json], predictions: list[Json], total: int | None = None) -> list[Json]:
        """The pages as dictionaries, before they are written; `total` where the set has more samples than these."""
        rng = np.random.default_rng(self.seed)
        if self.shuffled:
            results = [results[place] for place in rng.permutation(len(results))]
            predictions = _shuffled(predictions, rng)
        starts = range(0, max(len(results), 1), self.page)
        pages = []
        for start in starts:
            part = results[start : start + self.page]
            ids = {result["sampleId"] for result in part}
            if self.predictions == "every" or (self.predictions == "last" and start == starts[-1]):
                rows = predictions
            elif self.predictions == "last":
                rows = []
            else:
                rows = [row for row in predictions if row["sampleId"] in ids]
                rows = [*rows, *rows] if self.predictions == "twice" else rows
            page = {"success": True, "result": part, "predictions": rows, **self._total(len(results) if total is None else total)}
            if self.loose:
                page = _loose(page, rng)
            pages.append(_reordered(page, rng) if self.shuffled else page)
        return pages

    def _total(self, count: int) -> Json:
        spelled = {"int": count, "float": float(count), "text": str(count), "null": None}
        return {"totalCount": spelled[self.total]} if self.total in spelled else {}

    def write(self, page: Json) -> bytes:
        """The page as the body of a reply."""
        body = json.dumps(page, ensure_ascii=self.escaped, separators=(",", ":") if self.seed % 2 else None)
        body = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", body)  # no encoding has them as they are
        return (BOM if self.mark else b"") + body.encode()

    def bodies(self, results: list[Json], predictions: list[Json]) -> list[bytes]:
        """All bodies."""
        return [self.write(page) for page in self.pages(results, predictions)]


def _shuffled(predictions: list[Json], rng: np.random.Generator) -> list[Json]:
    """In any order."""
    return [predictions[place] for place in rng.permutation(len(predictions))]


def _reordered(value: Any, rng: np.random.Generator) -> Any:
    """The same with the members of every object in another order."""
    if isinstance(value, list):
        return [_reordered(item, rng) for item in value]
    if isinstance(value, dict):
        return {name: _reordered(value[name], rng) for name in rng.permutation(np.array([*value], object)).tolist()}
    return value


NUMBERS = {
    "startMs",
    "endMs",
    "x",
    "y",
    "width",
    "height",
    "score",
    "mAP",
    "f1",
    "f1Score",
    "minimumConfidenceRating",
    "maxScore",
    "meanScore",
}
FLAGS = {"predictionCorrect"}
DIGITS = re.compile(r"[1-9][0-9]{0,8}")


def _loose(value: Any, rng: np.random.Generator, name: str = "") -> Any:
    """The same with other JSON types where these can only mean the same."""
    if isinstance(value, list):
        return [_loose(item, rng, name) for item in value]
    if isinstance(value, dict):
        return {
            key: _respelled(key, item, rng) if not isinstance(item, list | dict) else _loose(item, rng, key) if key not in OPEN else item
            for key, item in value.items()
        }
    return value


OPEN = {"result_", "metadata"}


def _respelled(name: str, value: Any, rng: np.random.Generator) -> Any:
    if rng.random() < 0.7 or value is None:
        return value
    if name in NUMBERS and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        return [repr(value), float(value)][int(rng.integers(2))]
    if name in FLAGS and isinstance(value, bool):
        return int(value)
    if name in ("deviceName", "label") and isinstance(value, str) and DIGITS.fullmatch(value):
        return int(value)
    if name == "id" and isinstance(value, int):
        return [str(value), float(value)][int(rng.integers(2))]
    return value

"""The same set as replies of `classify/all/result/page`, in the many ways in which servers may write and cut it."""

from __future__ import annotations

import json
import re
from collections import defaultdict
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
        overlap: Samples that a page repeats of the one before.
        shuffled: Samples, predictions and members come in another order.
        escaped: Letters beyond ASCII are written as `\\u00e9`.
        loose: Numbers as texts, floats and truth values as numbers, wherever these mean the same; null among what is
            listed.
        predictions: On the page of their sample (`own`), all on each page (`every`), all on the last page (`last`),
            each twice (`twice`).
        mark: A byte-order mark in front.
        total: `totalCount`, as a whole number, a float, a text, null, or not at all.
    """

    seed: int = 0
    page: int = 1000
    overlap: int = 0
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
        count = self._total(len(results) if total is None else total)
        starts = range(0, max(len(results), 1), self.page)
        pages = []
        for start in starts:
            part = results[max(0, start - self.overlap) : start + self.page]
            page = {
                "success": True,
                "result": part,
                "predictions": self._predictions(part, predictions, start == starts[-1]),
                **count,
            }
            if self.loose:
                page = _loose(page, rng)
            pages.append(_reordered(page, rng) if self.shuffled else page)
        return pages

    def _predictions(self, part: list[Json], predictions: list[Json], last: bool) -> list[Json]:
        """Those that come with a page of these samples."""
        if self.predictions == "every":
            return predictions
        if self.predictions == "last":
            return predictions if last else []
        ids = {result["sampleId"] for result in part}
        own = [row for row in predictions if row["sampleId"] in ids]
        # Windows without bounds are told apart by their place in a page's list: there a repeated one is another one.
        return own + [row for row in own if "startMs" in row] if self.predictions == "twice" else own

    def _total(self, count: int) -> Json:
        spelled = {"int": count, "float": float(count), "text": str(count), "null": None}
        return {"totalCount": spelled[self.total]} if self.total in spelled else {}

    def write(self, reply: Json) -> bytes:
        """A reply as its body."""
        body = json.dumps(reply, ensure_ascii=self.escaped, separators=(",", ":") if self.seed % 2 else None)
        # no encoding has them as they are
        body = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", body)
        body = body.replace('"@deep@"', '{"a":' * 3000 + "0" + "}" * 3000)
        return (BOM if self.mark else b"") + body.encode()

    def bodies(self, results: list[Json], predictions: list[Json]) -> list[bytes]:
        """All bodies."""
        return [self.write(page) for page in self.pages(results, predictions)]


def _shuffled(predictions: list[Json], rng: np.random.Generator) -> list[Json]:
    """In any order; windows without bounds in the order of their sample, by which alone they are told apart."""
    by_sample = defaultdict(list)
    for row in predictions:
        by_sample[row["sampleId"]].append(row)
    order = [row["sampleId"] for row in predictions]
    order = [order[place] for place in rng.permutation(len(order))]
    for rows in by_sample.values():
        if "startMs" in rows[0]:
            rng.shuffle(rows)
    return [by_sample[number].pop(0) for number in order]


def _reordered(value: Any, rng: np.random.Generator) -> Any:
    """The same with the members of every object in another order."""
    if isinstance(value, list):
        return [_reordered(item, rng) for item in value]
    if isinstance(value, dict):
        names = list(value)
        return {names[place]: _reordered(value[names[place]], rng) for place in rng.permutation(len(names))}
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
IDS = {"id", "sampleId"}
TEXTS = {"deviceName", "label", "prediction", "name"}
LISTS = {"result", "predictions", "classifications", "thresholds", "boundingBoxes"}
DIGITS = re.compile(r"[1-9][0-9]{0,8}")


def _loose(value: Any, rng: np.random.Generator, name: str = "", parent: str = "") -> Any:
    """The same with other JSON types where these can only mean the same."""
    if isinstance(value, list):
        items = [_loose(item, rng, name, parent) for item in value]
        # A null is no entry; only in lists with a place for each window it would be one.
        if (
            name in LISTS
            and parent != "classifications"
            and items
            and isinstance(items[0], dict)
            and rng.random() < 0.2
        ):
            items.insert(int(rng.integers(len(items) + 1)), None)
        return items
    if isinstance(value, dict):
        if name == "metadata":
            return value
        in_row = name == "result" and parent == "classifications"
        return {
            key: _loose(item, rng, key, name) if isinstance(item, list | dict) else _scalar(key, item, rng, in_row)
            for key, item in value.items()
        }
    return value


def _scalar(name: str, value: Any, rng: np.random.Generator, in_row: bool) -> Any:
    if rng.random() < 0.8 or value is None:
        return value
    if isinstance(value, bool):
        return int(value) if name == "predictionCorrect" else value
    if (in_row or name in NUMBERS) and isinstance(value, int | float) and abs(value) < 1e9:
        return [repr(value), float(value)][int(rng.integers(2))]
    if name in IDS and isinstance(value, int) and value < 2**53:
        return [str(value), float(value)][int(rng.integers(2))]
    if name in TEXTS and not in_row and isinstance(value, str) and DIGITS.fullmatch(value):
        return int(value)
    return value

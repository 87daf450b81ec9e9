"""`Reader`: what a page holds as raw JSON or as a value of any type, read as far as it can be; the rest is counted."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from monitor.studio import decoding, wire
from monitor.studio.blocks import Listed

T = TypeVar("T")

_OUTCOMES = {"anomaly": 1, "no anomaly": 0}
_NOTHING = (b"", b"null", b"[]", b"{}")

_thresholds = msgspec.json.Decoder(list[wire.Threshold] | None)
_anything = msgspec.json.Decoder(Any)


class Lists(Generic[T]):
    """Decoders of a list that each sample has, for one of them and for those of several samples in a list.

    Args:
        one: Of lists or null.
        all: Of lists of such.
    """

    def __init__(
        self, one: msgspec.json.Decoder[list[T] | None], all: msgspec.json.Decoder[list[list[T] | None]]
    ) -> None:
        self.one = one
        self.all = all


class Reader:
    """Of one pull.

    Attributes:
        unknown: How many values were met that this version does not know or cannot hold, by field.
    """

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self._threshold_cache: dict[bytes, Listed] = {}

    def decode(self, decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, field: str) -> T | None:
        """None where a value cannot be read at all, else what can be read of it; the rest is counted: it must not fail
        the pull.
        """
        if not raw:
            return None
        try:
            return decoder.decode(raw)
        except decoding.MALFORMED:
            unread: Counter[str] = Counter()
        try:
            found = decoding.decode(decoder, bytes(raw), unread)
        except msgspec.MsgspecError:
            self.unknown[field] += 1
            return None
        if unread:
            self.unknown[field] += unread.total()
        return found

    def lists(self, decoders: Lists[T], raws: Sequence[msgspec.Raw], field: str) -> list[list[T]]:
        """The lists of several samples' entries, each as `decode` reads it; empty where there is none."""
        found = decoding.decode_lists(decoders.all, raws)
        if found is None:
            found = [self.decode(decoders.one, raw, field) for raw in raws]
        return [each or [] for each in found]

    def outcome(self, value: object) -> int:
        """The code of an anomaly's ground truth: 1 anomaly, 0 none, -1 where nothing is said."""
        if value is None:
            return -1
        text = value.get("label") if isinstance(value, dict) else value  # {startIndex, endIndex, label}
        code = _OUTCOMES.get(text, -1) if isinstance(text, str) else -1
        if code < 0:
            self.unknown["expected_anomaly_outcome"] += 1
        return code

    def thresholds(self, raw: bytes) -> Listed:
        """The block's thresholds; cached, since every sample repeats them."""
        found = self._threshold_cache.get(raw)
        if found is None:
            values: dict[str, float | str] = {}
            for row in self.decode(_thresholds, raw, "thresholds") or ():
                if row.key and row.value is not None:
                    value = _threshold(row.value)
                    if value is None:
                        self.unknown["thresholds"] += 1
                    else:
                        values[row.key] = value
            found = self._threshold_cache[raw] = tuple(sorted(values.items()))
        return found


def is_label_map(page: wire.Page) -> bool:
    """Whether the project maps labels. Servers differ in where they say so, and samples without a value for it say
    nothing.
    """
    if _say_something([page.label_map_predictions]):
        return True
    results = page.result or ()
    samples = [result.sample for result in results if result.sample is not None]
    return (
        "label_map" in [sample.project_labeling_method for sample in samples]
        or _say_something([sample.label_map for sample in samples])
        or _say_something([entry.label_map_result for result in results for entry in result.classifications or ()])
        or _say_something([row.label_map_predictions for row in page.predictions or ()])
    )


def _say_something(raws: Sequence[msgspec.Raw]) -> bool:
    """Whether any of them is more than an empty value."""
    return any(map(_says_something, set(map(bytes, filter(None, raws)))))


def _says_something(raw: bytes) -> bool:
    if raw in _NOTHING:
        return False
    try:
        return bool(decoding.decode(_anything, raw, Counter()))
    except msgspec.MsgspecError:
        return True


def _threshold(value: object) -> float | str | None:
    """A number, also where it was sent as a text; a text that is none; None for what a threshold cannot be."""
    if isinstance(value, str):
        number = decoding.number(value)
        return value if number is None else number
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        return None
    return float(value)

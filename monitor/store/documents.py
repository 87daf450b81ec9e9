"""Evaluations and comparisons as JSON texts, in the standard's JSON: no NaN, no infinities, ASCII only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np

from monitor.compare.comparison import Comparison
from monitor.converting import converter
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation
from monitor.store.envelope import Envelope

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
"""A JSON value. Floats that are not finite are written as the texts `NaN`, `Infinity` and `-Infinity`."""

EVALUATION = Envelope("impulse-monitor evaluation", 1)
COMPARISON = Envelope("impulse-monitor comparison", 1)
FIRST_FIGURES = 1
"""The version of the formulas whose figures were written without an envelope."""


def dump(value: Json) -> str:
    """A value as compact JSON; floats that are not finite become the texts `NaN`, `Infinity` and `-Infinity`."""
    try:
        return _dump(value)
    except ValueError:  # the rare case: some float is not finite
        return _dump(_spelled(value))


def plain(value: object) -> object:
    """What msgspec writes of a value that it does not know: NumPy's numbers are numbers."""
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value)} in a document")


def dump_evaluation(evaluation: Evaluation) -> str:
    """An evaluation as JSON in its envelope: its dataclasses as objects; mappings with a pair as key as objects in
    objects.
    """
    document = msgspec.to_builtins(evaluation, enc_hook=plain)
    document["slices"] = _nested(document["slices"])
    if document["quality"]:
        document["quality"]["confusion"] = _nested(document["quality"]["confusion"])
    return dump(EVALUATION.seal(document, figures=FIGURES_VERSION))


def load_evaluation(text: str) -> Evaluation:
    """The evaluation that `dump_evaluation` made a text of.

    Raises:
        StoreTooNew: A newer version wrote it.
        ValueError: The text is no such document.
    """
    document = EVALUATION.open(json.loads(text))
    try:
        document["slices"] = _flat(document["slices"])
        if document["quality"]:
            document["quality"]["confusion"] = _flat(document["quality"]["confusion"])
        return _evaluation(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no evaluation: {error!r}") from error


def dump_comparison(comparison: Comparison) -> str:
    """A comparison as JSON in its envelope: its dataclasses as objects."""
    return dump(COMPARISON.seal(msgspec.to_builtins(comparison, enc_hook=plain), figures=FIGURES_VERSION))


def load_comparison(text: str) -> Comparison:
    """The comparison that `dump_comparison` made a text of.

    Raises:
        StoreTooNew: A newer version wrote it.
        ValueError: The text is no such document.
    """
    return _comparison(COMPARISON.open(json.loads(text)))


class _Head(msgspec.Struct):
    """What the envelope of an evaluation or a comparison says beside its content."""

    figures: int = FIRST_FIGURES


_head = msgspec.json.Decoder(_Head)


def figures_version(text: str) -> int:
    """Which version of the formulas (`FIGURES_VERSION`) made a stored evaluation or comparison.

    Raises:
        ValueError: The text is no such document.
    """
    return _head.decode(text).figures


_evaluation = converter(Evaluation, strict=False)  # not strict: floats may be spelled, such as "NaN"
_comparison = converter(Comparison, strict=False)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled(item) for item in value]
    return value


def _nested(pairs: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (first, second), value in pairs.items():
        nested.setdefault(first, {})[second] = value
    return nested


def _flat(nested: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(first, second): value for first, inner in nested.items() for second, value in inner.items()}

"""Evaluations and other values as JSON texts, in the standard's JSON: no NaN, no infinities, ASCII only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from monitor.evaluate.figures import Evaluation
from monitor.store.records import Json


def dump(value: Json) -> str:
    """A value as compact JSON; floats that are not finite become the texts `NaN`, `Infinity` and `-Infinity`."""
    try:
        return _dump(value)
    except ValueError:  # the rare case: some float is not finite
        return _dump(_spelled(value))


def load(text: str | None) -> Any:
    """The value of a JSON text; None for no text.

    Raises:
        ValueError: The text is no JSON.
    """
    return None if text is None else json.loads(text)


def dump_evaluation(evaluation: Evaluation) -> str:
    """An evaluation as JSON: its dataclasses as objects; mappings with a pair as key as objects in objects."""
    document = msgspec.to_builtins(evaluation, enc_hook=_plain)
    document["slices"] = _nested(document["slices"])
    if document["quality"]:
        document["quality"]["confusion"] = _nested(document["quality"]["confusion"])
    return dump(document)


def load_evaluation(text: str) -> Evaluation:
    """The evaluation that `dump_evaluation` made a text of.

    Raises:
        ValueError: The text is no such document.
    """
    document = json.loads(text)
    try:
        document["slices"] = _flat(document["slices"])
        if document["quality"]:
            document["quality"]["confusion"] = _flat(document["quality"]["confusion"])
        return msgspec.convert(document, Evaluation, strict=False)  # not strict: floats may be spelled, such as "NaN"
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no evaluation: {error!r}") from error


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _spelled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelled(item) for item in value]
    return value


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value)} in an evaluation")


def _nested(pairs: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (first, second), value in pairs.items():
        nested.setdefault(first, {})[second] = value
    return nested


def _flat(nested: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(first, second): value for first, inner in nested.items() for second, value in inner.items()}

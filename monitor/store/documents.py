"""Evaluations and comparisons as JSON texts, in the standard's JSON (no NaN, no infinities, ASCII only); memories of
drift as bytes.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np

from monitor.compare.comparison import Comparison
from monitor.compare.drift import Decision, DriftState
from monitor.compare.martingale import MartingaleState
from monitor.converting import converter
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation
from monitor.results import Block
from monitor.store.envelope import Envelope

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
"""A JSON value. Floats that are not finite are written as the texts `NaN`, `Infinity` and `-Infinity`."""

EVALUATION = Envelope("impulse-monitor evaluation", 1)
COMPARISON = Envelope("impulse-monitor comparison", 1)
FIRST_FIGURES = 1
"""The version of the formulas whose figures were written without an envelope."""

MEMORY_VERSION = 1
"""Of a stored drift memory; raised when an older reader would misread what is written."""


def dump(value: Json) -> str:
    """A value as compact JSON; floats that are not finite become the texts `NaN`, `Infinity` and `-Infinity`."""
    try:
        return _dump(value)
    except ValueError:  # the rare case: some float is not finite
        return _dump(_spelled(value))


def dump_evaluation(evaluation: Evaluation) -> str:
    """An evaluation as JSON in its envelope: its dataclasses as objects; mappings with a pair as key as objects in
    objects.
    """
    document = msgspec.to_builtins(evaluation, enc_hook=_plain)
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
    return dump(COMPARISON.seal(msgspec.to_builtins(comparison, enc_hook=_plain), figures=FIGURES_VERSION))


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


@dataclass(frozen=True, slots=True)
class _Memory:
    """A `DriftState` as it is stored, with the evidence's own bytes."""

    pinned: float
    since: float
    block: Block
    trained: float | None
    evidence: bytes
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What is stored: a `_Memory` in MessagePack and its CRC-32, so that a flipped bit is no evidence."""

    format: int
    crc32: int
    content: bytes


_evaluation = converter(Evaluation, strict=False)  # not strict: floats may be spelled, such as "NaN"
_comparison = converter(Comparison, strict=False)
_sealed = converter(_Sealed)
_memory = msgspec.msgpack.Decoder(_Memory)


def dump_drift_state(memory: DriftState) -> bytes:
    """A memory of drift in MessagePack; `load_drift_state` gives an equal one, to the last bit. Takes some 10 ms for
    500,000 samples.
    """
    stored = _Memory(
        memory.pinned, memory.since, memory.block, memory.trained, memory.evidence.to_bytes(), memory.decision
    )
    content = msgspec.msgpack.encode(stored, enc_hook=_plain)
    return msgspec.msgpack.encode(_Sealed(MEMORY_VERSION, zlib.crc32(content), content))


def load_drift_state(data: bytes) -> DriftState:
    """The memory that `dump_drift_state` wrote.

    Raises:
        ValueError: The bytes are no such memory, or a newer version of the service wrote them.
    """
    try:
        document = msgspec.msgpack.decode(data)
        version = document["format"]
        if version == MEMORY_VERSION:
            sealed = _sealed(document)
            if zlib.crc32(sealed.content) != sealed.crc32:
                raise ValueError("its checksum does not fit")
            stored = _memory.decode(sealed.content)
            evidence = MartingaleState.from_bytes(stored.evidence)
            return DriftState(stored.pinned, stored.since, stored.block, stored.trained, evidence, stored.decision)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"a stored drift memory cannot be read ({error}); its evidence starts anew") from error
    raise ValueError(
        f"a stored drift memory has format {version}, this version reads {MEMORY_VERSION}; "
        "run the version that wrote it, or let its evidence start anew"
    )


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
    raise NotImplementedError(f"{type(value)} in a document")


def _nested(pairs: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for (first, second), value in pairs.items():
        nested.setdefault(first, {})[second] = value
    return nested


def _flat(nested: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    return {(first, second): value for first, inner in nested.items() for second, value in inner.items()}

"""`EvidenceState` as bytes, and back to the last bit: a NumPy archive, compressed as a whole, some 10 to 35 KB."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from monitor.compare.distances import distances, gate_open
from monitor.compare.evidence import EvidenceState, begin, count
from monitor.compare.evidence_samples import Kept, Scores
from monitor.compare.martingale import ALARM, Bets, Ids, MartingaleState, drift_bets, mean_evidence
from monitor.figures.groups import Unit, UnitChoice
from monitor.results import shrink_dtype

_VERSION = 2
_FIRST = 1
"""The version that knew no groups and kept every score."""

_NUMBERS = ("chosen", "size", "known_to", "added", "units", "small", "starts", "gate", "shut", "alarm", "looked")
_ZIP = b"PK"
_UNREADABLE = (ValueError, KeyError, TypeError, EOFError, OSError, IndexError, zipfile.BadZipFile, zlib.error)
_SAMPLES = ("reference", "recent", "raised")

Arrays = Mapping[str, npt.NDArray[Any]]


def dump_evidence(state: EvidenceState) -> bytes:
    """The state as bytes; `load_evidence` gives an equal one."""
    arrays: dict[str, Any] = {
        "version": np.int64(_VERSION),
        "seed": np.uint64(state.seed),
        "numbers": np.array([int(getattr(state, name)) for name in _NUMBERS], np.int64),
        "unit": np.bool_(state.unit == "group"),
        "known": _steps(state.known),
        "keys": state.keys,
        "sizes": shrink_dtype(state.sizes),
    }
    for name in _SAMPLES:
        kept: Kept = getattr(state, name)
        if name == "raised" and not len(kept):
            continue  # as in states of releases that did not keep it
        key, group = np.unique(kept.group, return_inverse=True)
        arrays |= {
            f"{name}_id": _steps(kept.id),
            f"{name}_value": kept.value.astype(np.float32),
            f"{name}_key": key,
            f"{name}_group": shrink_dtype(group),
        }
    martingales = state.martingales
    for name in ("seed", "keep", "counted", "peak", "shares", "log_capital"):
        kind = np.uint64 if name == "seed" else None
        arrays[f"martingale_{name}"] = np.array([getattr(each, name) for each in martingales], kind)
    for name in ("knots", "level", "count"):
        columns = [getattr(each, name) for each in martingales]
        whole = np.concatenate(columns)
        arrays[f"martingale_{name}"] = whole.astype(np.float32) if whole.dtype.kind == "f" else shrink_dtype(whole)
        arrays[f"martingale_{name}s"] = np.array([len(column) for column in columns], np.int64)
    return _packed(arrays)


def dump_values(kept: Kept | None) -> bytes:
    """Ids and values as bytes; nothing of None."""
    if kept is None:
        return b""
    return _packed({"id": _steps(kept.id), "value": kept.value.astype(np.float32)})


def load_values(data: bytes) -> Kept | None:
    """What `dump_values` wrote, each sample a group of its own.

    Raises:
        ValueError: The bytes are nothing that it wrote.
    """
    if not data:
        return None
    try:
        arrays = _unpacked(data)
        ids = _sums(arrays["id"])
        value = arrays["value"].astype(np.float64)
    except _UNREADABLE as error:
        raise ValueError("the values of a stored state cannot be read") from error
    return Kept(ids, value, ids)


def load_evidence(data: bytes, limit: float | None, bets: Bets = drift_bets) -> EvidenceState:
    """The state that `dump_evidence` wrote.

    A state of version 1 goes on with a new start: with the same reference, and what was counted neither reference nor
    counted again. Whether its alarm lasts is decided by the formulas of then.

    Args:
        data: The bytes.
        limit: The block's threshold, of which a state of version 1 says nothing.
        bets: As for `begin`.

    Raises:
        ValueError: The bytes are no such state, or a newer version of the service wrote them.
    """
    try:
        arrays = _unpacked(data)
        version = int(arrays["version"])
        if version == _FIRST:
            return _of_first(arrays, limit, bets)
        if version == _VERSION:
            return _state(arrays)
    except _UNREADABLE as error:
        raise ValueError(
            "a stored drift state cannot be read; pin the baseline again to start its evidence again"
        ) from error
    raise ValueError(
        f"a stored drift state has format {version}, this version reads {_VERSION}; "
        "run the version that wrote it, or pin the baseline again to start its evidence again"
    )


def _packed(arrays: Arrays) -> bytes:
    """The arrays in one stream: an archive that compresses each by itself spends half as much again on its headers."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return zlib.compress(buffer.getvalue(), 9)


def _unpacked(data: bytes) -> Arrays:
    archive = data if data.startswith(_ZIP) else zlib.decompress(data)  # version 1 was not compressed
    with np.load(io.BytesIO(archive), allow_pickle=False) as found:
        return dict(found)


def _state(arrays: Arrays) -> EvidenceState:
    numbers = dict(zip(_NUMBERS, arrays["numbers"].tolist(), strict=True))
    for name in ("chosen", "gate", "alarm"):
        numbers[name] = bool(numbers[name])
    unit: Unit = "group" if arrays["unit"] else "sample"
    return EvidenceState(
        seed=int(arrays["seed"]),
        unit=unit,
        reference=_samples(arrays, "reference"),
        recent=_samples(arrays, "recent"),
        raised=_samples(arrays, "raised") if "raised_id" in arrays else Kept.none(),
        known=_sums(arrays["known"]),
        keys=arrays["keys"],
        sizes=arrays["sizes"].astype(np.int64),
        martingales=tuple(_martingales(arrays)),
        **numbers,
    )


def _samples(arrays: Arrays, name: str) -> Kept:
    value = arrays[f"{name}_value"].astype(np.float64)
    return Kept(_sums(arrays[f"{name}_id"]), value, arrays[f"{name}_key"][arrays[f"{name}_group"]])


def _martingales(arrays: Arrays) -> list[MartingaleState]:
    names = [each.name for each in fields(MartingaleState)]
    columns: dict[str, list[Any]] = {}
    for name in names:
        column = arrays[f"martingale_{name}"]
        if name in ("knots", "level", "count"):
            kind = np.int64 if name == "count" else np.float64
            ends = np.cumsum(arrays[f"martingale_{name}s"])
            columns[name] = np.split(column.astype(kind), ends[:-1])
        else:
            columns[name] = list(column) if column.ndim > 1 else column.tolist()
    return [MartingaleState(**dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _of_first(arrays: Arrays, limit: float | None, bets: Bets) -> EvidenceState:
    """A state of version 1 as one of today.

    It knew no groups: the unit is chosen as soon as ten are known, as where the baseline had fewer.
    """
    nowhere = np.datetime64("NaT", "ms")
    reference, counted = (
        Scores(ids.astype(np.int64), values.astype(np.float64), np.full(len(ids), nowhere))
        for ids, values in ((arrays[f"{side}_id"], arrays[side]) for side in ("reference", "counted"))
    )
    state = begin(reference, UnitChoice(), int(arrays["seed"]), bets)
    begun = state.martingales
    state = count(state, counted, nowhere, bets)  # what is known, and what came last: the largest ids
    matters = bool(len(reference.id) and len(counted.id)) and gate_open(
        distances(reference.value, counted.value, limit)
    )
    gate = matters and state.sufficient
    evidence = float(mean_evidence(arrays["log_capital"].astype(np.float64)))
    alarm = gate and evidence >= ALARM
    return replace(state, martingales=begun, chosen=False, starts=2, gate=gate, alarm=alarm)


def _steps(ids: Ids) -> npt.NDArray[np.integer]:
    """Ids as differences, which are mostly small; the first one is from 0."""
    return shrink_dtype(np.diff(ids, prepend=0))


def _sums(steps: npt.NDArray[Any]) -> Ids:
    return cast("Ids", np.cumsum(steps.astype(np.int64)))

"""`Found`: what a good pull found, and the seed of the statistics about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from monitor.figures.evaluation import Evaluation
from monitor.results import ResultSet


@dataclass(frozen=True, slots=True)
class Found:
    """What a good pull found.

    Attributes:
        results: The columns.
        fingerprint: Of them.
        evaluation: The figures.
        trained: Unix seconds of the model's training; None where the key may not read it.
        impulse_stale: Whether the data set changed since features were generated; None where unknown.
        chose_units: Whether it chose a unit that the baseline could not choose.
    """

    results: ResultSet
    fingerprint: str
    evaluation: Evaluation
    trained: float | None
    impulse_stale: bool | None
    chose_units: bool = False


def seed_of(target_id: str, fingerprint: str) -> int:
    """The seed of every re-sampling about a result set, 0 to 2**64 - 1: the same set gives the same bounds and
    p-values, always.
    """
    return int.from_bytes(hashlib.sha256(f"{target_id} {fingerprint}".encode()).digest()[:8], "big")

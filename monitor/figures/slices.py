"""Accuracy by slice of the test set: by a key of the samples' metadata, or by device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monitor.figures.evaluation import Slice
from monitor.figures.scoring import accuracy_verdicts
from monitor.results import CORRECT, UNSCORED, Categorical, ResultSet

DEVICE_NAME = "device_name"
METADATA = "metadata."


def slices(results: ResultSet, keys: Sequence[str], limit: int) -> tuple[Mapping[tuple[str, str], Slice], int]:
    """Accuracy and scored windows per value of each slice key.

    Samples without the value are left out, and so are values without a scored window: a model without an accuracy has
    no slices of it.

    Args:
        results: The columns.
        keys: `metadata.<key>` or `device_name`; a metadata key that the result set does not hold has no values.
        limit: How many values of a key are kept: those with the most scored windows, of equal ones the first as text.

    Returns:
        The slices by (key, value), the largest of each key first; and how many values the limit cut, over all keys.

    Raises:
        ValueError: A key is neither of both.
    """
    found: dict[tuple[str, str], Slice] = {}
    cut = 0
    if not keys:
        return found, cut
    verdicts = accuracy_verdicts(results)
    scored = verdicts != UNSCORED
    sample = results.sample[scored]
    correct = verdicts[scored] == CORRECT
    # Two numbers per sample first: what is left to do per key no longer depends on the windows.
    windows = np.bincount(sample, minlength=results.samples)
    hits = np.bincount(sample[correct], minlength=results.samples)
    for key in keys:
        column = _column(results, key)
        if column is None:
            continue
        value = column.codes.astype(np.intp) + 1
        by_value = np.bincount(value, windows, len(column.table) + 1)[1:]
        hits_by_value = np.bincount(value, hits, len(column.table) + 1)[1:]
        largest = np.argsort(-by_value, kind="stable")[: np.count_nonzero(by_value)]
        cut += max(0, len(largest) - limit)
        for code in largest[:limit]:
            found[key, column.table[code]] = Slice(float(hits_by_value[code] / by_value[code]), int(by_value[code]))
    return found, cut


def _column(results: ResultSet, key: str) -> Categorical | None:
    if key == DEVICE_NAME:
        return results.device
    if key.startswith(METADATA):
        return results.metadata.get(key.removeprefix(METADATA))
    raise ValueError(f"No slice `{key}`: write `{METADATA}<key>` or `{DEVICE_NAME}`")

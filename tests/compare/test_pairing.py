"""Which windows of two runs pair, beside dictionaries of them, in whatever order they come."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.compare.pairing import pair
from monitor.results import ResultSet
from tests.factories import result_set

Rows = list[tuple[int, int, int]]


def run_of(rows: Rows, ids: list[int]) -> ResultSet:
    """A result set with these windows, (place of the sample, start, end), in this order."""
    sample, start, end = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return result_set(sample=sample, sample_id=np.array(ids), start_ms=start, end_ms=end)


def by_the_book(before: Rows, old: list[int], after: Rows, new: list[int]) -> set[tuple[int, int]]:
    """The pairs of places: of each shared sample all windows by start and end, or none."""
    pairs = set()
    for number in set(old) & set(new):
        mine, theirs = (
            sorted((start, end, place) for place, (sample, start, end) in enumerate(rows) if ids[sample] == number)
            for rows, ids in ((before, old), (after, new))
        )
        if [row[:2] for row in mine] == [row[:2] for row in theirs]:
            pairs |= {(one[2], other[2]) for one, other in zip(mine, theirs, strict=True)}
    return pairs


@pytest.mark.parametrize("order", ["sorted", "ends shuffled", "starts shuffled", "all shuffled"])
@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_those_by_the_book(order: str, seed: int) -> None:
    """Windows pair by sample, start and end, whether they come in order, out of order within a sample, or anyhow; a
    sample of which one window differs has no pair.
    """
    rng = np.random.default_rng(seed)
    old, new = list(range(10, 22)), list(range(15, 27))
    before = [(sample, start, end) for sample in range(12) for start in (0, 500, 500) for end in (900, 1000)]
    after = [(sample, start, end + (sample == 3 and start == 0)) for sample, start, end in before]
    for rows in (before, after):
        keys = rng.permutation(len(rows)).tolist()
        place = {row: at for at, row in enumerate(rows)}
        if order == "all shuffled":
            rows[:] = [rows[at] for at in keys]
        elif order == "starts shuffled":
            rows.sort(key=lambda row: (row[0], keys[place[row]]))
        elif order == "ends shuffled":
            rows.sort(key=lambda row: (row[0], row[1], keys[place[row]]))
        else:
            rows.sort()
    found = pair(run_of(before, old), run_of(after, new))

    pairs = list(zip(found.baseline_window.tolist(), found.current_window.tolist(), strict=True))
    expected = by_the_book(before, old, after, new)
    assert len(pairs) == len(set(pairs))
    assert expected == set(pairs)
    assert 6 * found.samples == len(pairs) == 6 * 6
    assert (
        [old[at] for at in found.baseline_sample]
        == [new[at] for at in found.current_sample]
        == sorted((set(old) & set(new)) - {new[3]})
    )
    sample_of = np.array([row[0] for row in before])[found.baseline_window]
    assert found.baseline_sample[found.sample].tolist() == sample_of.tolist()

"""A short account of which samples a result set holds, by which two sets can be compared later without either.

The smallest hashes of the ids (bottom-k: E. Cohen, "Size-estimation framework with applications to transitive closure
and reachability", 1997): whether a sample is among them depends on its id alone, so that two sets' sketches hold the
same samples where the sets do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIZE = 128
"""How many hashes are kept: sets of so many samples are compared exactly, of larger ones to 4.4 points (one standard
error, at a half shared).
"""

_BITS = np.uint64(16)  # that a hash is shorter than 64: 48 fit a float, as some readers of JSON have nothing else


def sketch(sample_id: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """The 128 smallest hashes of the ids, ascending; all of them where there are fewer.

    Args:
        sample_id: int64[n], unique.
    """
    # the finaliser of SplitMix64 (Steele, Lea & Flood, 2014): a permutation, so that only shortening makes equal ones
    code = sample_id.astype(np.uint64)
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    code = (code ^ (code >> np.uint64(31))) >> _BITS
    if len(code) > SIZE:
        code = np.partition(code, SIZE - 1)[:SIZE]
    return tuple(np.sort(code).tolist())


def shared(found: tuple[int, ...], before: tuple[int, ...]) -> float | None:
    """Which share of a set's samples an earlier one holds too, 0..1, by their sketches.

    Up to the smaller of the two sketches' ends either tells of every sample whether it is in the set: the share is
    counted of those.

    Returns:
        Exact where neither set has more than 128 samples; None where one of the sketches is empty.
    """
    if not found or not before:
        return None
    ends = [part[-1] for part in (found, before) if len(part) == SIZE]  # a shorter one has all samples
    within = [code for code in found if not ends or code <= min(ends)]
    return len(set(within) & set(before)) / len(within) if within else 0.0

"""What happens to generated pictures and detectors is what the causes of a change say, for one thing and for two at a
time.
"""

from __future__ import annotations

import numpy as np
import pytest

from monitor.compare.change import MAP, MEAN_F1, changes
from monitor.results import BlockKind
from tests.compare.image_sequences import OPERATIONS, causes, gallery

ROUNDING = 1e-12
METRIC = {BlockKind.FOMO: MEAN_F1, BlockKind.DETECTION: MAP}


@pytest.mark.parametrize("second", [None, *OPERATIONS])
@pytest.mark.parametrize("kind", METRIC, ids=str)
def test_causes_of_pictures(kind: BlockKind, second: str | None) -> None:
    """Each cause is worth what loops and pycocotools say, they add up, and what was not done is exactly 0."""
    place = [None, *OPERATIONS].index(second)
    for number, first in enumerate(OPERATIONS):
        names = [name for name in (first, second) if name is not None]
        if kind is BlockKind.FOMO and any("threshold" in name for name in names):
            continue  # what FOMO found has no scores
        if second is not None and (number + place) % 3:
            continue  # enough of them
        rng = np.random.default_rng([number, place])
        before = after = gallery(rng, kind)
        for name in names:
            after = OPERATIONS[name][1](after, rng)
        moves = frozenset().union(*(OPERATIONS[name][0] for name in names))

        runs = before.results(), after.results()
        found = next(
            each.causes for each in changes(*runs, None, (before.trained, after.trained)) if each.metric == METRIC[kind]
        )

        assert pytest.approx(causes(before, after), rel=0, abs=ROUNDING) == dict(found), names
        if len(found) == 1:
            continue  # too few shared pictures for causes
        assert abs(found["total"] - sum(part for cause, part in found.items() if cause != "total")) <= ROUNDING, names
        assert [] == [cause for cause, part in found.items() if part and cause not in moves | {"total"}], names

"""The result set itself: what its fingerprint depends on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from monitor.results import EXEMPT, Block, BlockKind, Boxes, Categorical, Confidences, FomoCounts, Points, ResultSet


def result_set() -> ResultSet:
    """One in which every column holds something."""
    ones = np.ones(2, np.int8)
    points = Points(ones, ones, np.full((2, 2), 0.5))
    boxes = Boxes(ones, ones, np.full((2, 4), 0.5), np.full(2, 0.5))
    return ResultSet(
        blocks=(Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.5}, {"method": "max"}),),
        labels=("a", "b"),
        sample_id=np.array([1, 2]),
        added=np.array(["2026-01-02", "2026-01-03"], "datetime64[ms]"),
        device=Categorical(ones, ("x", "y")),
        sample=np.array([0, 1]),
        start_ms=np.array([0, 5]),
        end_ms=np.array([0.5, 5]),
        label=ones,
        prediction=ones,
        correct=ones,
        confidences={3: Confidences(("a", "b"), np.full((2, 2), 0.5))},
        anomaly={4: np.full(2, 0.5)},
        expected_anomaly=ones,
        metadata={"site": Categorical(ones, ("x", "y"))},
        filename=Categorical(ones, ("x", "y")),
        image_size=np.ones((2, 2), np.int8),
        truth=boxes,
        detections=boxes,
        reported_map=np.full(2, 0.5),
        reported_f1=np.full(2, 0.5),
        fomo=FomoCounts(ones, ones, ones, np.full(2, 0.5), points, points),
        left_out={"unparsable": 1},
        label_map=True,
    )


def changes(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """For each column within `value` its name, and `value` with that column changed."""
    if dataclasses.is_dataclass(value):
        for field in (field for field in dataclasses.fields(value) if field.init):
            path = f"{name}.{field.name}" if name else field.name
            for inner, changed in changes(getattr(value, field.name), path):
                yield inner, dataclasses.replace(value, **{field.name: changed})  # type: ignore[type-var]
    elif isinstance(value, tuple):
        for inner, changed in changes(value[0], name):
            yield inner, (changed, *value[1:])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            for inner, changed in changes(item, name):
                yield inner, {**value, key: changed}
            yield name, {f"{key}9" if isinstance(key, str) else key + 9: item}
    elif isinstance(value, np.ndarray):
        changed = value.copy()
        changed.flat[0] = (
            value.flat[0] + np.timedelta64(1, "ms")
            if value.dtype.kind == "M"
            else 0.25
            if value.dtype.kind == "f"
            else 7
        )
        yield name, changed
    elif isinstance(value, BlockKind):
        yield name, BlockKind.REGRESSION
    else:
        yield name, not value if isinstance(value, bool) else value + (0.25 if isinstance(value, int | float) else "0")


CHANGES = list(changes(result_set()))


@pytest.mark.parametrize(("name", "changed"), CHANGES, ids=[name for name, _ in CHANGES])
def test_every_column_is_part_of_the_fingerprint_or_exempt(name: str, changed: ResultSet) -> None:
    """Another value in a column gives another fingerprint, unless the column is listed as exempt, with its reason."""
    exempt = any(name == listed or name.startswith(f"{listed}.") for listed in EXEMPT)

    assert exempt == (changed.fingerprint() == result_set().fingerprint())


def test_fingerprint_is_computed_once() -> None:
    """Whoever asks for the fingerprint of a set again gets the one that was computed; a changed copy has one of its
    own.
    """
    results = result_set()

    assert results.fingerprint() is results.fingerprint()
    assert results.fingerprint() == result_set().fingerprint()
    assert results.fingerprint() != dataclasses.replace(results, label_map=False).fingerprint()


def test_exempt_columns_exist() -> None:
    """Each column listed as exempt is one, and says why."""
    names = {name for name, _ in CHANGES}

    assert all(any(name == listed or name.startswith(f"{listed}.") for name in names) for listed in EXEMPT)
    assert all(EXEMPT.values())


def test_scores_count_to_their_ninth_decimal() -> None:
    """Noise beyond the ninth decimal, the sign of zero, and how wide a column is are no content; large scores are
    compared as well.
    """

    def of(*scores: float, dtype: str = "int64") -> str:
        return dataclasses.replace(result_set(), anomaly={4: np.array(scores)}, label=np.ones(2, dtype)).fingerprint()

    assert of(0.5, 0.0) == of(0.5 + 2e-10, -0.0) == of(0.5, 0.0, dtype="int8")
    assert of(0.5, 0.0) != of(0.5 + 2e-9, 0.0)
    assert len({of(1e300, 0.0), of(2e300, 0.0), of(np.inf, 0.0), of(np.nan, 0.0)}) == 4

"""Result sets to test figures with: built from texts, drawn by hypothesis, or simulated with a known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from monitor.results import (
    CORRECT,
    UNCERTAIN,
    UNSCORED,
    WRONG,
    Block,
    BlockKind,
    Categorical,
    Confidences,
    ResultSet,
    shrink_dtype,
)
from tests import factories
from tests.factories import encoded

CLASSIFIER = Block(3, "keras", BlockKind.CLASSIFICATION, "Classifier", {"min_score": 0.6})


def result_set(
    labels: Sequence[str | None],
    predictions: Sequence[str],
    *,
    correct: Sequence[int] | None = None,
    sample: Sequence[int] | None = None,
    samples: int | None = None,
    blocks: tuple[Block, ...] = (CLASSIFIER,),
    confidences: Mapping[int, Confidences] | None = None,
    device: Sequence[str | None] | None = None,
    metadata: Mapping[str, Sequence[str | None]] | None = None,
) -> ResultSet:
    """A result set of these windows; by default one per sample, each judged by whether its prediction is its label."""
    if correct is None:
        correct = [
            CORRECT if label == prediction else WRONG for label, prediction in zip(labels, predictions, strict=True)
        ]
    if sample is None:
        sample = range(len(labels))
    if samples is None:
        samples = max(sample, default=-1) + 1
    return factories.result_set(
        **encoded(labels, predictions),
        blocks=blocks,
        sample_id=np.arange(1, samples + 1),
        device=Categorical.encode(device if device is not None else [None] * samples),
        sample=shrink_dtype(np.array(sample, np.int64)),
        correct=np.array(correct, np.int8),
        confidences=confidences or {},
        metadata={key: Categorical.encode(values) for key, values in (metadata or {}).items()},
    )


names = st.text(max_size=3) | st.sampled_from(["idle", "snake", "anomaly", "Überlauf", "蛇", "ß", "no anomaly"])
"""Labels as people write them, the empty one included; `uncertain` has to be asked for."""


@st.composite
def classified(draw: st.DrawFn, *, judged_by_label: bool = False) -> ResultSet:
    """Windows of a classifier: one to many per sample, with `uncertain`, unscored and unlabelled ones, labels never
    true and classes never predicted; Studio's verdict may disagree with the label unless `judged_by_label`."""
    known = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    seen = draw(st.lists(st.sampled_from(known), min_size=1, max_size=6))
    truths = st.sampled_from([*seen, *seen, *seen, None, UNCERTAIN])
    guesses = st.sampled_from([*known, UNCERTAIN])
    windows = draw(
        st.lists(st.tuples(truths, guesses, st.booleans(), st.integers(0, 9), st.integers(0, 3)), max_size=60)
    )
    labels = [label for label, *_ in windows]
    predictions = [prediction for _, prediction, *_ in windows]
    verdicts = [label == prediction if judged_by_label else verdict for label, prediction, verdict, *_ in windows]
    correct = [int(verdict) if scored else UNSCORED for verdict, (*_, scored, _) in zip(verdicts, windows, strict=True)]
    sample = np.cumsum([step == 0 for *_, step in windows], dtype=np.int64).tolist()
    return result_set(labels, predictions, correct=correct, sample=sample)


@st.composite
def confident(draw: st.DrawFn) -> ResultSet:
    """Windows with confidences that sum to 1, on and off the bins' edges, some missing in part, some labels no class of
    the block.
    """
    classes = tuple(sorted(draw(st.lists(names, min_size=1, max_size=5, unique=True))))
    weights = st.lists(st.integers(0, 15) | st.floats(1e-9, 1), min_size=len(classes), max_size=len(classes)).filter(
        any
    )
    rows = draw(
        st.lists(
            st.tuples(st.sampled_from([*classes, "no class of it", None]), weights, st.integers(0, 9)), max_size=40
        )
    )
    values = np.array([weight for _, weight, _ in rows], np.float64).reshape(len(rows), len(classes))
    values /= values.sum(axis=1, keepdims=True)
    for row, (*_, missing) in enumerate(rows):
        if missing == 0:
            values[row, draw(st.integers(0, len(classes) - 1))] = np.nan
    labels = [label for label, *_ in rows]
    return result_set(labels, [UNCERTAIN] * len(rows), confidences={CLASSIFIER.id: Confidences(classes, values)})


def simulated(
    rng: np.random.Generator,
    shares: npt.NDArray[np.float64],
    confusion: npt.NDArray[np.float64],
    samples: int,
    windows: int,
    copied: float,
) -> ResultSet:
    """Windows drawn from a known population: classes by `shares`, predictions by the rows of `confusion` (float64[k,
    k]).

    A sample draws one prediction, which each of its windows copies with chance `copied` and else draws anew: any
    window's prediction follows `confusion`, and two windows of a sample correlate with `copied`².
    """
    classes = len(shares)
    label = rng.choice(classes, samples, p=shares).repeat(windows)
    edges = np.cumsum(confusion, axis=1)[:, :-1]
    common = rng.random(samples).repeat(windows)
    draw = np.where(rng.random(samples * windows) < copied, common, rng.random(samples * windows))
    prediction = (draw[:, None] >= edges[label]).sum(axis=1)
    empty = result_set([], [])
    return replace(
        empty,
        labels=tuple(f"class {k:03}" for k in range(classes)),
        sample_id=np.arange(1, samples + 1),
        added=np.full(samples, np.datetime64("NaT"), "datetime64[ms]"),
        device=Categorical(np.full(samples, -1, np.int8), ()),
        sample=shrink_dtype(np.arange(samples).repeat(windows)),
        start_ms=np.zeros(samples * windows, np.int32),
        end_ms=np.full(samples * windows, 1000, np.int32),
        label=shrink_dtype(label),
        prediction=shrink_dtype(prediction),
        correct=(label == prediction).astype(np.int8),
    )


def population(shares: npt.NDArray[np.float64], recall: float) -> tuple[npt.NDArray[np.float64], float, float]:
    """A confusion matrix with this recall in every class and errors spread evenly, with its accuracy and macro F1."""
    classes = len(shares)
    confusion = np.full((classes, classes), (1 - recall) / (classes - 1))
    np.fill_diagonal(confusion, recall)
    joint = shares[:, None] * confusion
    f1 = 2 * np.diag(joint) / (joint.sum(axis=0) + joint.sum(axis=1))
    return confusion, float(np.trace(joint)), float(f1.mean())

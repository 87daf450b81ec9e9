"""Classifiers' result sets with wrong labels of which is known which they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.results import CORRECT, WRONG, Block, BlockKind, Confidences, FloatArray, ResultSet
from tests.factories import encoded, result_set

CLASSES = 5


@dataclass(frozen=True, eq=False)
class Labelled:
    """Samples of one window each.

    Attributes:
        p: float64[n, classes], a model's confidences.
        labels: int[n], the given ones.
        wrong: bool[n], which of them are not what is true.
    """

    p: FloatArray
    labels: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]

    def results(self, p: FloatArray | None = None) -> ResultSet:
        """The result set, of these confidences or of others."""
        p = self.p if p is None else p
        names = tuple(f"c{place}" for place in range(p.shape[1]))
        predictions = p.argmax(axis=1)
        return result_set(
            len(p),
            **encoded([names[code] for code in self.labels], [names[code] for code in predictions]),
            blocks=(Block(3, "keras", BlockKind.CLASSIFICATION, "NN", {"min_score": 0.0}),),
            sample_id=np.arange(len(p)),
            correct=np.where(predictions == self.labels, CORRECT, WRONG).astype(np.int8),
            confidences={3: Confidences(names, p)},
        )


def noisy(rng: np.random.Generator, n: int, noise: float, quality: float = 4.0) -> Labelled:
    """Confidences in five classes, surer of the true one the better the model is, and labels of which a share is
    another class's.
    """
    truth = rng.integers(0, CLASSES, n)
    logits = rng.normal(size=(n, CLASSES)) + quality * np.eye(CLASSES)[truth]
    p: FloatArray = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wrong = rng.random(n) < noise
    return Labelled(p, np.where(wrong, (truth + rng.integers(1, CLASSES, n)) % CLASSES, truth), wrong)


def confidently_worse(rng: np.random.Generator, p: FloatArray, share: float) -> FloatArray:
    """The confidences of a model that is as sure as before, of a wrong class for a share of the samples."""
    lost = rng.random(len(p)) < share
    return np.where(lost[:, None], np.roll(p, 1, axis=1), p)

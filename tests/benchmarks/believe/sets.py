"""Result sets whose truth is known: classifiers with anomaly scores, and regressions, alike within days and samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from monitor.figures.counts import BoolArray
from monitor.results import (
    CORRECT,
    WRONG,
    Block,
    BlockKind,
    Categorical,
    FloatArray,
    IntArray,
    ResultSet,
)
from tests.factories import Columns, result_set

PER_DAY = 20
WITHIN_SAMPLE = 0.5
"""Correlation of the windows of one sample, in a latent normal variable."""
FLAGGED = 0.1
SEPARATION = 1.5
"""By how many standard deviations anomalies score higher; a fifth of the samples are."""
WORSE = 1.5
"""How many times as many errors a variant makes as the reference."""
ALIKE = 0.9
"""Correlation of the latent variables that decide which errors the two make."""
ERROR_SD = 1.0
TOLERANCE = math.exp(stats.norm.ppf(0.8))

CLASSIFIER = Block(3, "keras", BlockKind.CLASSIFICATION, "Classifier", {"min_score": 0.6})
KMEANS = Block(7, "anomaly", BlockKind.ANOMALY, "K-means", {"min_anomaly_score": 0.0})
REGRESSION = Block(4, "keras-regression", BlockKind.REGRESSION, "Regression", {"max_error": TOLERANCE})


@dataclass(frozen=True)
class Population:
    """What sets are drawn from.

    Attributes:
        samples: Of a set.
        windows: Of a sample.
        error: Share of the windows that are wrong, of each class.
        classes: How many, equally many samples of each.
        icc: Correlation of samples of one day, in the latent variable.
        bulk: Samples of the first day, before those of days of the usual size.
        per_day: Samples of a day of the usual size.
    """

    samples: int
    windows: int = 1
    error: float = 0.05
    classes: int = 4
    icc: float = 0.0
    bulk: int = 0
    per_day: int = PER_DAY

    def day(self) -> IntArray:
        """int[samples], the day of each sample, from 0."""
        usual = np.arange(self.samples - self.bulk) // self.per_day + bool(self.bulk)
        return np.append(np.zeros(self.bulk, np.int64), usual)

    def latent(self, rng: np.random.Generator) -> FloatArray:
        """float64[samples * windows], standard normal, alike within samples and days."""
        sample = np.repeat(np.arange(self.samples), self.windows)
        within = WITHIN_SAMPLE * (1 - self.icc) if self.windows > 1 else 0.0
        day = self.day()
        days = rng.normal(size=int(day[-1]) + 1)[day[sample]]
        samples, own = rng.normal(size=self.samples)[sample], rng.normal(size=len(sample))
        return math.sqrt(self.icc) * days + math.sqrt(within) * samples + math.sqrt(1 - self.icc - within) * own

    def columns(self) -> Columns:
        """When and where the samples came from, and their windows."""
        return Columns(
            sample=np.repeat(np.arange(self.samples), self.windows),
            sample_id=np.arange(self.samples),
            added=np.datetime64("2026-01-01T12:00", "ms") + self.day() * np.timedelta64(24, "h"),
            device=Categorical(np.zeros(self.samples, np.int8), ("d",)),
            start_ms=np.tile(np.arange(self.windows), self.samples),
            end_ms=np.tile(np.arange(self.windows) + 1, self.samples),
        )

    def classified(self, rng: np.random.Generator) -> ResultSet:
        """A classifier's set; a wrong window is of any other class alike."""
        return self._predicted(rng, self._labels(rng), self.latent(rng) < stats.norm.ppf(self.error))

    def variants(self, rng: np.random.Generator) -> tuple[ResultSet, ResultSet]:
        """Sets of a classifier and of a variant of it, on the same samples."""
        label = self._labels(rng)
        first = self.latent(rng)
        second = ALIKE * first + math.sqrt(1 - ALIKE**2) * self.latent(rng)
        limits = stats.norm.ppf(self.error), stats.norm.ppf(WORSE * self.error)
        return self._predicted(rng, label, first < limits[0]), self._predicted(rng, label, second < limits[1])

    def scored(self, rng: np.random.Generator) -> ResultSet:
        """Anomaly scores and their truth."""
        anomalous = np.repeat(rng.random(self.samples) < 0.2, self.windows)
        return result_set(
            **self.columns(),
            blocks=(_flagging(),),
            anomaly={KMEANS.id: self.latent(rng) + SEPARATION * anomalous},
            expected_anomaly=np.where(anomalous, 1, 0).astype(np.int8),
        )

    def _labels(self, rng: np.random.Generator) -> IntArray:
        """int[samples * windows], of samples, each class as likely."""
        return np.repeat(rng.integers(0, self.classes, self.samples), self.windows)

    def _predicted(self, rng: np.random.Generator, label: IntArray, wrong: BoolArray) -> ResultSet:
        """A classifier's set with these windows wrong."""
        other = (label + rng.integers(1, self.classes, len(label))) % self.classes
        return result_set(
            **self.columns(),
            blocks=(CLASSIFIER,),
            labels=tuple(f"{number:02}" for number in range(self.classes)),
            label=label,
            prediction=np.where(wrong, other, label),
            correct=np.where(wrong, WRONG, CORRECT).astype(np.int8),
        )

    def regressed(self, rng: np.random.Generator) -> ResultSet:
        """A regression's set: lognormal absolute errors around a label of 0."""
        error = np.exp(ERROR_SD * self.latent(rng))
        texts = Categorical.encode([f"{value:.9f}" for value in error] + ["0"])
        return result_set(
            **self.columns(),
            blocks=(REGRESSION,),
            labels=texts.table,
            label=np.full(len(error), texts.codes[-1]),
            prediction=texts.codes[:-1],
            correct=np.where(error <= TOLERANCE, CORRECT, WRONG).astype(np.int8),
        )


def _flagging() -> Block:
    """The anomaly block with a threshold that a tenth of all scores exceed."""
    return Block(KMEANS.id, KMEANS.type, KMEANS.kind, KMEANS.name, {"min_anomaly_score": _LIMIT})


def _threshold() -> float:
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        above = 0.8 * stats.norm.sf(middle) + 0.2 * stats.norm.sf(middle - SEPARATION)
        low, high = (middle, high) if above > FLAGGED else (low, middle)
    return high


_LIMIT = _threshold()

"""Sequences of result sets whose history is known: a data set and its model as a `World`, and operations that change
one thing each.

A world is a data set (samples with labels) and what a model says about it (raw outputs, from which predictions follow
under thresholds). An operation gives the next world and says which causes it can move. Nothing here computes a figure.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.results import (
    CORRECT,
    UNCERTAIN,
    UNSCORED,
    WRONG,
    Block,
    BlockKind,
    Confidences,
    ResultSet,
    shrink_dtype,
)
from monitor.studio import wire
from monitor.studio.columns import ColumnBuilder
from tests.factories import encoded, result_set

Texts = npt.NDArray[np.object_]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

ANOMALY = "anomaly"
MIN_SCORE, MAX_ERROR, MIN_ANOMALY = "min_score", "max_error", "min_anomaly_score"
SECOND_MS = 1000
RETRAINING = 0.015
"""Standard deviation of accuracy on the same samples, from one training to the next."""

_CLASSIFIER_ID, _ANOMALY_ID, _REGRESSION_ID = 3, 4, 5
_NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
_SURE = (0.6, 0.4)  # a sure answer's confidence: lowest, and how much more at most
_UNSURE, _FLAGGED = 0.3, 0.2  # of the wrong answers: below the least confidence; taken for an anomaly
_LEAST_NUMBER, _NUMBERS = 10, 400  # labels of a regression are tenths
_JITTER = 1e-3  # how far another training moves an output that keeps its answer


@dataclass(frozen=True, eq=False)
class World(ABC):
    """n samples with w windows each, and a model's answers.

    Attributes:
        ids: int64[n], ascending.
        labels: str[n, w].
        thresholds: By key.
        trained: Unix seconds of the model's training.
        next_id: Of the next sample.
    """

    ids: npt.NDArray[np.int64]
    labels: Texts
    thresholds: Mapping[str, float]
    trained: float = 1000.0
    next_id: int = 1

    @abstractmethod
    def predictions(self, thresholds: Mapping[str, float]) -> Texts:
        """str[n, w], what is predicted under these thresholds."""

    @abstractmethod
    def verdicts(self, predictions: Texts, labels: Texts, thresholds: Mapping[str, float]) -> Floats:
        """float64[n, w], whether these predictions are right under these labels; NaN where nobody can say."""

    @abstractmethod
    def answered(self, rng: np.random.Generator, windows: Mask, right: Mask) -> World:
        """The world in which the model answers these windows anew, rightly or not."""

    @abstractmethod
    def taken(self, rows: npt.NDArray[np.intp]) -> World:
        """Only these samples, or again."""

    @abstractmethod
    def jittered(self, rng: np.random.Generator) -> World:
        """Slightly other outputs, with the same predictions."""

    @abstractmethod
    def columns(self) -> dict[str, Any]:
        """The columns of a result set that only this kind has, `blocks` included."""

    @abstractmethod
    def classifications(self, row: int) -> list[dict[str, Any]]:
        """What a page says about a sample, but for its predictions."""

    @property
    def right(self) -> Floats:
        """float64[n, w], the verdicts of now."""
        return self.verdicts(self.predictions(self.thresholds), self.labels, self.thresholds)

    def results(self) -> ResultSet:
        """The result set, straight."""
        samples, windows = self.labels.shape
        right = self.right.ravel()
        start = np.tile(np.arange(windows) * SECOND_MS, samples)
        return result_set(
            **encoded(self.labels.ravel().tolist(), self.predictions(self.thresholds).ravel().tolist()),
            sample_id=self.ids,
            sample=shrink_dtype(np.repeat(np.arange(samples), windows)),
            start_ms=shrink_dtype(start),
            end_ms=shrink_dtype(start + SECOND_MS),
            correct=np.where(np.isnan(right), UNSCORED, np.where(right == 1, CORRECT, WRONG)).astype(np.int8),
            **self.columns(),
        )

    def results_of_page(self) -> ResultSet:
        """The result set, by way of a page as Studio would answer."""
        predictions, right = self.predictions(self.thresholds), self.right
        result, rows = [], []
        for row, number in enumerate(self.ids.tolist()):
            result.append({"sampleId": number, "sample": {"id": number}, "classifications": self.classifications(row)})
            for window in range(self.labels.shape[1]):
                entry = {"sampleId": number, "startMs": window * SECOND_MS, "endMs": (window + 1) * SECOND_MS}
                entry |= {"label": self.labels[row, window], "prediction": predictions[row, window]}
                if not np.isnan(right[row, window]):
                    entry["predictionCorrect"] = bool(right[row, window])
                rows.append(entry)
        builder = ColumnBuilder()
        page = json.dumps({"success": True, "result": result, "predictions": rows, "totalCount": len(result)})
        builder.add(msgspec.json.decode(page, type=wire.Page))
        return builder.finish()


@dataclass(frozen=True, eq=False)
class Classifier(World):
    """A classifier, with or without an anomaly block: `confidences` float64[n, w, k] of `classes`; `scores` float64[n,
    w].
    """

    classes: tuple[str, ...] = ()
    confidences: Floats = field(default_factory=lambda: np.empty(0))
    scores: Floats | None = None

    @property
    def known(self) -> frozenset[str]:
        """Labels that this model's answers can be judged by."""
        return frozenset(self.classes) | ({ANOMALY} if self.scores is not None else set())

    def predictions(self, thresholds: Mapping[str, float]) -> Texts:
        """The surest class, unless it is not sure enough or the window is an anomaly."""
        found = np.array([*self.classes, UNCERTAIN], object)[np.argmax(self.confidences, axis=2)]
        found[self.confidences.max(axis=2) < thresholds[MIN_SCORE]] = UNCERTAIN
        if self.scores is not None:
            found[self.scores > thresholds[MIN_ANOMALY]] = ANOMALY
        return found

    def verdicts(self, predictions: Texts, labels: Texts, thresholds: Mapping[str, float]) -> Floats:
        """Whether the prediction is the label, of labels that the model knows."""
        known = np.isin(labels.astype(str), [*self.known])
        return np.where(known, (predictions == labels).astype(float), np.nan)

    def answered(self, rng: np.random.Generator, windows: Mask, right: Mask) -> Classifier:
        """New confidences and scores there; a label that the model does not know gets any class."""
        count = len(self.classes)
        index = {name: place for place, name in enumerate(self.classes)}
        label = np.array([index.get(name, -1) for name in self.labels.ravel()]).reshape(self.labels.shape)
        other = (label + rng.integers(1, max(count, 2), label.shape)) % count
        chosen = np.where(right & (label >= 0), label, other)
        surest = _SURE[0] + _SURE[1] * rng.beta(3, 1, label.shape)
        unsure = ~right & (rng.random(label.shape) < _UNSURE)
        surest = np.where(unsure, rng.uniform(0.51, 0.6, label.shape), surest)
        fresh = np.repeat(((1 - surest) / max(count - 1, 1))[..., None], count, axis=2)
        np.put_along_axis(fresh, chosen[..., None], surest[..., None], axis=2)
        confidences = np.where(windows[..., None], fresh, self.confidences)
        if self.scores is None:
            return replace(self, confidences=confidences)
        anomalous = self.labels == ANOMALY
        flagged = np.where(anomalous, right, ~right & (rng.random(label.shape) < _FLAGGED))
        score = np.where(flagged, rng.uniform(1, 3, label.shape), rng.uniform(-2, 0.9, label.shape))
        return replace(self, confidences=confidences, scores=np.where(windows, score, self.scores))

    def taken(self, rows: npt.NDArray[np.intp]) -> Classifier:
        """Only these samples, or again."""
        scores = None if self.scores is None else self.scores[rows]
        return replace(
            self, ids=self.ids[rows], labels=self.labels[rows], confidences=self.confidences[rows], scores=scores
        )

    def jittered(self, rng: np.random.Generator) -> Classifier:
        """Confidences that differ where the prediction stays."""
        moved = self.confidences * (1 + _JITTER * rng.uniform(-1, 1, self.confidences.shape))
        other = replace(self, confidences=moved / moved.sum(axis=2, keepdims=True))
        kept = other.predictions(self.thresholds) == self.predictions(self.thresholds)
        return replace(self, confidences=np.where(kept[..., None], other.confidences, self.confidences))

    def columns(self) -> dict[str, Any]:
        """Confidences, and scores."""
        windows = self.labels.size
        found: dict[str, Any] = {
            "blocks": (_block(_CLASSIFIER_ID, "keras", BlockKind.CLASSIFICATION, MIN_SCORE, self.thresholds),),
            "confidences": {
                _CLASSIFIER_ID: Confidences(self.classes, self.confidences.reshape(windows, len(self.classes)))
            },
        }
        if self.scores is not None:
            found["blocks"] += (_block(_ANOMALY_ID, "anomaly", BlockKind.ANOMALY, MIN_ANOMALY, self.thresholds),)
            found["anomaly"] = {_ANOMALY_ID: self.scores.ravel()}
        return found

    def classifications(self, row: int) -> list[dict[str, Any]]:
        """Both blocks."""
        sure = [dict(zip(self.classes, window, strict=True)) for window in self.confidences[row].tolist()]
        found = [_classification(_CLASSIFIER_ID, "keras", sure, MIN_SCORE, self.thresholds)]
        if self.scores is not None:
            scores = [{ANOMALY: score} for score in self.scores[row].tolist()]
            found.append(_classification(_ANOMALY_ID, "anomaly", scores, MIN_ANOMALY, self.thresholds))
        return found


@dataclass(frozen=True, eq=False)
class Regression(World):
    """A regression: `values` float64[n, w]; labels are numbers."""

    values: Floats = field(default_factory=lambda: np.empty(0))

    def predictions(self, thresholds: Mapping[str, float]) -> Texts:
        """The values as texts."""
        return np.array([repr(value) for value in self.values.ravel().tolist()], object).reshape(self.values.shape)

    def verdicts(self, predictions: Texts, labels: Texts, thresholds: Mapping[str, float]) -> Floats:
        """Whether the error is within the tolerance."""
        return (np.abs(predictions.astype(float) - labels.astype(float)) <= thresholds[MAX_ERROR]).astype(float)

    def answered(self, rng: np.random.Generator, windows: Mask, right: Mask) -> Regression:
        """New values there."""
        tolerance = self.thresholds[MAX_ERROR]
        apart = np.where(right, rng.uniform(0, 0.95, right.shape), rng.uniform(1.1, 3, right.shape)) * tolerance
        fresh = self.labels.astype(float) + apart * rng.choice([-1, 1], right.shape)
        return replace(self, values=np.where(windows, fresh, self.values))

    def taken(self, rows: npt.NDArray[np.intp]) -> Regression:
        """Only these samples, or again."""
        return replace(self, ids=self.ids[rows], labels=self.labels[rows], values=self.values[rows])

    def jittered(self, rng: np.random.Generator) -> Regression:
        """Values that differ where the verdict stays."""
        moved = replace(self, values=self.values + _JITTER * rng.uniform(-1, 1, self.values.shape))
        return replace(self, values=np.where(moved.right == self.right, moved.values, self.values))

    def columns(self) -> dict[str, Any]:
        """The block."""
        return {
            "blocks": (_block(_REGRESSION_ID, "keras-regression", BlockKind.REGRESSION, MAX_ERROR, self.thresholds),)
        }

    def classifications(self, row: int) -> list[dict[str, Any]]:
        """The block's values."""
        values = [{"value": value} for value in self.values[row].tolist()]
        return [_classification(_REGRESSION_ID, "keras-regression", values, MAX_ERROR, self.thresholds)]


def _block(number: int, type_: str, kind: BlockKind, key: str, thresholds: Mapping[str, float]) -> Block:
    return Block(number, type_, kind, type_, {key: thresholds[key]})


def _classification(
    number: int, type_: str, result: list[dict[str, float]], key: str, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    block = {"id": number, "type": type_, "name": type_}
    return {
        "learnBlock": block,
        "result": result,
        "thresholds": [{"key": key, "description": key, "value": thresholds[key]}],
    }


def classifier(
    rng: np.random.Generator,
    samples: int,
    windows: int = 1,
    accuracy: float = 0.9,
    classes: int = 4,
    *,
    anomaly: bool = False,
) -> Classifier:
    """A new project with a classifier."""
    labels = np.repeat(np.array(_NAMES[:classes], object)[rng.integers(0, classes, samples)][:, None], windows, axis=1)
    thresholds = {MIN_SCORE: 0.6} | ({MIN_ANOMALY: 1.0} if anomaly else {})
    blank = np.zeros((samples, windows))
    world = Classifier(
        np.arange(1, samples + 1),
        labels,
        thresholds,
        next_id=samples + 1,
        classes=_NAMES[:classes],
        confidences=np.zeros((samples, windows, classes)),
        scores=blank if anomaly else None,
    )
    return world.answered(rng, np.ones(labels.shape, bool), _right(rng, labels.shape, accuracy))


def regression(rng: np.random.Generator, samples: int, windows: int = 1, accuracy: float = 0.9) -> Regression:
    """A new project with a regression, with a tolerance of 5."""
    numbers = rng.integers(_LEAST_NUMBER, _NUMBERS, (samples, 1)).repeat(windows, axis=1) / 10
    labels = np.array([f"{number:g}" for number in numbers.ravel().tolist()], object).reshape(numbers.shape)
    world = Regression(
        np.arange(1, samples + 1), labels, {MAX_ERROR: 5.0}, next_id=samples + 1, values=np.zeros(labels.shape)
    )
    return world.answered(rng, np.ones(labels.shape, bool), _right(rng, labels.shape, accuracy))


def _right(rng: np.random.Generator, shape: tuple[int, ...], accuracy: float) -> Mask:
    """Which windows are answered rightly; those of a sample mostly agree."""
    common = np.repeat(rng.random((shape[0], 1)), shape[1], axis=1)
    return np.where(rng.random(shape) < 0.7, common, rng.random(shape)) < accuracy


@dataclass(frozen=True)
class Operation:
    """One thing that happens to a data set or its model.

    Attributes:
        name: What.
        moves: The causes that it can move; every other stays exactly 0.
        apply: Gives the next world.
        only: The kind of world that it can happen to.
    """

    name: str
    moves: frozenset[str]
    apply: Callable[[World, np.random.Generator], World]
    only: type = World

    def __str__(self) -> str:
        return self.name


def relabel(world: World, rng: np.random.Generator, share: float, to: str | None = None) -> World:
    """That share of the windows, taken from those that are right, gets another label (`to`, or another that there is
    already).
    """
    right = np.flatnonzero(world.right.ravel() == 1)
    chosen = rng.choice(right, min(len(right), round(share * world.labels.size)), replace=False)
    labels = world.labels.copy().ravel()
    if to is not None:
        labels[chosen] = to
    elif isinstance(world, Classifier):
        labels[chosen] = [rng.choice([name for name in world.classes if name != label]) for label in labels[chosen]]
    else:
        labels[chosen] = [f"{float(label) + 20:g}" for label in labels[chosen]]
    return replace(world, labels=labels.reshape(world.labels.shape))


def rename(
    world: World, rng: np.random.Generator, names: Mapping[str, str], *, trained: bool, noise: float = RETRAINING
) -> World:
    """Classes get other names (several the same: they are merged); with a training the model learns them."""
    assert isinstance(world, Classifier)
    renamed = replace(world, labels=mapped(world.labels, names))
    if not trained:
        return renamed
    classes = tuple(sorted({names.get(name, name) for name in world.classes}))
    confidences = np.zeros((*world.labels.shape, len(classes)))
    for place, name in enumerate(world.classes):
        confidences[..., classes.index(names.get(name, name))] += world.confidences[..., place]
    return retrain(replace(renamed, classes=classes, confidences=confidences), rng, noise=noise)


def split(world: World, rng: np.random.Generator, old: str, *, trained: bool) -> World:
    """A class becomes two; with a training the model tells them apart."""
    assert isinstance(world, Classifier)
    parts = [f"{old} 1", f"{old} 2"]
    own = world.labels == old
    labels = world.labels.copy()
    labels[own] = np.array(parts, object)[rng.integers(0, 2, int(own.sum()))]
    after = replace(world, labels=labels)
    if not trained:
        return after
    if old not in world.classes:
        return retrain(after, rng)
    place = world.classes.index(old)
    classes = (*(name for name in world.classes if name != old), *parts)  # the second part: from nothing
    own_last = np.concatenate([np.delete(world.confidences, place, axis=2), world.confidences[..., [place]]], axis=2)
    confidences = np.concatenate([own_last, np.zeros((*labels.shape, 1))], axis=2)
    order = np.argsort(np.array(classes))
    after = replace(after, classes=tuple(sorted(classes)), confidences=confidences[..., order])
    return retrain(after.answered(rng, np.isin(labels.astype(str), parts), world.right == 1), rng)


def mapped(texts: Texts, names: Mapping[str, str]) -> Texts:
    """The texts, with those that `names` has replaced."""
    return np.array([names.get(text, text) for text in texts.ravel()], object).reshape(texts.shape)


def retrain(
    world: World, rng: np.random.Generator, loss: float = 0.0, noise: float = RETRAINING, learns: Mask | None = None
) -> World:
    """Another training on the same data.

    Args:
        world: Before it.
        rng: Of what changes.
        loss: By how much accuracy falls, on average.
        noise: Standard deviation of the accuracy of these samples from one training to the next.
        learns: bool[n, w], windows that the model answers rightly from now on.
    """
    right = world.right
    good = np.nanmean(np.where(np.isnan(right), 0, right), axis=1) >= 0.5
    accuracy = min(max(float(good.mean()), 0.05), 0.95)
    flips = noise**2 * len(world.ids) / 2  # either way, as a share of all
    chance = np.where(good, (flips + loss) / accuracy, flips / (1 - accuracy))
    flipped = rng.random(len(good)) < chance
    windows = np.repeat(flipped[:, None], world.labels.shape[1], axis=1)
    after = world.jittered(rng).answered(rng, windows, np.repeat(~good[:, None], world.labels.shape[1], axis=1))
    if learns is not None:
        after = after.answered(rng, learns, np.ones_like(learns))
    return replace(after, trained=world.trained + 1000)


def relabel_and_learn(world: World, rng: np.random.Generator, share: float) -> World:
    """Windows get another label, and the next training learns it."""
    after = relabel(world, rng, share)
    return retrain(after, rng, learns=after.labels != world.labels)


def set_threshold(world: World, rng: np.random.Generator, key: str, value: float) -> World:
    """A threshold gets another value."""
    return replace(world, thresholds={**world.thresholds, key: value})


def tighten(world: World, rng: np.random.Generator, loss: float) -> World:
    """The main threshold moves so far that this share of all windows, right until then, is wrong."""
    right = world.right == 1
    wanted = round(loss * right.size)
    if isinstance(world, Regression):
        error = np.sort(np.abs(world.values - world.labels.astype(float))[right])[::-1]
        return set_threshold(world, rng, MAX_ERROR, float(error[wanted : wanted + 2].mean()))
    assert isinstance(world, Classifier)
    surest = np.sort(world.confidences.max(axis=2)[right & (world.labels != ANOMALY)])
    return set_threshold(world, rng, MIN_SCORE, float(surest[max(wanted - 1, 0) : wanted + 1].mean()))


def add(world: World, rng: np.random.Generator, share: float, accuracy: float | None = None) -> World:
    """So many new samples, as a share of the set, with labels as the old ones have; `accuracy` of the model's answers:
    None, as before.
    """
    count = round(share * len(world.ids))
    rows = rng.integers(0, len(world.ids), count)
    new = world.taken(rows)
    if accuracy is not None:
        new = new.answered(rng, np.ones(new.labels.shape, bool), _right(rng, new.labels.shape, accuracy))
    ids = np.concatenate([world.ids, world.next_id + np.arange(count)])
    both = world.taken(np.concatenate([np.arange(len(world.ids)), rows]))
    joined: dict[str, Any] = {"ids": ids, "next_id": world.next_id + count}
    for name in ("confidences", "scores", "values"):
        if getattr(world, name, None) is not None:
            joined[name] = np.concatenate([getattr(world, name), getattr(new, name)])
    return replace(both, **joined)


def remove(world: World, rng: np.random.Generator, share: float, *, right: bool = False) -> World:
    """So many samples go, as a share of the set: any, or some that the model has right."""
    samples = np.flatnonzero((world.right == 1).all(axis=1)) if right else np.arange(len(world.ids))
    gone = rng.choice(samples, min(len(samples), round(share * len(world.ids))), replace=False)
    return world.taken(np.setdiff1d(np.arange(len(world.ids)), gone))


def turn_over(world: World, rng: np.random.Generator, share: float = 0.2, accuracy: float | None = None) -> World:
    """As many samples go as come."""
    count = share * len(world.ids)
    left = remove(world, rng, share)
    return add(left, rng, count / len(left.ids), accuracy)


def operation(
    name: str, moves: str, change: Callable[..., World], only: type[World] = World, **options: Any
) -> Operation:
    """An operation; `moves` as words."""
    return Operation(name, frozenset(moves.split()), partial(change, **options), only)


OPERATIONS = (
    operation("relabelled", "labels", relabel, share=0.06),
    operation("relabelled as anomaly", "labels", relabel, Classifier, share=0.06, to=ANOMALY),
    operation("relabelled as what the model does not know", "labels", relabel, Classifier, share=0.06, to="gnu"),
    operation("renamed", "labels", rename, Classifier, names={"ant": "Ant"}, trained=False),
    operation("renamed and trained", "model", rename, Classifier, names={"ant": "Ant"}, trained=True),
    operation("merged", "labels", rename, Classifier, names={"bee": "bug", "cat": "bug"}, trained=False),
    operation(
        "merged and trained", "labels model", rename, Classifier, names={"bee": "bug", "cat": "bug"}, trained=True
    ),
    operation(
        "merged into another and trained", "labels model", rename, Classifier, names={"bee": "cat"}, trained=True
    ),
    operation("split", "labels", split, Classifier, old="cat", trained=False),
    operation("split and trained", "labels model", split, Classifier, old="cat", trained=True),
    operation("trained again", "model", retrain),
    operation("trained with a loss", "model", retrain, loss=0.1),
    operation("relabelled and learnt", "labels model", relabel_and_learn, share=0.1),
    operation("threshold tightened", "thresholds", tighten, loss=0.08),
    operation("least confidence raised", "thresholds", set_threshold, Classifier, key=MIN_SCORE, value=0.8),
    operation("tolerance narrowed", "thresholds", set_threshold, Regression, key=MAX_ERROR, value=3.5),
    operation("anomalies from a lower score", "thresholds", set_threshold, Classifier, key=MIN_ANOMALY, value=0.6),
    operation("samples added", "added", add, share=0.2),
    operation("harder samples added", "added", add, share=0.2, accuracy=0.5),
    operation("samples removed", "removed", remove, share=0.2),
    operation("easy samples removed", "removed", remove, share=0.3, right=True),
    operation("turned over", "added removed", turn_over),
)

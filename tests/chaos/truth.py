"""The figures of a target from what the simulator knows to be true, and where those of an
evaluation differ from them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from monitor.figures.evaluation import Evaluation
from monitor.figures.headline import headlines
from monitor.simulator import Ground

Figures = Mapping[str, float]


def figures(ground: Ground | None) -> Figures:
    """What is true, by name; nothing where there are no results."""
    if ground is None:
        return {}
    windows = [window for sample in ground.samples for window in sample.windows]
    judged = [window for window in windows if window.correct is not None]
    found: dict[str, float] = {"samples": len(ground.samples), "windows": len(windows)}
    types = {block.type for block in ground.blocks}
    if judged and not any(window.label_map for window in windows):
        found["accuracy"] = float(np.mean([window.correct for window in judged]))
    if any(window.confidences for window in windows) and not any(window.label_map for window in windows):
        found["mean_f1"] = _mean_f1(
            [(str(window.label), window.prediction) for window in judged if window.label is not None]
        )
    if matches := [window.fomo for window in windows if window.fomo is not None]:
        found["mean_f1"] = float(
            np.mean([_f1(len(m.assignments), len(m.unassigned_preds), len(m.unassigned_trues)) for m in matches])
        )
    if images := [window.image.mean_ap for window in windows if window.image is not None and window.fomo is None]:
        found["image_map"] = float(np.mean(images))
    if "keras-regression" in types:
        pairs = np.array([(float(window.label or "nan"), float(window.prediction)) for window in windows])
        found["mae"] = float(np.nanmean(np.abs(pairs[:, 0] - pairs[:, 1])))
    if scores := [window.anomaly for window in windows if window.anomaly is not None]:
        found["anomaly"] = float(np.mean(scores))
    return found


def _f1(hits: int, *wrong: int) -> float:
    return 2 * hits / (2 * hits + sum(wrong)) if hits + sum(wrong) else 1.0


def _mean_f1(pairs: list[tuple[str, str]]) -> float:
    """Over the classes that are true of a window."""
    return float(
        np.mean(
            [
                _f1(
                    sum(true == name == said for true, said in pairs),
                    sum(true != name == said for true, said in pairs),
                    sum(true == name != said for true, said in pairs),
                )
                for name in {true for true, _ in pairs}
            ]
        )
    )


def shown(evaluation: Evaluation) -> Figures:
    """The same figures of an evaluation."""
    found: dict[str, float] = {"samples": evaluation.samples, "windows": evaluation.windows}
    found |= {
        name: each.value for name, each in headlines(evaluation).items() if name in ("accuracy", "mean_f1", "mae")
    }
    if evaluation.detection is not None and evaluation.detection.mean_image_map is not None:
        found["image_map"] = evaluation.detection.mean_image_map
    if evaluation.anomalies:
        found["anomaly"] = evaluation.anomalies[0].mean
    return found


def differences(true: Figures, found: Figures) -> list[str]:
    """The names of the figures that are missing, superfluous or not the same to 1e-9."""
    return sorted(
        name
        for name in true.keys() | found.keys()
        if name not in true
        or name not in found
        or not abs(true[name] - found[name]) <= 1e-9 * max(1.0, abs(true[name]))
    )

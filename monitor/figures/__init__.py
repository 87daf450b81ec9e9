"""One result set to an `Evaluation`: all figures that apply to the model.

Pure: columns in, figures out; nothing here waits, and nothing knows where columns come from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from monitor.figures.anomaly import anomaly
from monitor.figures.calibration import calibration
from monitor.figures.classification import quality
from monitor.figures.detection import detection
from monitor.figures.evaluation import Evaluation
from monitor.figures.groups import AUTO, METADATA
from monitor.figures.regression import regression
from monitor.figures.scoring import accuracy_verdicts, studio_verdict
from monitor.figures.sketch import sketch
from monitor.figures.slices import slices
from monitor.figures.units import ACCURACY, MAE, UnitChoices, anomaly_score, units_of
from monitor.results import UNSCORED, ResultSet


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What an evaluation needs to know beyond the result set.

    Attributes:
        slices: `metadata.<key>` or `device_name`.
        slice_values: How many values of a slice are kept.
        anomaly_labels, no_anomaly_labels: The project's labels that are ground truth for anomaly blocks.
        group_by: Which samples came together, as `groups_of` takes it.
    """

    slices: tuple[str, ...] = ()
    slice_values: int = 20
    anomaly_labels: frozenset[str] = frozenset()
    no_anomaly_labels: frozenset[str] = frozenset()
    group_by: str = AUTO

    @property
    def metadata_keys(self) -> tuple[str, ...]:
        """The keys of samples' metadata that the slices and the groups need."""
        wanted = dict.fromkeys((*self.slices, self.group_by))
        return tuple(key.removeprefix(METADATA) for key in wanted if key.startswith(METADATA))


def evaluate(
    results: ResultSet, settings: EvaluationSettings, seed: int | None, choices: UnitChoices | None = None
) -> Evaluation:
    """All figures that apply to a result set.

    Args:
        results: The columns.
        settings: Slices and anomaly labels.
        seed: Of the bootstraps: the same seed and set give the same bounds. None leaves all intervals out.
        choices: What the baseline says is independent; None lets the result set decide for itself.
    """
    units = units_of(results, settings.group_by, choices)
    verdicts = accuracy_verdicts(results)
    alike = units.groups_if_unit(ACCURACY)
    classified = quality(results, seed, alike)
    calibrated, calibration_left = calibration(results, seed)
    detected, detection_left = detection(results, seed, alike)
    regressed, regression_left = regression(results, seed, alike, units.groups_if_unit(MAE))
    by_block = {block.id: units.groups_if_unit(anomaly_score(block.id)) for block in results.blocks}
    anomalies, anomaly_left = anomaly(results, seed, settings.anomaly_labels, settings.no_anomaly_labels, by_block)
    sliced, cut = slices(results, settings.slices, settings.slice_values)
    own_verdict = classified is not None or (regressed is not None and regressed.within_tolerance is not None)
    left_out = Counter(results.left_out)
    for found in (calibration_left, detection_left, regression_left, anomaly_left, {"slice_cap": cut}):
        left_out.update(found)
    return Evaluation(
        samples=results.samples,
        windows=results.windows,
        unscored=int((verdicts == UNSCORED).sum()),
        blocks=results.blocks,
        quality=classified,
        calibration=calibrated,
        detection=detected,
        regression=regressed,
        anomalies=anomalies,
        slices=sliced,
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
        studio=None if own_verdict else studio_verdict(verdicts, results.sample, seed, alike),
        units=units.choices,
        group_by=settings.group_by,
        sketch=sketch(results.sample_id),
    )

"""Which classes are shown where their number is limited."""

from __future__ import annotations

from monitor.figures.classes import LargestClasses, largest_classes
from monitor.figures.evaluation import ClassFigures, Detection
from tests.factories import evaluation, quality


def test_largest_classes_by_hand() -> None:
    """Those with most windows stay, of equal ones the first by name; other predictions are limited by themselves."""
    windows = {"a": 5, "b": 50, "c": 20, "d": 20}
    confusion = {("b", "b"): 50, ("a", "uncertain"): 3, ("c", "never"): 2, ("d", "rare"): 1}
    classes = {name: ClassFigures(1, 1, 1, count) for name, count in windows.items()}
    of = evaluation(quality=quality(classes=classes, confusion=confusion))

    assert LargestClasses(("b", "c"), ("never", "uncertain"), 2, 1) == largest_classes(of, 2)
    assert LargestClasses(("a", "b", "c", "d"), ("never", "rare", "uncertain"), 0, 0) == largest_classes(of, 30)
    assert 5 + 2 == largest_classes(of, 0).cut


def test_classes_of_a_detector_are_those_with_a_precision() -> None:
    """A detector has no windows by class: its classes are limited by name; without either there are none."""
    of = evaluation(detection=Detection(class_ap={"cup": 0.5, "bowl": 0.25, "pan": 0.75}))

    assert LargestClasses(("bowl", "cup"), (), 1, 0) == largest_classes(of, 2)
    assert LargestClasses((), (), 0, 0) == largest_classes(evaluation(), 2)

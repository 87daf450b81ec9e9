"""Series as lines. The text format and OpenMetrics write them alike; every byte is as the client library has it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from prometheus_client import utils

from monitor.exposition.metric import Metric
from monitor.exposition.sources import label

_number: Callable[[float], str] = utils.floatToGoString


class Lines:
    """Writes the series that share labels.

    Args:
        common: The labels that all of them carry.
    """

    def __init__(self, common: Mapping[str, str]) -> None:
        self._common = {name: _literal(_escaped(text)) for name, text in common.items()}
        self._templates: dict[tuple[str, ...], str] = {}

    def of(self, metric: Metric, source: object) -> bytes:
        """The lines of a metric, read from `source`; empty where it has no series of that."""
        template = metric.name + self._template(metric.labels)
        return "".join(
            [
                template.format(_number(value), *[_escaped(label(text)) for text in labels])
                for value, labels in metric.read(source)
                if value is not None and math.isfinite(value)
            ]
        ).encode()

    def _template(self, own: tuple[str, ...]) -> str:
        """What follows the name, as a format of the value and those of the metric's own labels."""
        known = self._templates.get(own)
        if known is None:
            values = self._common | {name: f"{{{number}}}" for number, name in enumerate(own, 1)}
            pairs = ",".join(f'{name}="{values[name]}"' for name in sorted(values))
            known = self._templates[own] = f"{{{{{pairs}}}}} {{0}}\n" if pairs else " {0}\n"
        return known


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _literal(text: str) -> str:
    """`text` as a part of a format that means itself."""
    return text.replace("{", "{{").replace("}", "}}")

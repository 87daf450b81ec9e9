"""One generated set through the monitor, and what it exports beside what it should."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from monitor.exposition import SnapshotCollector, Sources
from monitor.figures import EvaluationSettings, evaluate
from monitor.results import ResultSet
from monitor.studio import decoding, wire
from monitor.studio.columns import ColumnBuilder, SetChanged
from monitor.targets import Target, TargetKey
from tests.factories import snapshot
from tests.live.live_parts import live_of
from tests.pages.page_content import Content, changed
from tests.pages.page_oracle import Series, compare, expected, figures
from tests.pages.page_replies import Spelling
from tests.pages.page_shapes import as_read

SLICES = ("metadata.site", "device_name")
_decoder = msgspec.json.Decoder(wire.Page)


def read(bodies: Iterable[bytes]) -> ResultSet:
    """The columns of these replies."""
    builder = ColumnBuilder([key.removeprefix("metadata.") for key in SLICES if key.startswith("metadata.")])
    for body in bodies:
        builder.add(decoding.decode(_decoder, body, builder.unknown))
    return builder.finish()


def exported(results: ResultSet, content: Content) -> Series:
    """What a scrape shows of these columns: every figure, by name and own labels."""
    anomaly, normal = (frozenset(map(as_read, labels)) for labels in content.anomaly_labels or ((), ()))
    settings = EvaluationSettings(SLICES, anomaly_labels=anomaly, no_anomaly_labels=normal)
    target = Target(TargetKey(1, 1, "int8", "testing"), "project", "impulse")
    shown = snapshot(target, evaluation=evaluate(results, settings, None))
    families = SnapshotCollector(Sources(live_of(shown), clock=lambda: 100.0)).collect()
    return figures(sample for family in families for sample in family.samples)


class Disagreement(AssertionError):
    """What a generated set exports is not what it should; the message says all differences."""


def check(content: Content, other: Spelling) -> tuple[int, float]:
    """The figures are the oracle's; another spelling of the set has the same fingerprint and figures; one with other
    figures another.

    Returns:
        How many figures were compared, and the largest deviation.

    Raises:
        Disagreement: Something differs.
    """
    right = expected(content.results, content.predictions, content.anomaly_labels, SLICES)
    plain = read(Spelling().bodies(content.results, content.predictions))
    shown = exported(plain, content)
    problems, largest = compare(right, shown)
    spelled = read(other.bodies(content.results, content.predictions))
    if plain.fingerprint() != spelled.fingerprint():
        problems.append(f"another fingerprint as {other}")
    again, _ = compare(shown, exported(spelled, content))
    problems += [f"as {other}: {problem}" for problem in again]
    problems += _unseen_changes(content, plain, shown, other.seed)
    if problems:
        raise Disagreement("\n".join(problems[:20]))
    return len(right), largest


def _unseen_changes(content: Content, before: ResultSet, shown: Series, seed: int) -> list[str]:
    """Figures that another value somewhere in the set changes although the fingerprint stays."""
    another = changed(content, np.random.default_rng(seed))
    try:
        after = read(Spelling().bodies(another.results, another.predictions))
    except SetChanged:  # two windows have the same bounds now
        return []
    if after.fingerprint() != before.fingerprint():
        return []
    problems, _ = compare(_of_fingerprint(shown), _of_fingerprint(exported(after, another)))
    return [f"with the same fingerprint as a set with another value: {problem}" for problem in problems]


def _of_fingerprint(series: Series) -> Series:
    """Without what no verdict depends on: slices, names of blocks, what could not be read."""
    return {
        (name, tuple(label for label in labels if label[0] != "block")): value
        for (name, labels), value in series.items()
        if not name.startswith("slice_") and name != "left_out"
    }

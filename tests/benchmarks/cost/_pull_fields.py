"""The fields of a page that the monitor keeps of a classifier, decoded in full: those that it reads later from raw JSON
are typed here.
"""

from __future__ import annotations

import msgspec

from monitor.studio import wire


class Classification(msgspec.Struct, rename="camel", gc=False):
    """What the block gave for one sample."""

    learn_block: wire.LearnBlock | None = None
    result: list[dict[str, float | None] | None] | None = None
    thresholds: list[wire.Threshold] | None = None
    minimum_confidence_rating: float | None = None


class Result(msgspec.Struct, rename="camel", gc=False):
    """One sample."""

    sample_id: int
    sample: wire.Sample | None = None
    classifications: list[Classification] | None = None


class Page(msgspec.Struct, rename="camel", gc=False):
    """One page."""

    success: bool
    result: list[Result] | None = None
    predictions: list[wire.Prediction] | None = None
    total_count: int | None = None

"""What a variant loses against the reference variant, in words: the same in alerts and on pages."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.alerts import wording
from monitor.alerts.rules import QuantizationLoss
from monitor.compare.variants import Growth, VariantComparison, VariantGap


def loses(gap: VariantGap, against: str, *, only_grown: bool = False) -> str:
    """What an alert leads with, a clause: the gap, or by how much it has grown where only that is too much."""
    metric = wording.label(gap.metric)
    if only_grown and gap.growth is not None:
        size = wording.size(gap.metric, gap.growth.size)
        return f"the gap of {metric} to {against} grew by {size} since the baseline"
    return f"{metric} is {wording.size(gap.metric, gap.size)} below that of {against} on the same samples"


def details(rule: QuantizationLoss, gap: VariantGap, variants: VariantComparison) -> Iterator[str]:
    """The figures behind it, a clause each."""
    metric = gap.metric
    numbers = [f"{wording.difference(metric, -gap.size)}", f"p = {wording.pvalue(gap.pvalue)}"]
    if gap.interval is not None:
        numbers.append(f"95 % interval {_range(gap)}")
    yield (
        f"{wording.label(metric)} {wording.figure(metric, gap.reference)} of {variants.against}, "
        f"{wording.figure(metric, gap.variant)} of this variant ({'; '.join(numbers)}) on the same "
        f"{variants.samples:,} {wording.counts(metric)}"
    )
    if gap.growth is not None:
        yield _growth(gap, gap.growth)
    margin = wording.size(metric, rule.margin)
    level = wording.pvalue(rule.significance)
    yield (
        f"the rule fires for a gap of more than {margin}, or one that grew by more than that since the baseline, "
        f"with p ≤ {level}"
    )
    if gap.smallest is not None and gap.smallest > rule.significance:
        yield f"no gap can be significant: the smallest p that its test can give here is {wording.pvalue(gap.smallest)}"


def beside(variants: VariantComparison) -> Iterator[str]:
    """A comparison of two variants, for a page, a clause each."""
    if variants.reason:
        yield f"not compared with {variants.against}: {variants.reason}"
        return
    figures = []
    for gap in variants.gaps:
        numbers = [] if gap.interval is None else [f"95 % interval {_range(gap)}"]
        numbers.append(f"p = {wording.pvalue(gap.pvalue)}")
        lost = wording.difference(gap.metric, -gap.size)
        figures.append(f"{wording.label(gap.metric)} {lost} ({'; '.join(numbers)})")
    found = ", ".join(figures) or "they have no figure in common that is compared"
    yield f"against {variants.against} on the same {variants.samples:,} samples: {found}"
    yield from sides(variants)
    for gap in variants.gaps:
        if gap.growth is not None and gap.growth.size:
            yield _growth(gap, gap.growth)


def sides(variants: VariantComparison) -> Iterator[str]:
    """How many samples only one of the two gets right, a clause; none where there are no such samples."""
    if variants.lost or variants.gained:
        yield (
            f"{variants.lost:,} of the samples only {variants.against} gets right, {variants.gained:,} only this "
            "variant"
        )


def _growth(gap: VariantGap, growth: Growth) -> str:
    then, now = (wording.difference(gap.metric, -size) for size in (growth.before, growth.now))
    text = f"at the baseline {wording.label(gap.metric)} was {then}, on the samples of then it is {now} now"
    return text if growth.pvalue is None else f"{text} (p = {wording.pvalue(growth.pvalue)})"


def _range(gap: VariantGap) -> str:
    """The interval with the sign of what it stands beside: less than 0 where the variant loses."""
    assert gap.interval is not None
    lower, upper = (wording.points(-bound) for bound in (gap.interval.upper, gap.interval.lower))
    return f"{lower} to {upper} points"

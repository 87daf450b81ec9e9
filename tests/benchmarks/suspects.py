"""How many of the labels that are said to look wrong are, and how many wrong ones are found: `--samples N --seed S`.

Prints precision and recall at 5 % and 20 % wrong labels, for models of three qualities; and of clean labels under a
model that got confidently worse, which share of the newly wrong samples is said to look mislabelled, by both models and
by the worse one alone.
"""

from __future__ import annotations

import argparse

import numpy as np

from monitor.compare.side_kinds import NEWLY_WRONG
from monitor.compare.sides import sides
from monitor.compare.suspects import suspects
from tests.label_sets import confidently_worse, noisy

QUALITIES = (2.0, 3.0, 4.0)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print(f"{'wrong labels':>12} {'model right':>12} {'precision':>10} {'recall':>8}")
    for noise in (0.05, 0.2):
        for quality in QUALITIES:
            of = noisy(rng, given.samples, noise, quality)
            found = suspects(of.results()).suspect
            hits = int((found & of.wrong).sum())
            right = float((of.p.argmax(axis=1) == of.labels)[~of.wrong].mean())
            print(f"{noise:12.0%} {right:12.1%} {hits / found.sum():10.1%} {hits / of.wrong.sum():8.1%}")
    print(f"\n{'newly wrong':>12} {'look mislabelled':>17} {'by one model':>13}   (intended: at most 5 %)")
    for share in (0.05, 0.25, 0.5):
        of = noisy(rng, given.samples, 0.0)
        worse = of.results(confidently_worse(rng, of.p, share))
        both = sides(of.results(), worse)
        alone = suspects(worse).suspect[both.now[NEWLY_WRONG]].mean()
        newly = both.counts()[NEWLY_WRONG]
        print(f"{newly:12} {both.suspect_among(NEWLY_WRONG) / newly:17.1%} {alone:13.1%}")


if __name__ == "__main__":
    main()

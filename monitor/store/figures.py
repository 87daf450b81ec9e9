"""Figures: what runs found out, evaluation and comparison, as two JSON texts in a row that equal findings share."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Row, select, update

from monitor.compare.comparison import Comparison
from monitor.errors import fitted
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation
from monitor.figures.headline import Headline, headlines
from monitor.results import FINGERPRINT_VERSION
from monitor.store import documents, schema
from monitor.store.access import Writing
from monitor.store.errors import StoreCorrupt, StoreError, StoreTooNew


@dataclass(frozen=True, slots=True)
class Versions:
    """Which formulas made what is stored of a run.

    Attributes:
        results: `FINGERPRINT_VERSION` of its result set.
        evaluation, comparison: `FIGURES_VERSION` of its figures and of its comparison.
    """

    results: int = FINGERPRINT_VERSION
    evaluation: int = FIGURES_VERSION
    comparison: int = FIGURES_VERSION

    @property
    def comparable(self) -> bool:
        """Whether result set and figures are of today's formulas, so that others of today can be compared with them."""
        return self.results == FINGERPRINT_VERSION and self.evaluation == FIGURES_VERSION


@dataclass(frozen=True, slots=True)
class StoredFigures:
    """What a row of `figures` says, as far as it can be read.

    Attributes:
        evaluation, comparison: None where there is none, or none that can be read.
        versions: Which formulas made them.
        unreadable: Why one of them could not be read.
    """

    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    versions: Versions = field(default_factory=Versions)
    unreadable: StoreError | None = None


def read_figures(row: Row[Any]) -> StoredFigures:
    """The documents of a run; one that cannot be read costs neither the other nor those of other runs.

    Args:
        row: Of a run, with its figures' `evaluation` and `comparison`.
    """
    documented: dict[str, Any] = {}
    versions: dict[str, int] = {}
    unreadable: StoreError | None = None
    for name, load in (("evaluation", documents.load_evaluation), ("comparison", documents.load_comparison)):
        if (text := getattr(row, name)) is None:
            continue
        try:
            versions[name] = documents.figures_version(text)
            documented[name] = load(text)
        except StoreTooNew as error:
            unreadable = unreadable or error
        except ValueError as error:
            problem = fitted(
                f"the stored figures of run {row.id} of {row.target_id} are damaged (",
                error,
                "); the next good pull makes new ones",
            )
            unreadable = unreadable or StoreCorrupt(problem)
    return StoredFigures(**documented, versions=Versions(**versions), unreadable=unreadable)


def figures_texts(evaluation: Evaluation | None, comparison: Comparison | None) -> dict[str, str | None]:
    """The JSON columns of a row."""
    return {
        "evaluation": None if evaluation is None else documents.dump_evaluation(evaluation),
        "comparison": None if comparison is None else documents.dump_comparison(comparison),
    }


Bounded = tuple[float, float | None, float | None]
"""A figure with the bounds of its 95 % interval, where there are any."""

_headlines = msgspec.json.Decoder(dict[str, Bounded])


def headlines_text(evaluation: Evaluation | None) -> str:
    """The headline figures with their intervals, in the few bytes that a chart of many runs needs of each."""
    found = headlines(evaluation).items() if evaluation is not None else ()
    bounded = {name: _bounded(figure) for name, figure in found if math.isfinite(figure.value)}
    return msgspec.json.encode(bounded).decode()


def read_headlines(text: str | None) -> dict[str, Bounded]:
    """The figures of `headlines_text`; none where they cannot be read, or a program before this one wrote the row."""
    try:
        return _headlines.decode(text) if text is not None else {}
    except msgspec.DecodeError:
        return {}


def _bounded(figure: Headline) -> Bounded:
    interval = figure.interval
    bounds = (interval.lower, interval.upper) if interval is not None else (math.nan, math.nan)
    return (figure.value, *bounds) if all(map(math.isfinite, bounds)) else (figure.value, None, None)


class FiguresWrites(Writing):
    """How figures are written: with the runs that found them."""

    async def _add_figures(
        self, target_id: str, evaluation: Evaluation | None, comparison: Comparison | None
    ) -> int | None:
        """The row that says this, which may be there; None where nothing was found out."""
        if evaluation is None and comparison is None:
            return None
        texts = await asyncio.to_thread(figures_texts, evaluation, comparison)
        return await self._add_texts(target_id, texts, evaluation)

    async def _add_texts(self, target_id: str, texts: dict[str, str | None], evaluation: Evaluation | None) -> int:
        key = {"target_id": target_id, "digest": hashlib.sha256(repr(texts).encode()).hexdigest()}
        known = await self._known(schema.figures, key)
        if known is not None:
            return known
        return await self._add_once(schema.figures, key, texts | {"headlines": headlines_text(evaluation)})

    async def fill_headlines(self, most: int) -> int:
        """Add the headline figures of rows that a release before this column wrote; answers how many rows it looked at.

        Args:
            most: How many rows at most, since each is read as a whole.
        """
        table = schema.figures
        lacking = select(table.c.id, table.c.evaluation).where(table.c.headlines.is_(None)).limit(most)
        rows = await self._fetch(lacking)
        for number, text in (await asyncio.to_thread(_summed_up, rows)).items():
            await self._execute(update(table).where(table.c.id == number).values(headlines=text))
        return len(rows)


def _summed_up(rows: Sequence[Row[Any]]) -> dict[int, str]:
    """`headlines_text` by row; of a document that cannot be read none."""
    found = {}
    for row in rows:
        try:
            evaluation = None if row.evaluation is None else documents.load_evaluation(row.evaluation)
        except (ValueError, StoreError):
            evaluation = None
        found[row.id] = headlines_text(evaluation)
    return found

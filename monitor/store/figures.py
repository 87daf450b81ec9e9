"""Figures: what runs found out, evaluation and comparison, as two JSON texts in a row that equal findings share."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from monitor.compare.comparison import Comparison
from monitor.errors import fitted
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation
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


class FiguresWrites(Writing):
    """How figures are written: with the runs that found them."""

    async def _add_figures(
        self, target_id: str, evaluation: Evaluation | None, comparison: Comparison | None
    ) -> int | None:
        """The row that says this, which may be there; None where nothing was found out."""
        if evaluation is None and comparison is None:
            return None
        return await self._add_texts(target_id, await asyncio.to_thread(figures_texts, evaluation, comparison))

    async def _add_texts(self, target_id: str, texts: dict[str, str | None]) -> int:
        key = {"target_id": target_id, "digest": hashlib.sha256(repr(texts).encode()).hexdigest()}
        known = await self._known(schema.figures, key)
        return known if known is not None else await self._add_once(schema.figures, key, texts)

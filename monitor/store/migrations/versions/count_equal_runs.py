"""Runs that say what the one before said are counted by it.

All of it is SQL in one transaction: memory does not grow with the store.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SAME = (
    "state",
    "selection",
    "fingerprint",
    "last_change",
    "trained",
    "impulse_stale",
    "error",
    "result_set_id",
    "figures_id",
)
_OTHERS = ("id", "target_id", "finished", "changed", "last_seen", "times")


def upgrade() -> None:
    """Add the counts, and merge equal runs in a row."""
    op.add_column("run", sa.Column("last_seen", sa.Double, nullable=False, server_default=sa.text("0")))
    op.add_column("run", sa.Column("times", sa.Integer, nullable=False, server_default=sa.text("1")))
    op.drop_index("ix_run_target_id_finished", "run")
    op.drop_index("ix_run_finished", "run")
    run = sa.table("run", *map(sa.column, (*_SAME, *_OTHERS)))
    op.execute(sa.update(run).values(last_seen=run.c.finished))
    counted = _counted(run)
    op.execute(
        sa.update(run).values(last_seen=counted.c.last_seen, times=counted.c.times).where(run.c.id == counted.c.first)
    )
    op.execute(sa.delete(run).where(run.c.id.in_(_merged(run))))
    op.create_index(None, "run", ["target_id", "id"])
    op.create_index(None, "run", ["last_seen"])


def _marked(run: sa.TableClause) -> sa.Subquery:
    """Each run, and whether the target's run before it counts it.

    One that a baseline or a state refers to begins again: what was compared with it knows its times.
    """
    before: dict[str, Any] = {"partition_by": run.c.target_id, "order_by": run.c.id}
    same = [run.c[name].is_not_distinct_from(sa.func.lag(run.c[name]).over(**before)) for name in _SAME]
    not_first = sa.func.lag(run.c.id).over(**before).is_not(None)
    not_earlier = run.c.finished >= sa.func.lag(run.c.finished).over(**before)  # the clock was not set back
    referred = [
        sa.exists().where(sa.literal_column(f"{table}.run_id") == run.c.id).select_from(sa.table(table))
        for table in ("baseline", "state")
    ]
    counted = sa.and_(not_first, not_earlier, *same, sa.not_(run.c.changed), *map(sa.not_, referred))
    return sa.select(run.c.id, run.c.target_id, run.c.finished, counted.label("counted")).subquery("marked")


def _counted(run: sa.TableClause) -> sa.Subquery:
    """The first of several equal runs in a row, when the last was seen, and how many there are."""
    marked = _marked(run)
    begins = sa.case((sa.not_(marked.c.counted), marked.c.id))
    first = sa.func.max(begins).over(partition_by=marked.c.target_id, order_by=marked.c.id).label("first")
    grouped = sa.select(first, marked.c.finished).subquery("grouped")
    times = sa.func.count().label("times")
    return (
        sa.select(grouped.c.first, sa.func.max(grouped.c.finished).label("last_seen"), times)
        .group_by(grouped.c.first)
        .having(times > 1)
        .subquery("counted")
    )


def _merged(run: sa.TableClause) -> sa.Select[Any]:
    """The runs that one before them counts."""
    marked = _marked(run)
    return sa.select(marked.c.id).where(marked.c.counted)

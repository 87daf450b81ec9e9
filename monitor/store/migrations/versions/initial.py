"""Runs, result sets, figures, baselines, states, messages."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "result_set",
        sa.Column("id", number, primary_key=True),
        sa.Column("target_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("target_id", "fingerprint"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "figures",
        sa.Column("id", number, primary_key=True),
        sa.Column("target_id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("evaluation", sa.JSON),
        sa.Column("comparison", sa.JSON),
        sa.UniqueConstraint("target_id", "digest"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "run",
        sa.Column("id", number, primary_key=True),
        sa.Column("target_id", sa.Text, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("finished", sa.Double, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("selection", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text),
        sa.Column("changed", sa.Boolean, nullable=False),
        sa.Column("last_change", sa.Double),
        sa.Column("trained", sa.Double),
        sa.Column("impulse_stale", sa.Boolean),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("result_set_id", number, sa.ForeignKey("result_set.id")),
        sa.Column("figures_id", number, sa.ForeignKey("figures.id")),
        sqlite_autoincrement=True,
    )
    op.create_index(None, "run", ["result_set_id"])
    op.create_index(None, "run", ["figures_id"])
    op.create_index(None, "run", ["target_id", "state", "id"])
    op.create_index(None, "run", ["target_id", "state", "selection", "finished"])
    op.create_index(None, "run", ["target_id", "finished"])
    op.create_index(None, "run", ["finished"])
    op.create_table(
        "baseline",
        sa.Column("target_id", sa.Text, primary_key=True),
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("run_id", number, sa.ForeignKey("run.id"), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index(None, "baseline", ["run_id"])
    op.create_table(
        "state",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("target_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("run_id", number, sa.ForeignKey("run.id", ondelete="CASCADE")),
    )
    op.create_index(None, "state", ["run_id"])
    op.create_table(
        "message",
        sa.Column("id", number, primary_key=True),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(None, "message", ["receiver", "id"])

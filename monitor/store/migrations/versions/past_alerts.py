"""The times that alerts fired, what became of their messages, and the headline figures beside the figures."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables and the column; nothing that is there is touched."""
    op.add_column("figures", sa.Column("headlines", sa.Text))
    op.create_table(
        "firing",
        sa.Column("alertname", sa.Text, primary_key=True),
        sa.Column("target_id", sa.Text, primary_key=True),
        sa.Column("starts_at", sa.Double, primary_key=True),
        sa.Column("ends_at", sa.Double),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("cause_id", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("names", sa.Text, nullable=False),
        sa.Column("fired", sa.LargeBinary, nullable=False),
        sa.Column("ended", sa.LargeBinary),
    )
    for column in ("event", "cause_id", "starts_at", "ends_at"):
        op.create_index(None, "firing", [column])
    op.create_table(
        "notification",
        sa.Column("transition_id", sa.Text, primary_key=True),
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_index(None, "notification", ["at"])

"""The turns of a fleet: who has which, when each is due, which processes there are, and what has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables; nothing that is there is touched."""
    op.create_table(
        "turn",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("worker", sa.Text, nullable=False, server_default=""),
        sa.Column("running", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("taken", sa.Double, nullable=False, server_default="0"),
        sa.Column("confirmed", sa.Double, nullable=False, server_default="0"),
        sa.Column("closed_until", sa.Double, nullable=False, server_default="0"),
    )
    op.create_table(
        "due",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
    )
    for column in ("project", "at"):
        op.create_index(None, "due", [column])
    op.create_table(
        "process",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started", sa.Double, nullable=False),
        sa.Column("seen", sa.Double, nullable=False),
        sa.Column("backend", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("leads", sa.Boolean, nullable=False),
        sa.Column("report", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "change",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("xid", sa.BigInteger, nullable=False),
    )
    op.create_index(None, "change", ["xid"])

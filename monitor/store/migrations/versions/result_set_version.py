"""The version of reading and fingerprint of a result set."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; what is there is of the first version."""
    op.add_column("result_set", sa.Column("version", sa.Integer, nullable=False, server_default="1"))

"""The tables. The migrations in `migrations/versions` lead here; a test holds both together."""

from __future__ import annotations

import sqlalchemy as sa

VERSION_TABLE = "impulse_monitor_schema"
"""Where Alembic keeps the schema's revision; not its default name, which a shared database may already have."""

VERSIONS = ("0001", "0002", "0003", "0004", "0005")
"""Of the schema, in the order that the migrations lead through; known without Alembic, which is loaded where there is
something to migrate: it takes nine megabytes, and a fifth of a second.
"""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

version = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),  # Alembic's own, which no migration makes
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
"""The version of the schema, in one row."""

NEVER_SEEN = 0.0
"""`run.last_seen` of runs by a program that does not know the column; retention puts `finished` in its place."""

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers rows by itself for INTEGER only

result_set = sa.Table(
    "result_set",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("target_id", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    # an older process beside this one does not give it
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    sa.UniqueConstraint("target_id", "fingerprint"),
    sqlite_autoincrement=True,
)
"""Result sets as `columns.encode` makes them, one per content of a target."""

figures = sa.Table(
    "figures",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("target_id", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("evaluation", sa.JSON(none_as_null=True)),
    sa.Column("comparison", sa.JSON(none_as_null=True)),
    # an older process beside this one does not give it
    sa.Column("headlines", sa.Text),
    sa.UniqueConstraint("target_id", "digest"),
    sqlite_autoincrement=True,
)
"""What runs found out. Most runs find nothing new: they share one row."""

run = sa.Table(
    "run",
    metadata,
    sa.Column("id", _Id, primary_key=True),
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
    sa.Column("result_set_id", sa.ForeignKey("result_set.id"), index=True),
    sa.Column("figures_id", sa.ForeignKey("figures.id"), index=True),
    # an older process beside this one gives neither
    sa.Column("last_seen", sa.Double, nullable=False, server_default=sa.text("0")),
    sa.Column("times", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Index(None, "target_id", "id"),  # history, and the last run, which counts those that say nothing new
    sa.Index(None, "target_id", "state", "id"),  # the last good run
    sa.Index(None, "target_id", "state", "selection", "finished"),  # rolling and previous baselines
    sa.Index(None, "last_seen"),  # retention
    sqlite_autoincrement=True,  # a number never comes twice: states and baselines refer to it
)

baseline = sa.Table(
    "baseline",
    metadata,
    sa.Column("target_id", sa.Text, primary_key=True),
    sa.Column("mode", sa.Text, primary_key=True),
    sa.Column("run_id", sa.ForeignKey("run.id"), nullable=False, index=True),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)

state = sa.Table(
    "state",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("target_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("run_id", sa.ForeignKey("run.id", ondelete="CASCADE"), index=True),
)
"""States of alerts, drift and discoveries, as bytes; those that follow from a run are written in its transaction."""

message = sa.Table(
    "message",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("receiver", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index(None, "receiver", "id"),
    sqlite_autoincrement=True,
)
"""The outbox: what each receiver has not got yet."""

firing = sa.Table(
    "firing",
    metadata,
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
    sa.Index(None, "event"),
    sa.Index(None, "cause_id"),
    sa.Index(None, "starts_at"),
    sa.Index(None, "ends_at"),
)
"""The times that alerts fired, those that have ended included."""

notification = sa.Table(
    "notification",
    metadata,
    sa.Column("transition_id", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Index(None, "at"),
)
"""What became of the messages that have left the outbox."""

turn = sa.Table(
    "turn",
    metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("worker", sa.Text, nullable=False, server_default=""),
    sa.Column("running", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("taken", sa.Double, nullable=False, server_default="0"),
    sa.Column("confirmed", sa.Double, nullable=False, server_default="0"),
    sa.Column("closed_until", sa.Double, nullable=False, server_default="0"),
)
"""Of a fleet: who has the turn of a project, and until when its key is to send nothing. Times are the server's."""

due = sa.Table(
    "due",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
)
"""Of a fleet: when what a turn of a project does is due, by the server's clock."""

process = sa.Table(
    "process",
    metadata,
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
"""The processes of a fleet, and when each was last seen, by the server's clock."""

change = sa.Table(
    "change",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("xid", sa.BigInteger, nullable=False, index=True),
)
"""Of a fleet: the transaction that last changed what is known of a subject, for those who follow the store."""

OF_FLEETS = (turn, due, process, change)
"""What goes on in a fleet right now, on this server: no part of what a store keeps, and of no use in another one."""

LASTING = tuple(table for table in metadata.sorted_tables if table not in OF_FLEETS)
"""The other tables, each after those that it refers to."""

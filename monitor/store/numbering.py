"""The numbers that a database has given to rows, and those that it gives next.

A number never comes twice, even where its row was deleted: what refers to it would take another row for it.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, func, select, text


def last_number(connection: Connection, table: Table) -> int:
    """The highest number that a table has ever given; 0 where it gave none, or numbers nothing."""
    column = table.autoincrement_column
    if column is None:
        return 0
    highest: int = connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one()
    if connection.dialect.name == "sqlite":
        given = connection.execute(
            text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table.name}
        ).scalar()
        return max(highest, int(given or 0))
    sequence = _sequence(connection, table)
    last, is_called = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
    return max(highest, int(last) if is_called else int(last) - 1)


def number_after(connection: Connection, table: Table, number: int) -> None:
    """Let the next row of a table get a number above this one, and above all that it has."""
    if number == 0:
        return
    if connection.dialect.name == "sqlite":
        values = {"table": table.name, "number": number}
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :number)"), values)
        return
    values = {"sequence": _sequence(connection, table), "number": number}
    connection.execute(text("SELECT setval(CAST(CAST(:sequence AS text) AS regclass), :number)"), values)


def _sequence(connection: Connection, table: Table) -> str:
    """The name of the sequence that numbers the rows, quoted where it must be."""
    column = table.autoincrement_column
    assert column is not None  # the callers asked
    name: str = connection.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar_one()
    return name

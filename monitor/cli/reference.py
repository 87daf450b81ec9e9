"""`metrics` and `rules`: what there is to query, and the alerts for those who prefer Prometheus to evaluate them."""

from __future__ import annotations

from pathlib import Path

import click

from monitor import logs
from monitor.cli.common import config_option, load_config, print_table, version_option


@click.command()
@config_option
@version_option
def rules(config: Path) -> None:
    """Print the configured alerts as a Prometheus rule file, for those who prefer Prometheus to evaluate them."""
    from monitor.alerts.rule_file import rule_file

    logs.configure("error")
    loaded = load_config(config).config
    click.echo(rule_file(loaded.rules(), loaded.watched(), loaded.studio.discover), nl=False)


@click.command()
@version_option
def metrics() -> None:
    """Print every metric: name, type, labels, unit and meaning."""
    from rich.table import Table

    from monitor.exposition import describe

    table = Table("name", "type", "labels", "unit", "meaning", show_lines=False)
    rows = describe()
    for row in rows:
        table.add_row(row.name, row.type, ", ".join(row.labels), row.unit, row.meaning)
    print_table(table)

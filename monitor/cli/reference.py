"""`metrics` and `rules`: what there is to query, and the alerts for those who prefer Prometheus to evaluate them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from monitor import logs
from monitor.cli.common import config_option, load_config, version_option, width


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

    from monitor.exposition import describe

    wrapper = textwrap.TextWrapper(
        width(), initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    for row in describe():
        labels = f" {{{', '.join(row.labels)}}}" if row.labels else ""
        about = ", ".join(filter(None, (row.type, row.unit)))
        click.echo(row.name)
        click.echo(wrapper.fill(f"{about}{labels}: {row.meaning}"))

"""`init`: a configuration to begin with."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from monitor.cli.common import config_option, version_option

_TEMPLATE = """\
# Configuration of Impulse Monitor. Every key: docs/configuration.md. After each edit: impulse-monitor check

projects:
  - id: {project}{remark}
    # A read-only key suffices: in Studio, below Dashboard, Keys. Or api_key_file: PATH of a file that holds it.
    api_key: ${{EI_API_KEY}}
    # variants: [int8, float32]     # otherwise those that Studio has enabled
    # labels: {{team: edge}}          # onto this project's alerts

schedule:
  every: 15m

store: sqlite:///impulse-monitor.db   # beside this file; or postgresql://USER@HOST/DATABASE

# Who is told of alerts; try it with `impulse-monitor notify test`. Without a receiver they are only shown and exported.
notify: []
  # - alertmanager: {{url: http://127.0.0.1:9093}}
  # - apprise: {{url_file: mail-url}}   # a file with, for example, mailto://USER:PASSWORD@example.com

http:
  listen: 127.0.0.1:9890            # pages, /metrics and the API
  # admin_token_file: admin-token   # lets people log in to pull, pin and test: openssl rand -hex 32 > admin-token
"""
_EXAMPLE = 12345


@click.command()
@config_option
@click.option(
    "--project",
    type=click.IntRange(1),
    metavar="ID",
    help="Number of the project, as in the address of its page in Studio.",
)
@version_option
def init(config: Path, project: int | None) -> None:
    """Write a commented configuration that works once a key is in it. Never overwrites a file."""
    remark = "" if project else "                       # as in the address of the project's page in Studio"
    text = _TEMPLATE.format(project=project or _EXAMPLE, remark=remark)
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        with config.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        click.echo(f"{config} exists and stays as it is; name another file with --config", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"{config} cannot be written ({error.strerror}); name another file with --config", err=True)
        sys.exit(1)
    steps = ["set EI_API_KEY to the project's key", f"impulse-monitor check --online --config {config}"]
    if project is None:
        steps.insert(0, "write the project's number in place of 12345")
    click.echo(f"{config} is written; next: {'; '.join(steps)}")

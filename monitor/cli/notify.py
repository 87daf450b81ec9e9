"""`notify test`: does a message arrive."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor import logs
from monitor.cli.common import config_option, load_config, run_loop, version_option

if TYPE_CHECKING:
    from monitor.config import NotifyConfig


@click.group()
@version_option
def notify() -> None:
    """The receivers of alerts."""


@notify.command("test")
@config_option
@click.argument("receiver", required=False)
@version_option
def send_test(config: Path, receiver: str | None) -> None:
    """Send a test message to RECEIVER, or to each of them, and print the result. Needs no running service, and no
    store.
    """

    logs.configure("error")
    from monitor.notify import trial

    known = load_config(config).config.notify
    if not known:
        click.echo("no receiver is configured, so nobody is notified of alerts; write one below notify:", err=True)
        sys.exit(1)
    try:
        wanted = known if receiver is None else (trial.named(known, receiver),)
    except LookupError as error:
        click.echo(error.args[0], err=True)
        sys.exit(1)
    sys.exit(run_loop(_send(wanted)))


async def _send(receivers: Iterable[NotifyConfig]) -> int:
    import asyncio

    from monitor.notify import trial
    from monitor.notify.http import new_session

    async with new_session() as session:
        found = await asyncio.gather(*(trial.send(receiver, session, time.time) for receiver in receivers))
    for each in found:
        click.echo(each)
    return int(not all(each.delivered for each in found))

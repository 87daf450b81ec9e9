"""`notify test`: does a message arrive."""

from __future__ import annotations

import sys
import time
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
    from difflib import get_close_matches

    logs.configure("error")
    known = {each.receiver_name: each for each in load_config(config).config.notify}
    if not known:
        click.echo("no receiver is configured, so nobody is notified of alerts; write one below notify:", err=True)
        sys.exit(1)
    if receiver is not None and receiver not in known:
        near = get_close_matches(receiver, known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        click.echo(f"no receiver is called {receiver}; {advice}", err=True)
        sys.exit(1)
    sys.exit(run_loop(_send([known[receiver]] if receiver is not None else list(known.values()))))


async def _send(receivers: list[NotifyConfig]) -> int:
    import asyncio

    from monitor.notify import trial
    from monitor.notify.errors import NotifyError
    from monitor.notify.http import new_session

    async def line(receiver: NotifyConfig) -> tuple[bool, str]:
        try:
            await trial.send(receiver, session, time.time)
        except NotifyError as error:
            return False, f"{receiver.receiver_name}: failed: {error}"
        return True, f"{receiver.receiver_name}: delivered"

    async with new_session() as session:
        found = await asyncio.gather(*map(line, receivers))
    for _, text in found:
        click.echo(text)
    return int(not all(good for good, _ in found))

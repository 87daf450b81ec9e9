"""What `check` looks at beyond the models of the configuration: receivers, the certificate, the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from pydantic import SecretStr

from monitor.config import ConfigError, Loaded, NotifyConfig, Problem
from monitor.config.paths import read_secret


def apprise_problems(loaded: Loaded) -> Iterator[Problem]:
    """A problem for each Apprise URL that cannot be used; nothing is sent. Loading Apprise takes a second, where there
    is one.
    """
    for index, entry in enumerate(loaded.config.notify):
        if entry.apprise is None:
            continue
        from monitor.notify.apprise import UNKNOWN, usable

        place = entry.apprise.address
        key, prefix = ("url_file", "names a file whose URL ") if isinstance(place, Path) else ("url", "")
        try:
            url = place if isinstance(place, SecretStr) else read_secret(place)
            message = "" if usable(url.get_secret_value()) else f"{prefix}{UNKNOWN}"
        except ValueError as error:  # the file has gone since it was loaded
            message = str(error)
        if message:
            yield loaded.problem(("notify", index, "apprise", key), message)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with a file, and what may be."""

    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


def web_config_findings(path: Path, now: float) -> Findings:
    """What `run` would refuse of a web configuration, a certificate that expired by `now` (Unix seconds), and what may
    not be meant.
    """
    from monitor.web import web_config

    try:
        protection = web_config.load(path)
    except ConfigError as error:
        return Findings(error.problems)
    certificate = protection.certificate
    if certificate is not None and (problem := certificate.expiry(now)) is not None:
        return Findings([problem]) if certificate.expires <= now else Findings(warnings=[problem])
    if not protection.users and protection.tls is None:
        message = "names neither users nor TLS: everyone is let in; write basic_auth_users or tls_server_config"
        return Findings(warnings=[Problem(path, 1, "", message)])
    return Findings()


async def check_store(loaded: Loaded) -> bool:
    """Print whether the store can be used, without changing it; answer it."""
    from monitor.store import StoreError
    from monitor.store.probing import probe

    try:
        click.echo(f"store: ok, {await probe(loaded.config.store.get_secret_value())}")
    except StoreError as error:
        click.echo(f"store: {error}")
        return False
    return True


async def check_receivers(loaded: Loaded) -> bool:
    """Probe each receiver without notifying it, print a line each, answer whether all that can be probed answer."""
    from monitor.notify import trial
    from monitor.notify.errors import NotifyError
    from monitor.notify.http import new_session

    async def line(receiver: NotifyConfig) -> tuple[bool, str]:
        try:
            said = await trial.probe(receiver, session, time.time)
        except NotifyError as error:
            return False, f"receiver {receiver.receiver_name}: {error}"
        result = f"ok, {said}" if said else "not asked; `notify test` sends it a message"
        return True, f"receiver {receiver.receiver_name}: {result}"

    async with new_session() as session:
        found = await asyncio.gather(*map(line, loaded.config.notify))
    for _, text in found:
        click.echo(text)
    return all(good for good, _ in found)

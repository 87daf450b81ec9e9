"""Commands within the tests' own process: what they print where, and how they exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from click.testing import CliRunner, Result

from monitor.cli import main

T = TypeVar("T")


def write_config(folder: Path, url: str, keys: Mapping[int, str]) -> Path:
    """A configuration for three of the simulator's projects, one key being that of the environment's TANK_KEY."""
    path = folder / "monitor.yaml"
    projects = [
        {"id": 101, "api_key": keys[101]},
        {"id": 107, "api_key": keys[107]},
        {"id": 108, "api_key": "${TANK_KEY}"},
    ]
    path.write_text(yaml.safe_dump({"studio": {"url": url}, "projects": projects}), encoding="utf-8")
    return path


def run(*arguments: str | Path, **environ: str) -> Result:
    """One command to its end; what it does not handle is raised here."""
    return CliRunner().invoke(
        main, list(map(str, arguments)), env=environ, catch_exceptions=False, prog_name="impulse-monitor"
    )


async def run_beside(*arguments: str | Path, **environ: str) -> Result:
    """One command to its end, in a thread, so that the servers that it asks may be in this loop."""
    return await asyncio.to_thread(run, *arguments, **environ)


def serve(*arguments: str | Path, use: Callable[[], Awaitable[None]]) -> Result:
    """A command that serves until SIGTERM, which comes after `use`."""
    return until_sigterm(lambda: run(*arguments), use)


def until_sigterm(command: Callable[[], T], use: Callable[[], Awaitable[None]]) -> T:
    """Something that serves until SIGTERM, in this thread, which alone may take signals.

    Args:
        command: Serves.
        use: What is done meanwhile, by a loop in another thread; it waits until it is served. SIGTERM comes after it.

    Returns:
        What `command` answers.

    Raises:
        AssertionError: `use` raised it.
    """
    failed: list[BaseException] = []
    ended = threading.Event()

    def work() -> None:
        try:
            asyncio.run(_until_ended(use, ended))
        except BaseException as error:
            failed.append(error)
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, lambda *_: None)  # should the command have no handler yet, or no more
    thread = threading.Thread(target=work)
    thread.start()
    try:
        result = command()
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGTERM, before)
    if failed:
        raise failed[0]
    return result


async def _until_ended(use: Callable[[], Awaitable[None]], ended: threading.Event) -> None:
    """`use`, cut off where the command ended by itself."""
    using = asyncio.ensure_future(use())
    while not using.done() and not ended.is_set():
        await asyncio.sleep(0.05)
    if not using.done():
        using.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await using
        return
    await using

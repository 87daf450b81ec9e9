"""Chat and mail by Apprise, with its JSON service on loopback."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from monitor import logs
from monitor.config import NotifyConfig
from monitor.notify import Dispatcher
from tests.notify.notify_parts import FIRING, QUICK, Counts, Inbox, drained, notify_entry, outbox, put, resolved
from tests.waiting import until

# One of Apprise's modules looks whether it is there.
pytestmark = [
    pytest.mark.usefixtures("clock"),
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
]


def url(inbox: Inbox, path: str = "/hook") -> str:
    """An Apprise URL that leads there."""
    return f"json://user:pass-word@127.0.0.1:{inbox.port}{path}"


def chat(file: Path) -> NotifyConfig:
    """A receiver with its URL in a file."""
    return notify_entry("apprise", "chat", url_file=file)


async def test_texts(tmp_path: Path) -> None:
    """Title and text are the alert's own, with the link; the type follows from status and severity."""
    file = tmp_path / "url"
    bare = replace(FIRING, annotations={}, generator_url="", severity="info")
    async with Inbox() as inbox, outbox(tmp_path) as store:
        file.write_text(url(inbox) + "\n", encoding="utf-8")
        await put(store, "chat", FIRING, resolved(), replace(FIRING, severity="critical"), bare)
        async with Dispatcher(store, [chat(file)], Counts(), policy=QUICK):
            await drained(store, "chat")
    told = [(request.json["type"], request.json["title"], request.json["message"]) for request in inbox.requests]
    text = f"{FIRING.annotations['description']}\n{FIRING.generator_url}"

    assert [
        ("warning", "Firing: Accuracy fell: Prüfstand №3.", text),
        ("success", "Resolved: Accuracy fell: Prüfstand №3.", text),
        ("failure", "Firing: Accuracy fell: Prüfstand №3.", text),
        ("info", "Firing: EdgeImpulseAccuracyRegressed", "Firing: EdgeImpulseAccuracyRegressed"),
    ] == told


async def test_down_and_back(tmp_path: Path) -> None:
    """A service that fails, or is away, gets its messages in order when it is back."""
    file, counts, inbox = tmp_path / "url", Counts(), Inbox([500, 404])
    file.write_text(url(inbox), encoding="utf-8")
    async with outbox(tmp_path) as store:
        await put(store, "chat", FIRING, resolved())
        async with Dispatcher(store, [chat(file)], counts, policy=QUICK):
            await until(lambda: counts.outcomes["chat", "failed"] > 1)
            async with inbox:
                await drained(store, "chat")

    assert ["warning", "success"] == [request.json["type"] for request in inbox.requests if request.reply == 200]
    assert 2 == counts.outcomes["chat", "delivered"]


async def test_url_file(tmp_path: Path) -> None:
    """Messages wait for a file with a URL that Apprise knows, and go where the file says at that moment."""
    file, counts = tmp_path / "url", Counts()
    async with (
        Inbox() as first,
        Inbox() as second,
        outbox(tmp_path) as store,
        Dispatcher(store, [chat(file)], counts, policy=QUICK),
    ):
        await put(store, "chat", FIRING)
        for content in (None, "", "no-such-service://token", "nonsense"):
            if content is not None:
                file.write_text(content, encoding="utf-8")
            failed = counts.outcomes["chat", "failed"]
            await until(lambda failed=failed: counts.outcomes["chat", "failed"] > failed + 1)
        file.write_text(url(first), encoding="utf-8")
        await drained(store, "chat")
        file.write_text(url(second), encoding="utf-8")
        await put(store, "chat", resolved())
        await drained(store, "chat")

    assert (["warning"], ["success"]) == tuple(
        [request.json["type"] for request in inbox.requests] for inbox in (first, second)
    )


async def test_nothing_of_the_url_is_logged(tmp_path: Path) -> None:
    """Whether the service answers, fails, is away or is unknown: nothing of the URL is logged, not even by Apprise."""
    stream, file, counts = io.StringIO(), tmp_path / "url", Counts()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("debug", "json", stream)
    handler = logging.StreamHandler(stream)  # without the mask of the last line of defence
    root.addHandler(handler)
    inbox = Inbox([500, 500])
    try:
        async with outbox(tmp_path) as store:
            await put(store, "chat", FIRING, resolved())
            file.write_text("nonsense://T0K3N:pass-word@T0K3N/T0K3N", encoding="utf-8")
            async with Dispatcher(store, [chat(file)], counts, policy=QUICK):
                await until(lambda: counts.outcomes["chat", "failed"])
                file.write_text(url(inbox, "/T0K3N?+key=qu3ry"), encoding="utf-8")
                failed = counts.outcomes["chat", "failed"]
                await until(lambda: counts.outcomes["chat", "failed"] > failed + 1)
                async with inbox:
                    await drained(store, "chat")
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = before
    said = stream.getvalue()

    assert "notify.failing" in said and "notify.delivered" in said
    assert 4 == len(inbox.requests)
    assert [] == [word for word in ("pass-word", "T0K3N", "qu3ry", "127.0.0.1") if word in said]


def test_lazy() -> None:
    """Who has no Apprise receiver does not load the library."""
    code = "import sys, monitor.notify; sys.exit('apprise' in sys.modules or 'requests' in sys.modules)"

    assert 0 == subprocess.run([sys.executable, "-c", code], timeout=240, check=False).returncode

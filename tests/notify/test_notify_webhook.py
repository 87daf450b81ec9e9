"""What a webhook is sent, and what its answers lead to."""

from __future__ import annotations

import base64
import email.utils
import io
import json
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import structlog
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from monitor import logs
from monitor.notify import Dispatcher, address
from tests.clock import START, Clock
from tests.notify.notify_parts import (
    DROP,
    FIRING,
    HANG,
    QUICK,
    Counts,
    Inbox,
    drained,
    notify_entry,
    outbox,
    put,
    resolved,
)
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "config" / "webhook.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
ENCODED = "whsec_" + base64.b64encode(bytes(range(24))).decode()
DOCUMENTATION = (ROOT / "docs" / "notifications.md").read_text(encoding="utf-8")


def documented(language: str) -> str:
    """The first code block of a language in the documentation."""
    found = re.search(rf"```{language}\n(.*?)```", DOCUMENTATION, re.DOTALL)
    assert found

    return found.group(1)


async def test_body(tmp_path: Path) -> None:
    """A transition arrives as JSON with every member of the schema, and with nothing lost."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING, resolved())
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
            await drained(store, "hook")
    first, second = inbox.requests

    assert [] == list(VALIDATOR.iter_errors(first.json)) + list(VALIDATOR.iter_errors(second.json))
    assert set(SCHEMA["properties"]) == set(SCHEMA["required"]) == set(first.json)
    alert = {
        "id": FIRING.id,
        "status": "firing",
        "alert": "EdgeImpulseAccuracyRegressed",
        "severity": "warning",
        "target": "101-1-int8-testing",
        "labels": FIRING.labels,
        "annotations": FIRING.annotations,
        "starts_at": "2026-03-01T08:15:02.125000Z",
        "ends_at": None,
        "url": "https://monitor.example/targets/101-1-int8-testing",
        "details": FIRING.details,
    }
    assert {"version": 2, **alert, "cause_id": "", "alerts": [alert]} == first.json
    assert ("resolved", "2026-03-01T08:25:02.125000Z") == (second.json["status"], second.json["ends_at"])
    assert ("POST", "/hook", "application/json", FIRING.id) == (
        first.method,
        first.path,
        first.headers["Content-Type"],
        first.key,
    )


def test_documented_example() -> None:
    """The example in the documentation is of the schema, and shows every member."""
    example = json.loads(documented("json"))

    assert [] == list(VALIDATOR.iter_errors(example))
    assert set(SCHEMA["properties"]) == set(example)


@pytest.mark.real_time  # the package that verifies takes the real time
async def test_signature(tmp_path: Path) -> None:
    """`standardwebhooks` and the documented check accept what is sent, and nothing else; a secret that was changed
    counts from the next message on.
    """
    check: dict[str, Any] = {}
    exec(documented("python"), check)
    genuine: Callable[[str, dict[str, str], bytes], bool] = check["genuine"]
    file = tmp_path / "secret"
    file.write_text(f"{ENCODED}\n", encoding="utf-8")
    async with (
        Inbox() as inbox,
        outbox(tmp_path) as store,
        Dispatcher(store, [inbox.webhook(secret_file=file)], Counts(), policy=QUICK),
    ):
        await put(store, "hook", FIRING)
        await drained(store, "hook")
        file.write_text("première clé", encoding="utf-8")
        await put(store, "hook", resolved())
        await drained(store, "hook")
    first, second = inbox.requests
    later = {**first.headers, "webhook-timestamp": str(int(first.headers["webhook-timestamp"]) + 1)}
    other = {**first.headers, "webhook-id": resolved().id}
    raw = base64.b64encode("première clé".encode()).decode()  # the package takes no secret but in base64

    assert FIRING.id == first.headers["webhook-id"] == first.key
    assert first.json == Webhook(ENCODED).verify(first.body, dict(first.headers))
    assert second.json == Webhook(raw).verify(second.body, dict(second.headers))
    for headers, body in ((first.headers, first.body + b" "), (later, first.body), (other, first.body)):
        with pytest.raises(WebhookVerificationError):
            Webhook(ENCODED).verify(body, dict(headers))
        assert not genuine(ENCODED, dict(headers), body)
    assert genuine(ENCODED, dict(first.headers), first.body)
    assert genuine("première clé", dict(second.headers), second.body)
    assert not genuine("première clé", dict(first.headers), first.body)


async def test_a_secret_that_is_not_base64(tmp_path: Path) -> None:
    """A message waits, unsent, for a secret whose `whsec_` is followed by base64, and the reason repeats none of it."""
    file, counts = tmp_path / "secret", Counts()
    file.write_text("whsec_sesame!", encoding="utf-8")
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook(secret_file=file)], counts, policy=QUICK) as dispatcher:
            await until(lambda: dispatcher.failing)
            (failing,) = dispatcher.failing
            sent = len(inbox.requests)
            file.write_text(ENCODED, encoding="utf-8")
            await drained(store, "hook")

    assert failing.why.endswith("begins with whsec_, but what follows is not base64; messages wait until it is")
    assert "sesame" not in failing.why
    assert (0, 1) == (sent, len(inbox.requests))


async def test_unsigned(tmp_path: Path, clock: Clock) -> None:
    """Without a secret there is no signature; identity and time are sent nevertheless."""
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
            await drained(store, "hook")

    headers = inbox.requests[0].headers

    assert "webhook-signature" not in headers
    assert FIRING.id == headers["webhook-id"]
    assert abs(clock.time() - int(headers["webhook-timestamp"])) < 60


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
async def test_unreadable_secret(tmp_path: Path, content: bytes | None) -> None:
    """A message waits, unsent, for a secret that cannot be read, and goes out once it can."""
    counts, file = Counts(), tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    async with Inbox() as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook(secret_file=file)], counts, policy=QUICK):
            await until(lambda: counts.outcomes["hook", "failed"] > 2)
            sent = len(inbox.requests)
            file.write_text("secret", encoding="utf-8")
            await drained(store, "hook")

    assert (0, 1, 1) == (sent, len(inbox.requests), counts.outcomes["hook", "delivered"])


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_delivered(tmp_path: Path, status: int) -> None:
    """Any 2xx is success: the message is sent once."""
    counts = Counts()
    async with Inbox([status]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
            await drained(store, "hook")

    assert {("hook", "delivered"): 1} == counts.outcomes
    assert 1 == len(inbox.requests)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
async def test_rejected(tmp_path: Path, status: int) -> None:
    """A refusal for good is not repeated, and the next message arrives."""
    counts = Counts()
    async with Inbox([status]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING, resolved())
        async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
            await drained(store, "hook")

    assert {("hook", "rejected"): 1, ("hook", "delivered"): 1} == counts.outcomes
    assert [resolved().id] == inbox.keys


@pytest.mark.parametrize("reply", [408, 425, 429, 500, 502, 503, 504, (302, {"Location": "/elsewhere"}), HANG, DROP])
async def test_tried_again(tmp_path: Path, reply: Any) -> None:
    """A failure that may pass is repeated with the same key and body until it passes; redirects lead nowhere."""
    counts = Counts()
    async with Inbox([reply, reply]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK, timeout=5.0):
            await drained(store, "hook")

    assert {("hook", "failed"): 2, ("hook", "delivered"): 1} == counts.outcomes
    assert 1 == len({(request.key, request.body, request.path) for request in inbox.requests})
    assert 3 == len(inbox.requests)


async def test_refused_connection(tmp_path: Path) -> None:
    """A receiver that nobody answers for gets its message when it comes."""
    counts = Counts()
    inbox = Inbox()
    async with outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], counts, policy=QUICK):
            await until(lambda: counts.outcomes["hook", "failed"] > 2)
            async with inbox:
                await drained(store, "hook")

    assert [FIRING.id] == inbox.keys


@pytest.mark.parametrize("form", ["number", "date"])
async def test_retry_after(tmp_path: Path, form: str) -> None:
    """`Retry-After` is honoured, also while other messages are committed."""
    told = "20" if form == "number" else email.utils.formatdate(START + 20, usegmt=True)
    async with Inbox([(429, {"Retry-After": told})]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
            await until(lambda: inbox.requests)
            await put(store, "hook", resolved())
            await drained(store, "hook")
    first, second, _ = inbox.requests

    assert 20 == pytest.approx(second.at - first.at, abs=0.5)


async def test_long_retry_after(tmp_path: Path) -> None:
    """A receiver that wants to be left alone for a day is asked again after the longest wait."""
    async with Inbox([(503, {"Retry-After": "86400"})]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=replace(QUICK, max_retry_after=30.0)):
            await drained(store, "hook")
    first, second = inbox.requests

    assert 30 == pytest.approx(second.at - first.at, abs=0.5)


@pytest.mark.parametrize("value", ["soon", "-5", "", "1e9", "Thu, 99 Foo 2026"])
async def test_nonsense_retry_after(tmp_path: Path, value: str) -> None:
    """A `Retry-After` that says nothing changes nothing."""
    async with Inbox([(503, {"Retry-After": value})]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
            await drained(store, "hook")
    first, second = inbox.requests

    assert second.at - first.at <= QUICK.initial_backoff + 0.1


async def test_nothing_secret_is_logged(tmp_path: Path) -> None:
    """Whatever happens, of a URL only scheme, host and port are logged, and nothing of a secret."""
    stream, secret = io.StringIO(), tmp_path / "secret"
    secret.write_text("sesame-of-the-hook", encoding="utf-8")
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logs.configure("debug", "json", stream)
    try:
        async with Inbox([500, HANG, DROP, 302, 404]) as inbox, outbox(tmp_path) as store:
            hook = f"http://user:pass-word@127.0.0.1:{inbox.port}/services/T0K3N?key=qu3ry"
            nobody = f"http://user:pass-word@127.0.0.1:{Inbox().port}/services/T0K3N?key=qu3ry"
            nonsense = tmp_path / "nonsense"
            nonsense.write_text("http://user:pass-word@[T0K3N/services?key=qu3ry", encoding="utf-8")
            receivers = [
                notify_entry("webhook", "hook", url=SecretStr(hook), secret_file=secret),
                notify_entry("webhook", "nobody", url=SecretStr(nobody)),
                notify_entry("webhook", "nonsense", url_file=nonsense),
            ]
            for each in receivers:
                await put(store, each.receiver_name, FIRING, resolved())
            counts = Counts()
            async with Dispatcher(store, receivers, counts, policy=QUICK, timeout=5.0):
                await drained(store, "hook")
                await until(lambda: counts.outcomes["nobody", "failed"] and counts.outcomes["nonsense", "failed"])
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = before
    said = stream.getvalue() + repr(receivers)

    assert f"http://127.0.0.1:{inbox.port} answered 500" in said
    assert [] == [word for word in ("pass-word", "T0K3N", "qu3ry", "sesame") if word in said]


@pytest.mark.parametrize(
    "url", ["", "token", "http://", "tgram://token/chat", "http://host:port/token", "http://[token"]
)
def test_no_address(url: str) -> None:
    """Nothing is shown of what is no HTTP URL."""
    assert "(not a URL of http or https)" == address(url)

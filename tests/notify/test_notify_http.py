"""How receivers are reached: private authorities, bearer tokens, and what is said where they do not let one in."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr
from structlog.testing import capture_logs

from monitor.config import NotifyConfig
from monitor.notify import Dispatcher
from tests.notify.notify_parts import FIRING, QUICK, Counts, Inbox, drained, notify_entry, outbox, put, resolved
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("clock")

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def served_by(authority: trustme.CA, name: str = "127.0.0.1", until: datetime.datetime | None = None) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=until).configure_cert(context)
    return context


async def why_failing(folder: Path, receiver: NotifyConfig) -> str:
    """What is logged of a receiver that does not get its message."""
    counts = Counts()
    async with outbox(folder) as store:
        await put(store, receiver.receiver_name, FIRING)
        with capture_logs() as logs:
            async with Dispatcher(store, [receiver], counts, policy=QUICK):
                await until(lambda: counts.outcomes[receiver.receiver_name, "failed"] > 1)
    (error,) = [str(line["error"]) for line in logs if line["event"] == "notify.failing"]

    return error


@pytest.mark.parametrize("kind", ["alertmanager", "webhook"])
async def test_private_authority(tmp_path: Path, kind: str) -> None:
    """A certificate of a private authority is trusted by `ca_file`, which is read anew: one that is replaced counts
    from then on.
    """
    first, second, file = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"
    first.cert_pem.write_to_path(str(file))
    async with Inbox(tls=served_by(first)) as inbox, outbox(tmp_path) as store:
        receiver = notify_entry(kind, "hook", url=SecretStr(inbox.url()), ca_file=file)
        async with Dispatcher(store, [receiver], Counts(), policy=QUICK):
            await put(store, "hook", FIRING)
            await drained(store, "hook")
            await inbox.down()
            inbox.tls = served_by(second)
            await inbox.up()
            second.cert_pem.write_to_path(str(file))
            await put(store, "hook", resolved())
            await drained(store, "hook")

    assert len(inbox.requests) >= 2


async def test_untrusted_certificate(tmp_path: Path) -> None:
    """A certificate that is not trusted is an error that names the option to set; another name and an expired one have
    other advice.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Inbox(tls=served_by(authority)) as inbox:
        unknown = await why_failing(tmp_path, inbox.webhook())
    async with Inbox(tls=served_by(authority, "127.0.0.2")) as inbox:
        other = await why_failing(tmp_path, inbox.webhook("other", ca_file=tmp_path / "ca.pem"))
    async with Inbox(tls=served_by(authority, until=PAST)) as inbox:
        expired = await why_failing(tmp_path, inbox.webhook("expired", ca_file=tmp_path / "ca.pem"))

    assert "name the file with its authority's certificate in ca_file of the receiver hook" in unknown
    assert "write the name that the certificate is for into the URL" in other
    assert "certificate has expired" in expired
    assert "ca_file" not in other + expired


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), (b"no certificate", "holds no certificate")])
async def test_unusable_ca_file(tmp_path: Path, content: bytes | None, why: str) -> None:
    """A message waits, unsent, while the file of the authority cannot be used."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    async with Inbox() as inbox:
        error = await why_failing(tmp_path, inbox.webhook(ca_file=file))

    assert f"ca_file of hook: the file {file} cannot be used" in error
    assert why in error
    assert [] == inbox.requests


@pytest.mark.parametrize("kind", ["alertmanager", "webhook"])
async def test_bearer_token(tmp_path: Path, kind: str) -> None:
    """The token is sent as it stands in its file at that moment."""
    file = tmp_path / "token"
    file.write_text("first-token\n", encoding="utf-8")
    async with Inbox() as inbox, outbox(tmp_path) as store:
        receiver = notify_entry(kind, "hook", url=SecretStr(inbox.url()), bearer_token_file=file)
        async with Dispatcher(store, [receiver], Counts(), policy=QUICK):
            await put(store, "hook", FIRING)
            await drained(store, "hook")
            file.write_text("second-token", encoding="utf-8")
            await put(store, "hook", resolved())
            await drained(store, "hook")
    tokens = list(dict.fromkeys(request.headers["Authorization"] for request in inbox.requests))

    assert ["Bearer first-token", "Bearer second-token"] == tokens
    assert "-token" not in repr(receiver)


@pytest.mark.parametrize(
    ("content", "user", "why"),
    [
        (None, "", "cannot be read"),
        ("", "", "is empty"),
        ("to\nken", "", "holds characters"),
        ("token", "user:word@", "remove one of them"),
    ],
)
async def test_unusable_bearer_token(tmp_path: Path, content: str | None, user: str, why: str) -> None:
    """A message waits, unsent, for a token that can be sent."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    async with Inbox() as inbox:
        url = tmp_path / "url"
        url.write_text(inbox.url().replace("://", f"://{user}"), encoding="utf-8")
        error = await why_failing(tmp_path, notify_entry("webhook", "hook", url_file=url, bearer_token_file=file))

    assert why in error
    assert [] == inbox.requests


async def test_refused_token(tmp_path: Path) -> None:
    """A refusal for a missing or wrong token names the option."""
    async with Inbox([401]) as inbox, outbox(tmp_path) as store:
        await put(store, "hook", FIRING)
        with capture_logs() as logs:
            async with Dispatcher(store, [inbox.webhook()], Counts(), policy=QUICK):
                await drained(store, "hook")

    (error,) = [str(line["error"]) for line in logs if line["event"] == "notify.rejected"]
    assert "refused it with 401; check its bearer_token_file" in error

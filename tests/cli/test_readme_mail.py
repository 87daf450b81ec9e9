"""The README's way to a mail, walked: its receiver in the configuration that `init` writes, and a mail server."""

from __future__ import annotations

import asyncio
import email
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from email.policy import default
from pathlib import Path

import pytest

from tests.cli.commands import run, run_beside

README = Path(__file__).parents[2] / "README.md"

# One of Apprise's modules looks whether it is there.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Mailbox:
    """A mail server that takes what it is sent.

    Attributes:
        port: On 127.0.0.1.
        logins: What clients authenticated with.
        recipients: Addresses of the envelopes.
        mails: The messages.
    """

    def __init__(self) -> None:
        self.port = 0
        self.logins: list[str] = []
        self.recipients: list[str] = []
        self.mails: list[Message] = []

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's conversation."""
        writer.write(b"220 mail.example.com ESMTP\r\n")
        while line := (await reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    writer.write(b"250-mail.example.com\r\n250 AUTH PLAIN\r\n")
                case "AUTH":
                    self.logins.append(rest)
                    writer.write(b"235 welcome\r\n")
                case "RCPT":
                    self.recipients += re.findall("<(.*?)>", rest)
                    writer.write(b"250 ok\r\n")
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    self.mails.append(email.message_from_bytes(await reader.readuntil(b"\r\n.\r\n"), policy=default))
                    writer.write(b"250 ok\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                case _:
                    writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mail server on a free port."""
    box = Mailbox()
    async with await asyncio.start_server(box.talk, "127.0.0.1", 0) as server:
        box.port = server.sockets[0].getsockname()[1]
        yield box


async def test_the_readme_leads_to_a_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the README says to write is valid without a warning, and `notify test` brings a mail to whom it names; only
    the server, and that it speaks without TLS, are the test's.
    """
    text = README.read_text(encoding="utf-8").split("## Get a mail")[1]
    (receiver,) = re.findall(r"```yaml\n(notify:.*?)```", text, re.DOTALL)
    (url,) = re.findall(r"```text\n(mailtos://.*?)\n```", text, re.DOTALL)
    config = tmp_path / "monitor.yaml"
    written = run("init", "--config", config, "--project", "12345")
    monkeypatch.setenv("EI_API_KEY", "ei_0123456789")
    content = config.read_text(encoding="utf-8")
    assert content.count("notify: []\n") == 1
    config.write_text(content.replace("notify: []\n", receiver), encoding="utf-8")
    (tmp_path / "mail-url").write_text(url, encoding="utf-8")
    checked = await run_beside("check", "--config", config)
    async with mailbox() as box:
        here = url.replace("mailtos://", "mailto://").replace("@example.com?", f"@example.com:{box.port}?")
        here = here.replace("smtp.example.com", "127.0.0.1") + "&mode=insecure"
        (tmp_path / "mail-url").write_text(here, encoding="utf-8")
        tried = await run_beside("notify", "test", "--config", config)

    assert (0, 0) == (written.exit_code, checked.exit_code), checked.output
    assert f"{config}: valid, 1 project\n" == checked.stdout
    assert (0, "apprise-mail-url: delivered\n") == (tried.exit_code, tried.stdout), tried.output
    assert (["team@example.com"], 1) == (box.recipients, len(box.logins))
    assert "Firing: Test message of Impulse Monitor." == box.mails[0]["Subject"]
    assert "team@example.com" in str(box.mails[0]["To"])

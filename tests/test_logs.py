"""What gets into the log, and what never does."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from monitor import logs


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The log as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def written(stream: io.StringIO, style: str = "auto", level: str = "info") -> str:
    """A line, a line of another library, and a crash with a key and a body among its local variables."""
    logs.configure(level, style, stream)
    logs.secrets.add("ei_very_secret")
    log = structlog.get_logger()
    log.info("pull.finished", target="1-1-int8-testing", note="the key is ei_very_secret")
    log.debug("too.much")
    logging.getLogger("aiohttp").warning("odd %s", "ei_very_secret")

    def crash() -> None:
        body = "the body of a reply"
        raise ValueError(f"with ei_very_secret and {len(body)}")

    try:
        crash()
    except ValueError:
        log.exception("pull.crashed")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "style"), [(io.StringIO, "auto"), (io.StringIO, "json"), (io.StringIO, "logfmt"), (Terminal, "auto")]
)
def test_secrets_and_bodies_stay_out(stream: type[io.StringIO], style: str) -> None:
    """A key is masked wherever it got into, and local variables are not shown, in every format."""
    text = written(stream(), style)

    assert "ei_very_secret" not in text
    assert "the body of a reply" not in text
    assert "***" in text
    assert "pull.crashed" in text
    assert "too.much" not in text


def test_json_lines() -> None:
    """Each line is a JSON object with time, level and event; other libraries' lines too, with their name."""
    lines = [json.loads(line) for line in written(io.StringIO()).splitlines()]

    assert ["pull.finished", "odd ***", "pull.crashed"] == [line["event"] for line in lines]
    assert ["info", "warning", "error"] == [line["level"] for line in lines]
    assert "aiohttp" == lines[1]["logger"]
    assert all(line["ts"].endswith("Z") for line in lines)
    assert "ValueError" == lines[2]["exception"][0]["exc_type"]


def test_key_value_lines() -> None:
    """Without a terminal key-value lines are there for the asking."""
    line = written(io.StringIO(), "logfmt").splitlines()[0]

    assert "event=pull.finished" in line
    assert "target=1-1-int8-testing" in line


def test_of_a_secret_that_holds_another_nothing_is_left() -> None:
    """A secret is masked as a whole, also where a shorter one is part of it, in whatever order they became known."""
    secrets = logs.Secrets()
    for value in ("very", "ei_very_long", "long", "very"):
        secrets.add(value)

    assert "*** and ***" == secrets(None, "", "ei_very_long and very")

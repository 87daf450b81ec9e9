"""No secret, and no body of a reply, gets out by way of an error's text."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
import yaml
from structlog.testing import capture_logs

from monitor.config import ConfigError, load
from monitor.errors import InvalidReply, quoted
from monitor.logs import configure, secrets
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Body, Refuse, Status
from monitor.store import Store, StoreError
from tests.service_process import Service

pytestmark = pytest.mark.usefixtures("clock")

PAGE = "result/page"
TARGET = "101-1-int8-testing"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service with one project, not started."""
    studio = Studio([projects.classification(101, sizes={"testing": 20})])
    async with serve(studio) as url:
        running = Service(tmp_path / "monitor.yaml", studio, url)
        running.write()
        try:
            yield running
        finally:
            await running.app.stop()


def test_quotes_are_short_plain_and_masked() -> None:
    """What another program said is one printable line of bounded length, without a secret in it, wherever the cut
    falls.
    """
    secrets.add("ei_quoted_secret")
    text = "a\r\nb\t\x1b[31mred\x00 " + "ei_quoted_secret " * 100

    assert quoted(text).startswith("a b [31mred *** ***")
    assert 200 == len(quoted(text))
    for place in range(190, 201):
        assert "ei_qu" not in quoted("x" * place + "ei_quoted_secret")
    for place in range(8170, 8193):  # a text may be megabytes: no more than its beginning is looked at
        assert "" == quoted(" " * place + "ei_quoted_secret").strip("*")


@pytest.mark.parametrize("before", ["", "what and where ", "where " * 100])
def test_an_error_is_short_and_keeps_its_advice(before: str) -> None:
    """An error has 200 characters at most: what another program said is cut, then what stands before it, never what to
    do.
    """
    advice = "; this is what to do next"
    said, shorter = (str(InvalidReply(before, words, advice)) for words in ("said " * 7000, "said"))

    assert 200 == len(said)
    assert said.endswith("…" + advice)
    assert "said said" in said
    assert said.startswith(before[:40])
    assert shorter.endswith("said" + advice)
    assert len(shorter) <= 200
    for other in ("", "; this is more to the point"):
        within = InvalidReply(before, "said " * 7000, advice).within("one more: ", other)
        assert within.startswith("one more: ")
        assert within.endswith("…" + (other or advice))
        assert 200 == len(within)


REFUSALS = {
    "Some error text": "",
    "No model testing results": "; run model testing in Studio, or wait until training has finished",
    "Cannot find impulse": "",
}


@pytest.mark.slow
@pytest.mark.parametrize("begins", REFUSALS)
async def test_a_long_error_text_is_cut_everywhere(service: Service, begins: str) -> None:
    """Of 36 kB in Studio's refusal, pages, API, alerts, store and log show one line of 200 characters, with what to do
    next.
    """
    service.studio.fail(Refuse(begins + ("\n" + "body " * 90) * 80), PAGE, times=None)
    service.content["schedule"] = {"every": "10s"}
    service.write()
    with capture_logs(processors=[secrets_untouched]) as lines:
        await service.app.start()
        await service.until(lambda: TARGET in service.app.live.snapshots, within=120)
        # a target without results is pulled well
        await service.until(lambda: bool(service.app.live.active()) or "results" in begins, within=600)
        error = service.app.live.snapshots[TARGET].error
        shown = [
            (await service.get(path))[1]
            for path in (
                "/",
                f"/targets/{TARGET}",
                "/api/v1/targets",
                "/api/v1/alerts",
                f"/api/v1/targets/{TARGET}/runs",
            )
        ]
        await service.app.stop()
    database = b"".join(path.read_bytes() for path in service.path.parent.glob("*.db*")).decode("latin-1")

    assert 200 == len(error)
    assert "\n" not in error
    assert error.endswith("…" + REFUSALS[begins])
    assert ["body body" in text or "results" in begins for text in shown] == [True] * len(shown)
    logged = [str(line["error"]) for line in lines if "error" in line]
    assert error in logged
    for text in (*shown, *logged, database):
        assert "body " * 40 not in text
    assert all(len(each) <= 200 for each in logged)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_key_in_an_error_text_gets_nowhere(service: Service, status: int) -> None:
    """A server that repeats the key, and much else, in its error: neither pages, API, metrics,
    store nor log show it.
    """
    key = service.studio.projects[101].api_key
    text = f"the key {key} is bad\n" + "body " * 8000
    service.studio.fail(Refuse(text) if status == 200 else Status(status, text), PAGE, times=None)
    with capture_logs(processors=[secrets_untouched]) as lines:
        await service.app.start()
        await service.until(
            lambda: TARGET in service.app.live.snapshots and bool(service.app.live.snapshots[TARGET].error),
            within=120,
        )
        pages = [
            await service.get(path)
            for path in ("/", f"/targets/{TARGET}", "/api/v1/targets", "/api/v1/alerts", "/metrics")
        ]
        runs = await service.get(f"/api/v1/targets/{TARGET}/runs")
        await service.app.stop()
    database = b"".join(path.read_bytes() for path in service.path.parent.glob("*.db*"))

    said = "".join(body for _, body in [*pages, runs]) + repr(lines) + database.decode("latin-1")
    assert key not in said
    assert "body body body " * 20 not in said
    error = service.app.live.snapshots[TARGET].error
    assert "\n" not in error
    assert ("***" in error) == (status == 200 or status == 400)


def secrets_untouched(logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave the event as it was logged: what is asked is whether its fields need a mask at all."""
    return event


async def test_a_body_that_is_no_http_is_not_shown(service: Service, unused_tcp_port: int) -> None:
    """What an HTTP parser says of a foreign protocol, or of HTML, quotes no more than a line of it."""
    service.studio.fail(Body(b"<html>" + b"secret text " * 3000, "text/html" + "; x=y" * 5000), PAGE, times=None)
    await service.app.start()
    await service.until(
        lambda: TARGET in service.app.live.snapshots and bool(service.app.live.snapshots[TARGET].error), within=120
    )

    error = service.app.live.snapshots[TARGET].error
    assert len(error) <= 200
    assert error.endswith("…); check the network, studio.url and studio.proxy")
    assert "secret text" not in error


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("store", "postgresql://monitor:pa@ss-word-9@db.example.com/monitor"),
        ("studio", {"proxy": "http://user:pa@ss-word-9@proxy.example.com:3128"}),
        ("notify", [{"webhook": {"url": "https://user:pa@ss-word-9@hooks.example.com/x"}}]),
    ],
)
def test_an_at_sign_in_a_password_is_refused(tmp_path: Path, section: str, value: object) -> None:
    """A password whose @ is not escaped would have its rest shown as a host: it is refused, and
    nothing of it repeated.
    """
    path = tmp_path / "monitor.yaml"
    path.write_text(yaml.safe_dump({section: value}))

    with pytest.raises(ConfigError, match="%40") as raised:
        load(path)
    assert "word-9" not in str(raised.value)
    if section == "store":
        with pytest.raises(StoreError, match="%40") as refused:
            Store(str(value))
        assert "word-9" not in str(refused.value)


def test_passwords_in_urls_are_secrets(tmp_path: Path) -> None:
    """The password of a store or a proxy is masked from the moment it was read, as it is written and as it is sent."""
    path = tmp_path / "monitor.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "store": "postgresql://monitor:p%40ss-word-7@db/monitor",
                "studio": {"proxy": "http://me:proxy-word-7@proxy.example.com"},
            }
        )
    )
    load(path)

    assert "*** *** ***" == secrets.mask("p%40ss-word-7 p@ss-word-7 proxy-word-7")


async def test_debug_logs_hold_no_statement_parameters(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """At level debug, what goes into the database does not go into the log."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure("debug", "json")
    try:
        store = Store(f"sqlite:///{tmp_path / 'store.db'}")
        await store.open()
        await store.state("discovery", "", "a-parameter-of-a-statement")
        await store.close()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()

    assert "a-parameter-of-a-statement" not in capfd.readouterr().err

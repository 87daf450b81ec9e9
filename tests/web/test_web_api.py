"""The JSON API of a running service: what it answers, what it refuses, and what may be asked of it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor.errors import PullState
from monitor.simulator.faults import Delay, Refuse
from monitor.views import status as views
from monitor.views.report import when
from tests.service_process import TOKEN, Service
from tests.web.web_service import ONE, THREE, pull, start

pytestmark = pytest.mark.usefixtures("clock")

REFUSED = "No model testing results found, run 'startClassifyJob' first"


async def ask(
    service: Service, method: str, path: str, token: str | None = TOKEN, body: bytes | None = None
) -> tuple[int, Any]:
    """Status and JSON of an answer; every one of them is JSON."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"http://{service.app.address}/api/v1/{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, data=body) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def data(service: Service, path: str) -> Any:
    """The data of a good answer to a GET."""
    status, answer = await ask(service, "GET", path, token=None)
    assert (200, "success") == (status, answer["status"])
    return answer["data"]


def allow(service: Service) -> None:
    """Configure the admin token."""
    (service.path.parent / "token").write_text(TOKEN + "\n", encoding="utf-8")
    service.content["http"]["admin_token_file"] = "token"


async def test_targets(service: Service) -> None:
    """A target comes with identity, times, figures with intervals, and the baseline; one not yet pulled with nothing
    but its identity.
    """
    service.content["http"]["external_url"] = "https://monitor.example.com/edge"
    service.content["projects"][0]["labels"] = {"team": "edge"}
    await start(service, ONE, alone=True)
    found = await data(service, "targets")
    pulled, waiting = found["targets"]
    shown = service.app.live.snapshots[ONE]
    ground = service.studio.ground(101)
    assert ground is not None
    verdicts = [window.correct for sample in ground.samples for window in sample.windows if window.correct is not None]

    assert [ONE, THREE] == [pulled["id"], waiting["id"]]
    assert ("gesture-wristband", 101, "Impulse #1", 1, "int8", "testing") == tuple(
        pulled[name] for name in ("project", "project_id", "impulse", "impulse_id", "variant", "category")
    )
    assert {"team": "edge"} == pulled["labels"]
    assert f"https://monitor.example.com/edge/targets/{ONE}" == pulled["url"]
    assert ("ok", None, False, 300) == (pulled["state"], pulled["error"], pulled["stale"], pulled["samples"])
    assert when(shown.last_pull) == pulled["last_pull"] == pulled["last_success"]
    assert pulled["last_change"] is None
    accuracy = pulled["figures"]["accuracy"]
    assert sum(verdicts) / len(verdicts) == accuracy["value"]
    assert accuracy["interval"]["lower"] < accuracy["value"] < accuracy["interval"]["upper"]
    assert when(shown.last_pull) == pulled["comparison"]["baseline"]["timestamp"]
    assert accuracy["value"] == pulled["comparison"]["baseline"]["values"]["accuracy"]
    assert {"firing": 0, "pending": 0} == pulled["alerts"]
    assert (None, {}, None) == (waiting["state"], waiting["figures"], waiting["comparison"])
    assert {101: "ok", 103: "ok"} == {project["project_id"]: project["state"] for project in found["projects"]}
    assert found["store_problem"] is None


async def test_failed_pull_keeps_figures(service: Service) -> None:
    """A failed pull shows as its state and error; the figures are those of the last good one, and say so."""
    await start(service, ONE)
    good = await data(service, "targets")
    service.studio.fail(Refuse(REFUSED), "result/page", 101, times=None)
    await pull(service, ONE)
    failed = (await data(service, "targets"))["targets"][0]

    assert "no_results" == failed["state"]
    assert REFUSED in failed["error"]
    assert good["targets"][0]["figures"] == failed["figures"]
    assert good["targets"][0]["last_success"] == failed["last_success"]


async def test_runs(service: Service) -> None:
    """Runs come newest first, failed ones included, with all figures; a limit takes the newest."""
    await start(service, ONE, alone=True)
    await pull(service, ONE, step=1)
    service.studio.fail(Refuse(REFUSED), "result/page", 101, times=None)
    await pull(service, ONE)
    runs = (await data(service, f"targets/{ONE}/runs"))["runs"]
    failed, worse, first = runs

    assert ["no_results", "ok", "ok"] == [run["state"] for run in runs]
    assert failed["run"] > worse["run"] > first["run"]
    assert (None, None) == (failed["accuracy"], failed["evaluation"])
    assert REFUSED in failed["error"]
    assert worse["accuracy"] == worse["evaluation"]["quality"]["accuracy"] < first["accuracy"]
    assert first["finished"] == worse["comparison"]["baseline"]["timestamp"]
    change = next(change for change in worse["comparison"]["changes"] if change["metric"] == "accuracy")
    assert pytest.approx(worse["accuracy"] - first["accuracy"]) == change["causes"]["model"]
    assert [failed] == (await data(service, f"targets/{ONE}/runs?limit=1"))["runs"]
    assert runs == (await data(service, f"targets/{ONE}/runs?since=1h"))["runs"]
    assert runs == (await data(service, f"targets/{ONE}/runs?since=2020-01-01T00:00:00Z"))["runs"]
    assert [] == (await data(service, f"targets/{ONE}/runs?since=2999-01-01T00:00:00Z"))["runs"]
    assert [] == (await data(service, f"targets/{THREE}/runs"))["runs"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "limit=٣",
        "limit=" + "9" * 5000,
        "since=yesterday",
        "since=7",
        "since=2026-01-01",
    ],
)
async def test_bad_query(service: Service, query: str) -> None:
    """A parameter that is wrong is refused by name."""
    await start(service)
    status, answer = await ask(service, "GET", f"targets/{ONE}/runs?{query}")

    assert (400, "error", "bad_data") == (status, answer["status"], answer["errorType"])
    assert answer["error"].startswith(query[:10])


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "targets/1-1-int8-testing/runs", 404, "not_found"),
        ("POST", "targets/1-1-int8-testing/pull", 404, "not_found"),
        ("POST", "targets/1-1-int8-testing/baseline", 404, "not_found"),
        ("DELETE", "targets/1-1-int8-testing/baseline", 404, "not_found"),
        ("GET", "nothing", 404, "not_found"),
        ("GET", f"targets/{ONE}/pull", 405, "not_allowed"),
    ],
)
async def test_unknown(service: Service, method: str, path: str, status: int, kind: str) -> None:
    """What there is not is an error in JSON that says where to look."""
    allow(service)
    await start(service)
    found, answer = await ask(service, method, path)

    assert (status, "error", kind) == (found, answer["status"], answer["errorType"])
    assert "/api/v1/targets lists" in answer["error"] or "docs/api.md" in answer["error"]


async def test_alerts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A regression fires with labels, words and value; after the recovery it is still there, resolved, for a time."""
    await start(service, ONE)
    assert [] == (await data(service, "alerts"))["alerts"]
    await pull(service, ONE, step=1)
    alert = next(
        each
        for each in (await data(service, "alerts"))["alerts"]
        if each["labels"]["alertname"] == "EdgeImpulseAccuracyRegressed"
    )
    target = (await data(service, "targets"))["targets"][0]

    assert ("firing", ONE, None) == (alert["state"], alert["target"], alert["resolvedAt"])
    assert ("gesture-wristband", "101", "critical") == tuple(
        alert["labels"][name] for name in ("project", "project_id", "severity")
    )
    assert target["figures"]["accuracy"]["value"] == alert["value"]
    assert alert["activeAt"] == alert["firedAt"]
    assert 0 <= time.time() - datetime.fromisoformat(alert["activeAt"]).timestamp() < 60
    assert "the model changed" in alert["annotations"]["description"]
    assert target["alerts"]["firing"] == 2  # accuracy and mean F1

    await pull(service, ONE, step=2)
    states = {each["labels"]["alertname"]: each for each in (await data(service, "alerts"))["alerts"]}
    assert "resolved" == states["EdgeImpulseAccuracyRegressed"]["state"]
    assert states["EdgeImpulseAccuracyRegressed"]["resolvedAt"] >= alert["firedAt"]
    monkeypatch.setattr(views, "RESOLVED_SHOWN", -1.0)
    assert [] == (await data(service, "alerts"))["alerts"]


@pytest.mark.parametrize(("method", "path"), [("POST", "pull"), ("POST", "baseline"), ("DELETE", "baseline")])
async def test_changes_want_the_token(service: Service, method: str, path: str) -> None:
    """Without a token file nothing can be changed; with one, only by who brings its content."""
    await start(service, ONE)
    url = f"targets/{ONE}/{path}"
    assert (403, "forbidden") == _error(await ask(service, method, url))
    allow(service)
    service.write()
    assert await service.app.reload()

    for token in (None, "wrong", TOKEN + "x", "ü\udcff"):
        assert (401, "unauthorized") == _error(await _raw(service, method, url, token))
    assert (await ask(service, method, url))[0] in (200, 202)
    (service.path.parent / "token").unlink()
    status, kind = _error(await ask(service, method, url))
    assert (500, "internal") == (status, kind)


async def _raw(service: Service, method: str, path: str, token: str | None) -> tuple[int, Any]:
    """An answer to a request with any bytes as token."""
    host, _, port = service.app.address.rpartition(":")
    line = b"" if token is None else b"Authorization: Bearer " + token.encode("utf-8", "surrogateescape") + b"\r\n"

    def talk() -> bytes:
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(
                f"{method} /api/v1/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode() + line + b"\r\n"
            )
            return b"".join(iter(lambda: connection.recv(65536), b""))

    head, _, body = (await asyncio.to_thread(talk)).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def _error(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["errorType"]


async def test_pull(service: Service) -> None:
    """A pull is promised at once, and made soon."""
    allow(service)
    await start(service, ONE)
    before = service.app.live.snapshots[ONE].last_pull
    status, answer = await ask(service, "POST", f"targets/{ONE}/pull")

    assert (202, {"target": ONE}) == (status, answer["data"])
    await service.until(lambda: service.app.live.snapshots[ONE].last_pull > before)


async def test_pull_before_discovery(service: Service) -> None:
    """Targets that a restart knows from the store are not pulled before Studio was asked for them: that is no promise,
    but a conflict.
    """
    allow(service)
    await start(service, ONE)
    service.studio.fail(Delay(2.0), "impulses", times=None)
    await service.restart()
    status, answer = await ask(service, "POST", f"targets/{ONE}/pull")

    assert (409, "conflict") == (status, answer["errorType"])
    assert "discovery" in answer["error"]


async def test_pin_and_unpin(service: Service) -> None:
    """A pinned run is what the next pull is compared with; the first good run after it was cleared is the next
    baseline.
    """
    allow(service)
    await start(service, ONE)
    await pull(service, ONE, step=1)
    worse, first = (await data(service, f"targets/{ONE}/runs"))["runs"]

    status, answer = await ask(service, "POST", f"targets/{ONE}/baseline")
    assert (200, worse["run"]) == (status, answer["data"]["baseline"]["run"])
    assert worse["accuracy"] == answer["data"]["baseline"]["values"]["accuracy"]
    assert "pinned through the HTTP API" == answer["data"]["baseline"]["why"]
    status, answer = await ask(
        service, "POST", f"targets/{ONE}/baseline", body=json.dumps({"run": first["run"]}).encode()
    )
    assert (200, first["run"]) == (status, answer["data"]["baseline"]["run"])

    await pull(service, ONE)
    assert first["accuracy"] == await _baseline_accuracy(service)
    status, answer = await ask(service, "DELETE", f"targets/{ONE}/baseline")
    assert (200, {"baseline": None, "cleared": True}) == (status, answer["data"])
    assert {"baseline": None, "cleared": False} == (await ask(service, "DELETE", f"targets/{ONE}/baseline"))[1]["data"]
    await pull(service, ONE)
    assert worse["accuracy"] == await _baseline_accuracy(service)


async def _baseline_accuracy(service: Service) -> float:
    found = (await data(service, "targets"))["targets"][0]["comparison"]["baseline"]["values"]["accuracy"]
    assert isinstance(found, float)
    return found


async def test_no_baseline_of_what_is_none(service: Service) -> None:
    """A failed run, another target's run and one that there is not cannot be pinned."""
    allow(service)
    await start(service, ONE, THREE)
    service.studio.fail(Refuse(REFUSED), "result/page", 101, times=None)
    await pull(service, ONE)
    failed = (await data(service, f"targets/{ONE}/runs"))["runs"][0]["run"]
    other = (await data(service, f"targets/{THREE}/runs"))["runs"][0]["run"]

    async def pin(run: int) -> tuple[int, str]:
        return _error(await ask(service, "POST", f"targets/{ONE}/baseline", body=json.dumps({"run": run}).encode()))

    assert (409, "conflict") == await pin(failed)
    assert (404, "not_found") == await pin(other)
    assert (404, "not_found") == await pin(2**63 - 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[1]", 400),
        (b"17", 400),
        (b'{"run": true}', 400),
        (b'{"run": "1"}', 400),
        (b'{"run": 0}', 400),
        (b'{"run": 9223372036854775808}', 400),
        (b'{"runs": 1}', 400),
        (b"\xff", 400),
        (b"[" * 60_000, 400),
        (b" " * 70_000, 413),
    ],
)
async def test_bad_body(service: Service, body: bytes, status: int) -> None:
    """A body that is something else, or too large, is refused and changes nothing."""
    allow(service)
    await start(service, ONE)
    found, answer = await ask(service, "POST", f"targets/{ONE}/baseline", body=body)

    assert (status, "error") == (found, answer["status"])


async def test_store_down(service: Service, tmp_path: Path) -> None:
    """Without a store the figures are there and the problem is named; runs and baselines are unavailable."""
    (tmp_path / "impulse-monitor.db").write_bytes(b"no database" * 1000)
    service.content["schedule"] = {"every": "1s"}
    allow(service)
    service.write()
    await service.app.start()
    await service.until(lambda: ONE in service.app.live.snapshots)
    found = await data(service, "targets")

    assert "impulse-monitor.db" in found["store_problem"]
    assert 0.5 < found["targets"][0]["figures"]["accuracy"]["value"] <= 1
    for method, path in (("GET", "runs"), ("POST", "baseline"), ("DELETE", "baseline")):
        status, answer = await ask(service, method, f"targets/{ONE}/{path}")
        assert (503, "unavailable") == (status, answer["errorType"])
        assert "impulse-monitor.db" in answer["error"]
    assert PullState.OK is service.app.live.snapshots[ONE].state

"""The service as a whole, against the simulator: what it shows, how it reloads, fails and stops."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import ssl
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest
import trustme
import yaml
from structlog.testing import capture_logs

from monitor import logs
from monitor.config import ConfigError
from monitor.engine.sharding import Shard
from monitor.errors import PullState
from monitor.figures import evaluate
from monitor.service import reload as module
from monitor.service import store_upkeep
from monitor.service.app import App
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Refuse, Status
from monitor.store import Store
from tests.service_process import TOKEN, Service

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def studio() -> Studio:
    """Two classifiers, one with an anomaly block."""
    return Studio([projects.classification(), projects.kmeans()])


@pytest.fixture
async def service(studio: Studio, tmp_path: Path) -> AsyncIterator[Service]:
    """A service with a configuration that is not yet written, stopped at the end."""
    async with serve(studio) as url:
        service = Service(tmp_path / "monitor.yaml", studio, url)
        service.write()
        yield service
        await service.app.stop()


ONE, THREE = "101-1-int8-testing", "103-1-int8-testing"


async def test_shows_figures(service: Service) -> None:
    """After the first round every target's figures are there to be scraped."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    ground = service.studio.ground(101)
    assert ground is not None
    verdicts = [window.correct for sample in ground.samples for window in sample.windows if window.correct is not None]

    assert sum(verdicts) / len(verdicts) == (await service.series("edge_impulse_accuracy_ratio"))[ONE]
    assert {ONE: 1.0, THREE: 1.0} == await service.series("edge_impulse_up")


async def test_endpoints(service: Service) -> None:
    """The page links the others; health does not depend on Studio, readiness on its first answer."""
    fault = service.studio.fail(Delay(1.0), "impulses", times=None)
    await service.app.start()

    assert (503, 200) == ((await service.get("/-/ready"))[0], (await service.get("/-/healthy"))[0])
    service.studio.heal(fault)
    await service.until(lambda: service.app.ready)
    assert 200 == (await service.get("/-/ready"))[0]
    status, page = await service.get("/")
    assert 200 == status
    for link in ("metrics", "-/healthy", "-/ready"):
        assert f'href="{link}"' in page
    assert 404 == (await service.get("/nothing"))[0]


async def test_metrics_formats(service: Service) -> None:
    """Text or OpenMetrics by Accept, gzip by Accept-Encoding."""
    await service.app.start()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        url = f"http://{service.app.address}/metrics"
        async with session.get(
            url, headers={"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
        ) as response:
            assert response.headers["Content-Type"].startswith("application/openmetrics-text")
            assert "gzip" == response.headers["Content-Encoding"]
            assert (await response.read()).startswith(b"\x1f\x8b")
        async with session.get(url, headers={"Accept-Encoding": "identity"}) as response:
            assert response.headers["Content-Type"].startswith("text/plain")
            assert b"# HELP impulse_monitor_build_info" in await response.read()


async def test_failed_pull_keeps_figures_until_stale(service: Service) -> None:
    """Results that vanish are no accuracy of 0: the state says so, figures stay until they are
    stale, then they leave.
    """
    service.content["stale_after"] = "5s"
    service.write()
    await service.app.start()
    await service.pulled(ONE, THREE)
    service.studio.fail(
        Refuse("No model testing results found, run 'startClassifyJob' first"), "result/page", 101, times=None
    )
    await service.until(lambda: service.app.live.snapshots[ONE].state is PullState.NO_RESULTS)

    assert {ONE, THREE} == set(await service.series("edge_impulse_accuracy_ratio"))
    assert {THREE: 1.0} == await service.series("edge_impulse_up")
    assert {"no_results": 1.0} == await service.series("edge_impulse_pull_state")
    async with asyncio.timeout(120):
        while {THREE} != set(await service.series("edge_impulse_accuracy_ratio")):
            pass
    assert {ONE, THREE} == set(await service.series("edge_impulse_last_success_timestamp_seconds"))


async def test_wrong_key_shows_without_targets(service: Service) -> None:
    """A project whose key is refused shows in its own series, and disturbs no other."""
    service.content["projects"][0]["api_key"] = "ei_wrong"
    service.write()
    await service.app.start()
    await service.pulled(THREE)

    assert {"103": 1.0} == await service.series("edge_impulse_project_up")
    assert {"auth": 1.0} == await service.series("edge_impulse_project_state")


async def test_failed_discovery_keeps_targets_and_recovers(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While discovery fails the known targets go on being pulled; it is tried again before its next turn."""
    service.content["studio"]["discover"] = "1s"
    service.write()
    await service.app.start()
    await service.pulled(ONE, THREE)
    fault = service.studio.fail(Status(403), "impulses", times=None)
    await service.until(lambda: service.app.live.projects[101].state is PullState.AUTH)
    before = service.app.live.snapshots[ONE].last_pull
    await service.until(lambda: service.app.live.snapshots[ONE].last_pull > before)
    service.studio.heal(fault)
    await service.until(lambda: service.app.live.projects[101].state is PullState.OK)


async def test_not_found_discovers_at_once(service: Service) -> None:
    """An impulse that Studio no longer knows leads to a discovery at once, not after `discover`."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    asked = len(service.studio.calls("impulses", 101))
    service.studio.fail(Refuse("Cannot find impulse 1"), "result/page", 101)
    await service.until(lambda: len(service.studio.calls("impulses", 101)) > asked)


@pytest.mark.parametrize("how", ["file", "post", "call"])
async def test_reload_diffs_by_key(service: Service, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removed project's series leave at once, a new one's come, and the one that stays keeps its figures."""
    monkeypatch.setattr(module, "CONFIG_POLL", 0.1 if how == "file" else 3600)
    (tmp_path / "token").write_text(TOKEN + "\n", encoding="utf-8")
    service.content["http"]["admin_token_file"] = "token"
    service.content["projects"] = [service.entry(101)]
    service.content["schedule"] = {"every": "1h"}
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.ready)
    service.app.watchlist.pull_now(ONE)
    await service.pulled(ONE)
    kept = service.app.live.snapshots[ONE]

    service.content["projects"] = [service.entry(101, labels={"team": "edge"}), service.entry(103)]
    service.write()
    if how == "post":
        assert 200 == await service.post("/-/reload")
    elif how == "call":
        assert await service.app.reload()
    await service.until(lambda: THREE in service.app.live.watched)
    service.app.watchlist.pull_now(THREE)
    await service.pulled(ONE, THREE)
    assert kept.evaluation is service.app.live.snapshots[ONE].evaluation
    assert {"team": "edge"} == service.app.live.snapshots[ONE].target.labels

    service.content["projects"] = [service.entry(103)]
    service.write()
    if how != "file":
        assert await service.app.reload()
    await service.until(lambda: set(service.app.live.snapshots) == {THREE})
    assert {"103": 1.0} == await service.series("edge_impulse_project_up")
    assert {THREE} == set(await service.series("edge_impulse_up"))


async def test_reload_while_discovering(service: Service) -> None:
    """What a discovery finds that was under way during a reload is not lost, and the changed entry
    is asked for again.
    """
    service.studio.fail(Delay(1.0), "impulses", 101)
    await service.app.start()
    await service.until(lambda: len(service.studio.calls("impulses", 101)) > 0)
    service.content["projects"][0]["labels"] = {"team": "edge"}
    service.write()
    assert await service.app.reload()
    await service.pulled(ONE, THREE)
    await service.until(lambda: len(service.studio.calls("impulses", 101)) > 1)

    assert {"team": "edge"} == service.app.live.snapshots[ONE].target.labels


async def test_target_removed_while_it_is_pulled(service: Service) -> None:
    """A pull that ends after its target was removed shows nothing."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    service.studio.fail(Delay(1.0), "result/page", 103, times=None)
    before = len(service.studio.calls("result/page", 103))
    await service.until(lambda: len(service.studio.calls("result/page", 103)) > before)
    service.content["projects"] = [service.entry(101)]
    service.write()
    assert await service.app.reload()
    await service.app.scheduler.drain()

    assert {ONE} == set(service.app.live.snapshots)


async def test_bad_reload_keeps_what_runs(service: Service) -> None:
    """An invalid file changes nothing and shows in a gauge; the next good one is taken."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    good = service.path.read_text()
    service.path.write_text("projects: [{id: x}]\nunknown: 1\n", encoding="utf-8")

    assert not await service.app.reload()
    assert {ONE, THREE} == set(service.app.live.snapshots)
    _, text = await service.get("/metrics")
    await asyncio.sleep(1.1)
    _, text = await service.get("/metrics")
    assert "impulse_monitor_config_last_reload_successful 0.0" in text
    service.path.write_text(good, encoding="utf-8")
    assert await service.app.reload()


async def test_families_are_switched_by_a_reload(service: Service) -> None:
    """What `exposition` leaves out is gone after a reload, and back after the next; all else stays."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    matrix, classes = "edge_impulse_confusion_windows", "edge_impulse_class_f1_ratio"
    at_first = await service.series("edge_impulse_accuracy_ratio")
    assert await service.series(matrix)
    for off, left in ((matrix, classes), (classes, matrix)):
        service.content["exposition"] = {"confusion": off is not matrix, "classes": off is not classes}
        service.write()
        assert await service.app.reload()

        assert not await service.series(off)
        assert await service.series(left)
    assert at_first == await service.series("edge_impulse_accuracy_ratio")


async def test_changed_names_are_shown_after_a_reload(service: Service) -> None:
    """Labels that the configuration gives a project are exported as it has them now, without another pull."""
    service.content["projects"] = [{**service.entry(101), "labels": {"team": "edge"}}]
    service.write()
    await service.app.start()
    await service.pulled(ONE)
    assert 'team="edge"' in (await service.get("/metrics"))[1]
    service.content["projects"] = [{**service.entry(101), "labels": {"crew": "night"}}]
    service.write()
    assert await service.app.reload()
    await asyncio.sleep(1.1)

    _, text = await service.get("/metrics")
    assert 'crew="night"' in text
    assert "team=" not in text


async def test_changed_studio_is_taken_over(service: Service) -> None:
    """Another address takes effect at a reload, without failing a pull that is under way."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    other = Studio([projects.classification(), projects.kmeans()])
    async with serve(other) as url:
        service.content["studio"]["url"] = url
        service.write()
        assert await service.app.reload()
        await service.until(lambda: len(other.calls("result/page", 103)) > 0)
        await service.app.scheduler.drain()
        states = {shot.state for shot in service.app.live.snapshots.values()}
        await service.app.stop()

    assert {PullState.OK} == states


async def test_reload_wants_the_token(service: Service, tmp_path: Path) -> None:
    """POST is off without a token file, and wants its content; the token is read anew at each request."""
    await service.app.start()
    assert 403 == await service.post("/-/reload")
    await service.app.stop()

    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    service.content["http"]["admin_token_file"] = "token"
    service.write()
    service.app = App(service.path)
    await service.app.start()
    assert [401, 401, 200] == [await service.post("/-/reload", token) for token in (None, "wrong", TOKEN)]
    (tmp_path / "token").write_text("another", encoding="utf-8")
    assert [401, 200] == [await service.post("/-/reload", token) for token in (TOKEN, "another")]


async def test_rotated_key_file(service: Service, tmp_path: Path) -> None:
    """A key file is read at each pull: a rotated key works without a restart or a reload."""
    (tmp_path / "key").write_text("ei_old", encoding="utf-8")
    service.content["projects"] = [{"id": 101, "api_key_file": "key"}]
    service.write()
    await service.app.start()
    await service.until(lambda: service.app.live.projects[101].state is PullState.AUTH)
    (tmp_path / "key").write_text(service.studio.projects[101].api_key + "\n", encoding="utf-8")
    await service.pulled(ONE)


async def test_bug_of_ours_is_invalid_and_stops_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error in one target's figures shows as `invalid`; the others go on."""
    from monitor.pipeline import run as pipeline

    true_evaluate = evaluate

    def broken(results: Any, *how: Any) -> Any:
        if len(results.blocks) > 1:
            raise ZeroDivisionError
        return true_evaluate(results, *how)

    monkeypatch.setattr(pipeline, "evaluate", broken)
    await service.app.start()
    await service.until(lambda: THREE in service.app.live.snapshots and ONE in service.app.live.snapshots)

    assert PullState.INVALID is service.app.live.snapshots[THREE].state
    assert PullState.OK is service.app.live.snapshots[ONE].state


async def test_secrets_are_not_logged(service: Service, tmp_path: Path) -> None:
    """No key appears in a log line, on a page or in an error, whatever fails."""
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        logs.configure("debug", "json", stream)
        try:
            service.studio.fail(Status(400, service.studio.projects[101].api_key), "result/page", 101, times=None)
            await service.app.start()
            await service.until(lambda: ONE in service.app.live.snapshots)
            _, page = await service.get("/metrics")
        finally:
            await service.app.stop()
            logs.configure("warning")
    lines = (tmp_path / "log").read_text(encoding="utf-8")

    assert '"pull.finished"' in lines
    assert all(json.loads(line)["event"] for line in lines.splitlines())
    for project in service.studio.projects.values():
        assert project.api_key not in lines + page


async def test_invalid_configuration_starts_nothing(service: Service) -> None:
    """At start an invalid file is an error, with every problem."""
    service.content["projects"][0]["colour"] = "red"
    service.content["store"] = "mysql://x"
    service.write()
    with pytest.raises(ConfigError) as raised:
        await service.app.start()

    assert 2 == len(raised.value.problems)


async def test_quiet_target_costs_no_computing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result set that did not change is not evaluated again, and is no change."""
    from monitor.pipeline import run as pipeline

    evaluated = []
    true_evaluate = evaluate

    def counting(*args: Any) -> Any:
        evaluated.append(args)
        return true_evaluate(*args)

    monkeypatch.setattr(pipeline, "evaluate", counting)
    service.content["projects"] = [service.entry(101)]
    service.write()
    await service.app.start()
    await service.pulled(ONE)
    first = service.app.live.snapshots[ONE]
    await service.until(lambda: service.app.live.snapshots[ONE].last_pull > first.last_pull + 1)
    assert 1 == len(evaluated)
    assert service.app.live.snapshots[ONE].last_change is None

    service.studio.generated(101).retrain()
    await service.until(lambda: service.app.live.snapshots[ONE].last_change is not None)
    assert service.app.live.snapshots[ONE].fingerprint != first.fingerprint
    assert 2 == len(evaluated)


async def test_shards_share_the_targets(tmp_path: Path) -> None:
    """Each target is watched by exactly one of several shards, which say which they are; a project's state is shown by
    each.
    """
    studio = Studio(
        [projects.classification(), projects.kmeans(), projects.two_impulses(), projects.gmm(), projects.regression()]
    )
    async with serve(studio) as url:
        seen = []
        for index in range(2):
            folder = tmp_path / str(index)
            folder.mkdir()
            service = Service(folder / "monitor.yaml", studio, url)
            service.write()
            service.app = App(service.path, shard=Shard(index, 2))
            async with service.app:
                await service.until(lambda app=service.app: app.ready)
                await service.until(lambda app=service.app: app.live.watched.keys() == app.live.snapshots.keys())
                seen.append(set(service.app.live.watched))
                _, text = await service.get("/metrics")
                assert f'impulse_monitor_shard_info{{index="{index}",total="2"}} 1.0' in text
                assert f"impulse_monitor_targets {float(len(seen[-1]))}" in text

    assert {"101-1-int8-testing", "103-1-int8-testing", "104-1-int8-testing", "108-1-int8-testing"} <= seen[0] | seen[1]
    assert set() == seen[0] & seen[1]
    assert all(seen)


async def test_tls_and_passwords(service: Service, tmp_path: Path) -> None:
    """With a web configuration HTTPS is served, to those who bring a password; an admin's request may bring the token
    instead.
    """
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    hashed = bcrypt.hashpw(b"open sesame", bcrypt.gensalt(4)).decode()
    web = {
        "tls_server_config": {"cert_file": "server.pem", "key_file": "server.pem"},
        "basic_auth_users": {"alice": hashed},
    }
    (tmp_path / "web.yml").write_text(yaml.safe_dump(web), encoding="utf-8")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    service.content["http"] |= {"web_config_file": "web.yml", "admin_token_file": "token"}
    service.write()
    await service.app.start()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    base = f"https://{service.app.address}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def status(method: str, path: str, **options: Any) -> int:
            async with session.request(method, base + path, **options) as response:
                return response.status

        alice, mallory = (
            {"Authorization": aiohttp.encode_basic_auth("alice", password)} for password in ("open sesame", "wrong")
        )
        assert [401, 401, 200] == [await status("GET", "/metrics", headers=headers) for headers in ({}, mallory, alice)]
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert [200, 401, 401] == [
            await status("POST", "/-/reload", headers=bearer),
            await status("POST", "/-/reload", headers=alice),
            await status("GET", "/metrics", headers=bearer),
        ]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is looked at every fifth of a second."""
    monkeypatch.setattr(store_upkeep, "CHECK", 0.2)


async def store_up(service: Service, value: float) -> None:
    """Wait until `impulse_monitor_store_up` has a value."""
    async with asyncio.timeout(60):
        while value != service.app.registry.get_sample_value("impulse_monitor_store_up"):
            await asyncio.sleep(0.02)


async def test_store_deleted(service: Service, tmp_path: Path, looks: None) -> None:
    """A store that is deleted under the service is noticed and said; an empty one is begun, and runs are recorded in
    it.
    """
    await service.app.start()
    await service.pulled(ONE, THREE)
    with capture_logs() as lines:
        (tmp_path / "impulse-monitor.db").unlink()
        await store_up(service, 0.0)
        await store_up(service, 1.0)
        await service.until(lambda: (tmp_path / "impulse-monitor.db").exists())
        before = service.app.live.snapshots[ONE].last_pull
        await service.until(lambda: service.app.live.snapshots[ONE].last_pull > before + 1)
    told = {line["event"]: line for line in lines if line["event"].startswith("store.")}
    async with Store(f"sqlite:///{tmp_path}/impulse-monitor.db") as store:
        found, pinned = await store.runs(ONE), await store.baseline(ONE, "pinned")

    assert ["store.failed", "store.began_anew", "store.recovered"] == list(told)
    assert "is no longer there: it was deleted or moved away while the service ran" in told["store.failed"]["error"]
    assert "error" == told["store.began_anew"]["log_level"]
    assert found
    assert pinned is not None
    assert pinned.run_id == found[0].id


async def test_run_that_is_not_recorded(service: Service, tmp_path: Path, looks: None) -> None:
    """A store that answers but takes no run is not up, until it takes one again."""
    await service.app.start()
    await service.pulled(ONE, THREE)
    await store_up(service, 1.0)
    with closing(sqlite3.connect(tmp_path / "impulse-monitor.db", isolation_level=None, timeout=60)) as other:
        for change in ("INSERT", "UPDATE"):  # a run is added, or counted
            other.execute(f"CREATE TRIGGER never_{change} BEFORE {change} ON run BEGIN SELECT raise(ABORT, 'no'); END")
        await store_up(service, 0.0)
        assert service.app.ready
        await asyncio.sleep(1.0)
        assert 0.0 == service.app.registry.get_sample_value("impulse_monitor_store_up")
        for change in ("INSERT", "UPDATE"):
            other.execute(f"DROP TRIGGER never_{change}")
    await store_up(service, 1.0)


@pytest.mark.parametrize("when", ["start", "reload"])
async def test_missing_key_file(service: Service, tmp_path: Path, when: str) -> None:
    """A key file that is missing makes its project fail, which names the file, and nothing else; once it is there, the
    project goes on.
    """
    missing = {"id": 103, "api_key_file": "keys/103"}
    if when == "reload":
        service.content["projects"] = [service.entry(101)]
        service.write()
        await service.app.start()
        await service.pulled(ONE)
    service.content["projects"] = [service.entry(101), missing]
    service.write()
    with capture_logs() as lines:
        if when == "reload":
            assert await service.app.reload()
        else:
            await service.app.start()
        await service.pulled(ONE)
        await service.until(
            lambda: 103 in service.app.live.projects and service.app.live.projects[103].state is PullState.AUTH
        )
    failed = [line["error"] for line in lines if line["event"] == "discovery.failed"]

    (said,) = set(failed)
    assert said.startswith("project 103: the API key file /")
    assert said.endswith(
        "/keys/103 cannot be read (No such file or directory); write the path of a file that holds the secret"
    )
    assert ["config.file_unreadable"] == [
        line["event"] for line in lines if line["event"].startswith("config.") and line["log_level"] == "error"
    ]
    assert 1.0 == service.app.registry.get_sample_value("impulse_monitor_config_last_reload_successful")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "103").write_text(service.studio.projects[103].api_key, encoding="utf-8")
    await service.pulled(ONE, THREE)

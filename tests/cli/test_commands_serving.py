"""The commands that serve, within the tests' own process: what they answer meanwhile, print, and end with."""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from monitor.cli.service import DEMO_INTERVAL
from monitor.simulator import Studio, demo_studio, load_recorded, projects, replies
from tests.cli.commands import run, serve, until_sigterm
from tests.notify.notify_parts import free_port
from tests.waiting import until


async def fetch(url: str, **headers: str) -> str:
    """The text of an answer with status 200; empty where nobody listens, or another status is answered."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url, headers=headers) as response:
                return await response.text() if response.status == 200 else ""
        except aiohttp.ClientConnectionError:
            return ""


def test_run_serves_reloads_and_stops(config: Path) -> None:
    """`run` serves its targets, takes up another configuration on SIGHUP, keeps its own where the new one is wrong, and
    ends with 0 on SIGTERM, having logged lines of JSON alone, to stderr.
    """
    address = f"http://127.0.0.1:{free_port()}"
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content |= {"http": {"listen": address.removeprefix("http://")}, "schedule": {"every": "1s"}}
    config.write_text(yaml.safe_dump(content), encoding="utf-8")

    async def shows(*wanted: str, reloaded: int = 1) -> bool:
        text = await fetch(f"{address}/metrics")
        shown = set(re.findall(r'^edge_impulse_target_info\{.*?project_id="(\d+)"', text, re.MULTILINE))
        outcome = f"impulse_monitor_config_last_reload_successful {reloaded}.0" in text.splitlines()
        return shown == set(wanted) and outcome

    async def use() -> None:
        await until(lambda: shows("101", "107", "108"))
        config.write_text(yaml.safe_dump({**content, "projects": content["projects"][:1]}), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: shows("101"))
        config.write_text(yaml.safe_dump({**content, "projects": 3}), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: shows("101", reloaded=0))

    result = serve("run", "--config", config, "--log.format", "json", use=use)
    events = [json.loads(line)["event"] for line in result.stderr.splitlines()]

    assert (0, "") == (result.exit_code, result.stdout)
    assert ("service.started", "service.stopped") == (events[0], events[-1])
    assert {"config.reloaded", "config.rejected"} <= set(events)


def test_demo_says_what_to_open(tmp_path: Path) -> None:
    """`demo` pulls from its own simulator, writes the configuration that it runs with, and names its pages; the
    Alertmanager that it is told of is a receiver.
    """
    address, alertmanager = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    folder = tmp_path / "kept"

    async def is_pulled() -> bool:
        ok = r'^edge_impulse_pull_state\{.*project_id="107".*state="ok".*\} 1.0$'
        return re.search(ok, await fetch(f"http://{address}/metrics"), re.MULTILINE) is not None

    async def use() -> None:
        await until(is_pulled)

    arguments: list[str | Path] = ["demo", "--listen", address, "--directory", folder, "--alertmanager", alertmanager]
    result = serve(*arguments, "--log.level", "error", use=use)
    written = yaml.safe_load((folder / "monitor.yaml").read_text(encoding="utf-8"))
    lines = result.stdout.splitlines()

    assert 0 == result.exit_code
    assert f"Impulse Monitor's demo: 10 simulated projects, pulled every {DEMO_INTERVAL}; Ctrl-C ends it" == lines[0]
    assert [
        ["metrics", f"http://{address}/metrics"],
        ["overview", f"http://{address}/"],
        ["configuration", str(folder / "monitor.yaml")],
        ["simulator", written["studio"]["url"]],
    ] == [line.split() for line in lines[1:]]
    assert [{"alertmanager": {"url": alertmanager}}] == written["notify"]
    assert list(range(101, 111)) == sorted(project["id"] for project in written["projects"])


def test_simulate_serves_a_recording(tmp_path: Path) -> None:
    """`simulate --load` prints its address and the key of the recorded project, and serves what was recorded."""
    project = projects.kmeans(sizes={"testing": 10})
    recorded = tmp_path / "page.json"
    recorded.write_bytes(replies.page(Studio([project]), project, {"limit": "20"}))
    key = load_recorded(recorded).api_key
    port = free_port()
    served: list[dict[str, Any]] = []

    async def use() -> None:
        page = f"http://127.0.0.1:{port}/v1/api/{project.id}/classify/all/result/page?limit=5"
        served.append(json.loads(await until(lambda: fetch(page, **{"x-api-key": key}))))

    result = serve("simulate", "--port", str(port), "--load", recorded, "--log.level", "error", use=use)

    assert 0 == result.exit_code
    assert [
        f"Studio API: http://127.0.0.1:{port}/v1",
        f"project {project.id} ({project.name}): x-api-key: {key}",
    ] == result.stdout.splitlines()
    assert 10 == served[0]["totalCount"]
    assert json.loads(recorded.read_bytes())["result"][:5] == served[0]["result"]


def test_simulate_what_was_not_recorded(tmp_path: Path) -> None:
    """A file that is no recording is exit code 1, with its path on stderr."""
    recorded = tmp_path / "page.json"
    recorded.write_text('{"result": 3}', encoding="utf-8")
    result = run("simulate", "--load", recorded)

    assert (1, "") == (result.exit_code, result.stdout)
    assert str(recorded) in result.stderr


def test_simulate_switches_on_what_it_is_told() -> None:
    """`simulate --fault NAME@PROJECT` makes that project fail, and no other; so does `--scenario` change it alone."""
    port = free_port()
    statuses: dict[int, int] = {}
    keys = {project.id: project.api_key for project in demo_studio().projects.values()}

    async def use() -> None:
        page = "classify/all/result/page?limit=1"
        url = f"http://127.0.0.1:{port}/v1/api"
        await until(lambda: fetch(f"{url}/101/{page}", **{"x-api-key": keys[101]}))
        async with aiohttp.ClientSession() as session:
            for number, key in keys.items():
                async with session.get(f"{url}/{number}/{page}", headers={"x-api-key": key}) as response:
                    statuses[number] = response.status

    arguments = ["--fault", "unauthorized@107", "--scenario", "steady@101", "--fault", "server-error@108"]
    result = serve("simulate", "--port", str(port), *arguments, "--log.level", "error", use=use)

    assert 0 == result.exit_code
    assert {107: 401, 108: 503} == {number: status for number, status in statuses.items() if status != 200}
    assert keys.keys() == statuses.keys()


def test_the_simulator_says_what_can_be_switched_on() -> None:
    """`--list` names faults and scenarios; a name that is none is wrong usage."""
    listed = run("simulate", "--list")
    wrong = run("simulate", "--fault", "nonsense")

    assert (0, "") == (listed.exit_code, listed.stderr)
    assert {"swap", "surrogates", "renaming", "threshold-invalidates"} <= set(
        re.findall(r"^  (\S+)", listed.stdout, re.MULTILINE)
    )
    assert 2 == wrong.exit_code
    assert "nonsense: no such name" in wrong.stderr


@pytest.fixture
def taken() -> Iterator[str]:
    """The number of a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_what_keeps_a_service_from_starting_is_one_line(taken: str, tmp_path: Path) -> None:
    """A taken or impossible port and an unwritable folder are said in a line with what to do, and exit with 1 (2 for
    wrong usage).
    """
    file = tmp_path / "file"
    file.write_text("")
    config = tmp_path / "monitor.yaml"
    config.write_text(yaml.safe_dump({"http": {"listen": f"127.0.0.1:{taken}"}}))
    for arguments, code, advice in (
        (["simulate", "--port", taken], 1, "choose another port"),
        (["simulate", "--port", "99999"], 2, "not in the range"),
        (["demo", "--listen", f"127.0.0.1:{taken}", "--log.level", "error"], 1, "choose another port"),
        (["demo", "--listen", "192.0.2.1:9890", "--log.level", "error"], 1, "no address of this machine"),
        (
            ["demo", "--listen", "no-such-host.invalid:9890", "--log.level", "error"],
            1,
            "write an address that this machine knows as --listen",
        ),
        (["demo", "--listen", "nowhere"], 2, "'--listen': write HOST:PORT"),
        (["demo", "--alertmanager", "nowhere"], 2, "'--alertmanager': is not a URL that can be used here"),
        (["demo", "--directory", str(file / "folder")], 1, "--directory"),
        (["run", "--config", str(config), "--log.level", "error"], 1, "choose another port"),
    ):
        found = run(*arguments)
        assert code == found.exit_code, found.stderr
        assert advice in found.stderr
        assert "" == found.stdout
        assert 1 == len(found.stderr.splitlines())


def test_run_says_what_is_wrong_with_its_files(tmp_path: Path) -> None:
    """A wrong configuration and a shard that there is not end the start, and are said on stderr."""
    config = tmp_path / "monitor.yaml"
    config.write_text("projects: 3\n", encoding="utf-8")
    wrong = run("run", "--config", config)
    shard = run("run", "--config", config, "--shard.index", "-1")

    assert (1, 2) == (wrong.exit_code, shard.exit_code)
    assert f"{config}:1: projects" in wrong.stderr
    assert "shard" in shard.stderr


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m monitor` is the command: wrong usage names it, in a line, and is exit code 2."""
    monkeypatch.setattr(sys, "argv", ["monitor", "nonsense"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("monitor", run_name="__main__")

    assert 2 == ended.value.code
    assert "impulse-monitor: No such command 'nonsense'; see impulse-monitor --help\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "ids", "total"), [([], range(101, 111), None), (["--bulk", "20", "--windows", "3"], [900], 20)]
)
def test_the_simulators_own_command(
    arguments: list[str],
    ids: Sequence[int],
    total: int | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`python -m monitor.simulator` prints its address and the keys as a line of JSON, of the demo's projects or of a
    large one, and ends on SIGTERM.
    """
    port = free_port()
    pages: list[dict[str, Any]] = []
    monkeypatch.setattr(sys, "argv", ["simulator", "--port", str(port), *arguments])

    async def use() -> None:
        text = await until(lambda: capsys.readouterr().out)
        said = json.loads(text)
        assert (f"http://127.0.0.1:{port}/v1", list(ids)) == (
            said["url"],
            sorted(each["id"] for each in said["projects"]),
        )
        first = said["projects"][0]
        page = f"{said['url']}/api/{first['id']}/classify/all/result/page?limit=2"
        pages.append(json.loads(await fetch(page, **{"x-api-key": first["api_key"]})))

    until_sigterm(lambda: runpy.run_module("monitor.simulator", run_name="__main__"), use)

    assert 2 == len(pages[0]["result"])
    assert total in (None, pages[0]["totalCount"])

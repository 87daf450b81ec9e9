"""`deploy/compose.yaml` and what Grafana is provisioned with: read, and the demo's stack run for real.

The stack runs by podman-compose, with stand-ins for the images of Prometheus and Alertmanager that hold Debian's
binaries. There is none for Grafana.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.config import Config, load
from monitor.simulator import demo_studio
from tests.deploy.deploy_podman import IMAGE, ROOT, Podman, from_name

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]

pytestmark = pytest.mark.timeout(900)  # the first run on a machine makes the base and the image

PROMETHEUS = "/etc/prometheus/prometheus.yml"
PROMETHEUS_OF = {"demo": "prometheus", "projects": "prometheus", "fleet": "prometheus-fleet"}
"""The service that scrapes, by profile."""

every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_mounts_exist(name: str) -> None:
    """Every mounted file is there, and every other mount is a declared volume."""
    sources = [volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])]
    files = [DEPLOY / source for source in sources if source.startswith(".")]
    volumes = {source for source in sources if not source.startswith(".")}

    assert [] == [file for file in files if not file.exists()]
    assert volumes <= COMPOSE["volumes"].keys()
    assert all(volume.endswith(":ro") for volume in SERVICES[name].get("volumes", []) if volume.startswith("."))


@every_service
def test_services_are_confined(name: str) -> None:
    """Every container has a read-only root and no capability, and listens on this machine only."""
    service = SERVICES[name]

    assert (True, ["ALL"], ["no-new-privileges:true"]) == (
        service["read_only"],
        service["cap_drop"],
        service["security_opt"],
    )
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@every_service
def test_images_are_pinned(name: str) -> None:
    """No image is whatever is the latest; our own is built here."""
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]

    assert "build" in service or (tag[0] in "v123456789" and tag.count(".") == 2)


def test_one_monitor_per_profile() -> None:
    """Each profile has exactly one service that answers to the name which Prometheus scrapes."""
    jobs = {
        file: yaml.safe_load((DEPLOY / "prometheus" / file).read_text(encoding="utf-8"))["scrape_configs"][0]
        for file in ("prometheus.yml", "fleet.yml")
    }
    answering = {
        profile: name
        for name, service in SERVICES.items()
        for profile in service.get("profiles", [])
        if "monitor" in [name, *service.get("networks", {}).get("default", {}).get("aliases", [])]
    }

    assert {"impulse-monitor"} == {job["job_name"] for job in jobs.values()}
    assert ["monitor:9890"] == jobs["prometheus.yml"]["static_configs"][0]["targets"]
    assert [found["url"] for found in jobs["fleet.yml"]["http_sd_configs"]] == ["http://monitor:9890/-/targets?of=2"]
    assert {"projects": "monitor", "demo": "demo", "fleet": "web"} == answering


def test_one_prometheus_per_profile() -> None:
    """Each profile has one Prometheus, which differs in its configuration alone."""
    found = {
        profile: service
        for name, service in SERVICES.items()
        if name.startswith("prometheus")
        for profile in service["profiles"]
    }
    configurations = {profile: mounted(name, PROMETHEUS).name for profile, name in PROMETHEUS_OF.items()}

    assert PROMETHEUS_OF.keys() == found.keys()
    assert {"demo": "prometheus.yml", "projects": "prometheus.yml", "fleet": "fleet.yml"} == configurations
    assert 1 == len({(service["image"], *service["command"], *service["ports"]) for service in found.values()})


def test_fleet() -> None:
    """Workers and the process with the pages share a database, and differ in their role alone."""
    worker, web = SERVICES["worker"], SERVICES["web"]
    url = urllib.parse.urlsplit(web["environment"]["IMPULSE_MONITOR_STORE"])

    assert {"worker": "worker", "web": "web"} == {name: SERVICES[name]["command"][-1] for name in ("worker", "web")}
    assert worker["command"][:-1] == web["command"][:-1]
    assert (worker["environment"], worker["volumes"]) == (web["environment"], web["volumes"])
    assert (url.scheme, url.hostname, url.username) == (
        "postgresql",
        "postgresql",
        SERVICES["postgresql"]["environment"]["POSTGRES_USER"],
    )
    assert url.password == SERVICES["postgresql"]["environment"]["POSTGRES_PASSWORD"]
    assert ([], 2) == (worker["ports"], worker["scale"])  # two cannot be published at one port


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """What the service `monitor` reads, with the variables that compose passes on; the store's folder is only in the
    container.
    """
    shutil.copy(DEPLOY / "config" / "monitor.yaml", tmp_path)
    values = {"EI_PROJECT_ID": "1234567", "EI_API_KEY": "ei_1"}
    given = SERVICES["monitor"]["environment"]
    store = {"IMPULSE_MONITOR_STORE": given["IMPULSE_MONITOR_STORE"].replace("/var/lib/impulse-monitor", str(tmp_path))}
    return load(tmp_path / "monitor.yaml", {name: (values | store)[name] for name in given}).config


def test_configuration(config: Config) -> None:
    """The mounted configuration watches the project that the variables name, and listens where the
    port is published.
    """
    (port,) = SERVICES["monitor"]["ports"]

    assert [1234567] == [project.id for project in config.projects]
    assert ("", int(port.rpartition(":")[2])) == (config.http.listen.host, config.http.listen.port)
    assert "/var/lib/impulse-monitor" in {volume.split(":")[1] for volume in SERVICES["monitor"]["volumes"]}


def test_grace(config: Config) -> None:
    """Compose waits for longer than the service lets pulls in flight end."""
    grace = {
        name: int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        for name in ("monitor", "demo", "worker", "web")
    }

    assert all(config.shutdown_grace + 5 < seconds for seconds in grace.values())


def mounted(service: str, inside: str) -> Path:
    """The file or folder of the repository that is `inside` a service's container."""
    for volume in SERVICES[service]["volumes"]:
        source, target, *_ = volume.split(":")
        if source.startswith(".") and (inside + "/").startswith(target + "/"):
            return DEPLOY / source / inside[len(target) :].lstrip("/")
    raise AssertionError(f"{inside} is not mounted")


def provisioned(kind: str) -> dict[str, Any]:
    """What Grafana is provisioned with."""
    (file,) = mounted("grafana", f"/etc/grafana/provisioning/{kind}").glob("*.yaml")
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_datasource() -> None:
    """Grafana's one data source is the Prometheus of this stack, by the name that the dashboards look for."""
    (source,) = provisioned("datasources")["datasources"]
    port = SERVICES["prometheus"]["ports"][0].rpartition(":")[2]

    assert ("Prometheus", "prometheus", f"http://prometheus:{port}") == (source["name"], source["type"], source["url"])
    assert (True, False) == (source["isDefault"], source["editable"])


def test_dashboards() -> None:
    """Grafana loads the dashboards of the repository, opens one of them, and lets nobody change or delete them."""
    (provider,) = provisioned("dashboards")["providers"]
    dashboards = mounted("grafana", provider["options"]["path"])
    home = mounted("grafana", SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert DEPLOY / "grafana" / "dashboards" == dashboards
    assert home in dashboards.glob("*.json")
    assert (True, False) == (provider["disableDeletion"], provider["allowUiUpdates"])


# The demo's stack, for real


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_in(podman: Podman, folder: Path, name: str, binary: str, data: str) -> None:
    """An image with a binary of this machine, as the project's own image has it: the entry point, run by `nobody`."""
    folder.mkdir()
    shutil.copy(os.path.realpath(binary), folder / "program")
    lines = [f"FROM {from_name()}", "COPY program /bin/program", f"RUN install -d -o 65534 -g 65534 {data}"]
    # Debian's Alertmanager has its templates beside the program
    if (templates := Path("/usr/share/prometheus" + data)).is_dir():
        shutil.copytree(templates, folder / "share")
        lines.append(f"COPY share {templates}")
    lines += ["USER 65534", f"WORKDIR {data}", 'ENTRYPOINT ["/bin/program"]']
    (folder / "Containerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")
    podman("build", "-q", "--pull=never", "--isolation", "chroot", "-t", name, str(folder), timeout=200)


def ask(url: str) -> Any:
    """The reply's JSON; None where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Stack:
    """The demo's stack: ports outside by service, and how to ask it."""

    ports: dict[str, int]
    say: Callable[[], str]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query; empty where Prometheus does not answer."""
        url = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/query?" + urllib.parse.urlencode(
            {"query": expression}
        )
        return list((ask(url) or {"data": {"result": []}})["data"]["result"])

    def until(self, holds: Callable[[], Any], seconds: float = 90) -> Any:
        """What `holds` answers once it is true; fails with the stack's log."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := holds():
                return found
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s; the stack says: {self.say()[-6000:]}")


@pytest.fixture(scope="module")
def stack(
    podman: Podman, image: str, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The demo's profile, up; removed with its volumes at the end."""
    folder = tmp_path_factory.mktemp("compose")
    for name in ("prometheus", "alertmanager"):
        binary = program({"alertmanager": "prometheus-alertmanager"}.get(name, name))
        stand_in(podman, folder / name, SERVICES[name]["image"], binary, f"/{name}")
    tag, services = IMAGE.rpartition(":")[2], ("demo", "prometheus", "alertmanager")
    ports = dict(zip(services, (free_port(), free_port(), free_port()), strict=True))
    # podman-compose knows no options before podman's command.
    wrapper = folder / "podman"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(podman.command)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    variables = {"IMPULSE_MONITOR_TAG": tag}
    variables |= {f"{name.replace('demo', 'monitor').upper()}_PORT": str(port) for name, port in ports.items()}
    project = f"impulse-monitor-test-{os.getpid()}"
    compose = [
        sys.executable,
        "-m",
        "podman_compose",
        "--podman-path",
        str(wrapper),
        "-f",
        str(DEPLOY / "compose.yaml"),
    ]
    compose += ["-p", project, "--profile", "demo"]

    def run(*arguments: str) -> str:
        command = [*compose, *arguments]
        done = subprocess.run(
            command, env=podman.environment | variables, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr

    said = run("up", "-d", "--no-build", *services)
    try:
        yield Stack(ports, lambda: said + run("logs", *services))
    finally:
        # First the containers: podman-compose leaves those that keep restarting, and the volumes that have no name.
        containers = podman("ps", "-aq", "--filter", f"label=io.podman.compose.project={project}").stdout.split()
        podman("rm", "-f", "-v", "-t", "0", *containers)
        run("down", "--volumes")


def test_stack_shows_the_demo(stack: Stack) -> None:
    """One command, and Prometheus has scraped the demo by its name and has all its projects."""
    projects = {str(project.id) for project in demo_studio().projects.values()}
    stack.until(lambda: projects == {row["metric"]["project_id"] for row in stack.query("edge_impulse_up == 1")})

    assert {"monitor:9890"} == {row["metric"]["instance"] for row in stack.query('up{job="impulse-monitor"} == 1')}


def test_stack_has_its_rules(stack: Stack) -> None:
    """Prometheus has loaded every rule of the repository."""
    written = [
        rule.get("alert") or rule["record"]
        for file in (DEPLOY / "prometheus" / "rules").glob("*.yaml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    reply = stack.until(lambda: ask(f"http://127.0.0.1:{stack.ports['prometheus']}/api/v1/rules"))

    assert sorted(written) == sorted(rule["name"] for group in reply["data"]["groups"] for rule in group["rules"])


def test_stack_sends_alerts(stack: Stack) -> None:
    """Prometheus has found Alertmanager, which runs with the repository's configuration."""
    url = f"http://127.0.0.1:{stack.ports['prometheus']}/api/v1/alertmanagers"
    found = stack.until(lambda: (ask(url) or {"data": {}})["data"].get("activeAlertmanagers"))
    status = stack.until(lambda: ask(f"http://127.0.0.1:{stack.ports['alertmanager']}/api/v2/status"))
    written = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))

    assert ["http://alertmanager:9093/api/v2/alerts"] == [manager["url"] for manager in found]
    assert written["route"]["receiver"] == yaml.safe_load(status["config"]["original"])["route"]["receiver"]

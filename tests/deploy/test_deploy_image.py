"""The image, built and run for real: without rights, on a read-only root, scraped from outside."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme
import yaml
from helm_python import Chart
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from monitor import __version__
from monitor.simulator import demo_studio
from tests.deploy.deploy_podman import IMAGE, ROOT, Container, Podman, from_name

# the first run on a machine makes the base and the image
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

PROJECT = 103
KEYS = {project.id: project.api_key for project in demo_studio().projects.values()}
STUDIO_PORT = 9000
LARGEST = 220_000_000
"""Bytes that the image may add to its base."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(port: int) -> str:
    """The exposition, from outside the container; empty where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
            return str(response.read(), "utf-8")
    except OSError:
        return ""


def scrape_until(holds: Callable[[str], Any], port: int, container: Container, seconds: float = 240) -> str:
    """The first exposition of which `holds` is true; fails with the container's log."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        text = scrape(port)
        if holds(text):
            return text
        if not text and not container.state()["Running"]:
            break
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s, or it ended; the container says: {container.logs()[-4000:]}")


def values(exposition: str, name: str) -> dict[str, float]:
    """Values of one family by project id."""
    found = re.findall(rf'^{name}\{{.*?project_id="(\d+)".*?\}} (\S+)$', exposition, re.MULTILINE)
    return {project: float(value) for project, value in found}


def figures(exposition: str) -> bool:
    """Whether the project was pulled."""
    return bool(values(exposition, "edge_impulse_accuracy_ratio"))


@contextmanager
def deployed(podman: Podman, folder: Path, **changes: Any) -> Iterator[tuple[Container, int]]:
    """The image's own command with a mounted configuration, beside a container that simulates Studio; and the port
    outside.
    """
    folder.chmod(0o755)
    key = folder / "key"
    key.write_text(KEYS[PROJECT], encoding="utf-8")
    settings = {
        "studio": {"url": f"http://127.0.0.1:{STUDIO_PORT}/v1"},
        "store": "sqlite:////var/lib/impulse-monitor/impulse-monitor.db",
        "schedule": {"every": "2s"},
        "http": {"listen": ":9890"},
        "projects": [{"id": PROJECT, "api_key_file": "/etc/impulse-monitor/key"}],
    } | changes
    (folder / "monitor.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    with podman.container("simulate", "--port", str(STUDIO_PORT), options=("-p", f"127.0.0.1:{port}:9890")) as studio:
        # One network for both, as two containers of a pod have it: the simulator answers on loopback only.
        together = ("--network", f"container:{studio.id}", "-v", f"{folder}:/etc/impulse-monitor:ro")
        with podman.container(options=together) as monitor:
            yield monitor, port


@pytest.fixture(scope="module")
def service(podman: Podman, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, int]]:
    """The service as its image starts it, with figures."""
    with deployed(podman, tmp_path_factory.mktemp("etc")) as (container, port):
        scrape_until(figures, port, container)
        yield container, port


def test_scraped_from_outside(service: tuple[Container, int], program: Callable[[str], str]) -> None:
    """A scrape from outside the container has the project's figures, and promtool finds nothing in it."""
    exposition = scrape(service[1])
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=exposition, capture_output=True, text=True, check=False
    )

    assert {str(PROJECT): 1.0} == values(exposition, "edge_impulse_up")
    assert (0, "") == (done.returncode, done.stdout + done.stderr)


def test_without_rights(service: tuple[Container, int]) -> None:
    """The service runs as a numeric user that is not root, with no capability and no way to get one."""
    status = dict(
        line.split(":\t", 1) for line in service[0].run("cat", "/proc/1/status").stdout.splitlines() if ":\t" in line
    )

    assert ["65532"] * 4 == status["Uid"].split()
    assert ["65532"] * 4 == status["Gid"].split()
    assert {"0000000000000000"} == {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert "1" == status["NoNewPrivs"]


def test_numeric_user(podman: Podman, image: str) -> None:
    """The image names its user by number, without which Kubernetes cannot see that it is not root."""
    assert "65532:65532" == podman.inspect(image, "image")["Config"]["User"]


def test_read_only_root(service: tuple[Container, int]) -> None:
    """The root is read-only, also for who may write there; only the store's volume and /tmp can be written."""
    writable = {path: service[0].run("touch", f"{path}/probe").returncode == 0 for path in STORE_AND_OTHERS}

    assert "ro" in service[0].mount_options("/")
    assert STORE_AND_OTHERS == writable


STORE_AND_OTHERS = {
    "/var/lib/impulse-monitor": True,
    "/tmp": True,
    "/etc/impulse-monitor": False,
    "/opt/impulse-monitor": False,
    "/": False,
}


LIMIT_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def test_memory_limit(service: tuple[Container, int]) -> None:
    """The service lives within its memory limit, which the kernel holds."""
    container = service[0]
    limits = container.run("sh", "-c", f"cat {' '.join(LIMIT_FILES)} 2>/dev/null").stdout.split()
    allowed = container.podman.inspect(container.id)["HostConfig"]["Memory"]

    assert 512 * 2**20 == allowed
    assert limits in ([], [str(512 * 2**20)])  # not every machine shows the group inside the container
    assert (True, False) == (container.state()["Running"], container.state()["OOMKilled"])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param("", 0, id="as the image has it"),
        pytest.param("http://127.0.0.1:9891/-/healthy", 1, id="nobody listens"),
        pytest.param(f"http://127.0.0.1:{STUDIO_PORT}/-/healthy", 1, id="somebody else answers"),
        pytest.param("https://127.0.0.1:9890/-/healthy", 1, id="no TLS there"),
    ],
)
def test_health_check(service: tuple[Container, int], url: str, code: int) -> None:
    """The image's health check, run inside, is good for the service and for nothing else, whatever proxy is set."""
    container = service[0]
    how, *command = container.podman.inspect(IMAGE, "image")["Healthcheck"]["Test"]
    environment = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = container.run(*command, environment=environment | ({"IMPULSE_MONITOR_HEALTH_URL": url} if url else {}))

    assert "CMD" == how
    assert code == done.returncode


def test_probes_with_tls_and_password(podman: Podman, image: str, tmp_path: Path) -> None:
    """Behind TLS and basic auth the health check and the Helm chart's probes, which have no password, still see a
    living service.
    """
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (tmp_path / "server.pem").chmod(0o644)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    tls = {"cert_file": "server.pem", "key_file": "server.pem"}
    web_config = {"tls_server_config": tls, "basic_auth_users": {"prometheus": hashed}}
    (tmp_path / "web-config.yml").write_text(yaml.safe_dump(web_config), encoding="utf-8")
    how = {"webConfig": {"secret": "web", "scheme": "HTTPS", "basicAuth": {"secret": "scraper"}}}
    manifests = Chart.load(ROOT / "deploy" / "helm" / "impulse-monitor").render(how, name="rel", namespace="ns")
    (pod,) = [
        yaml.safe_load(text)["spec"]["template"]["spec"]
        for path, text in manifests.items()
        if path.endswith("/deployment.yaml")
    ]
    (main, *_) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    probes = [main[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    urls = [f"http://127.0.0.1:{ports.get(probe['port'], probe['port'])}{probe['path']}" for probe in probes]
    (config,) = [yaml.safe_load(text)["data"] for path, text in manifests.items() if path.endswith("/configmap.yaml")]
    health = yaml.safe_load(config["monitor.yaml"])["http"]["health_listen"]
    check = podman.inspect(IMAGE, "image")["Healthcheck"]["Test"][1:]
    urls.append("https://127.0.0.1:9890/-/healthy")
    http = {"listen": ":9890", "web_config_file": "web-config.yml", "health_listen": health}
    with deployed(podman, tmp_path, http=http) as (
        container,
        port,
    ):
        end = time.monotonic() + 240
        while "service.started" not in container.logs():
            assert time.monotonic() < end and container.state()["Running"], container.logs()[-4000:]
            time.sleep(0.1)

        assert [0] * 4 == [
            container.run(*check, environment={"IMPULSE_MONITOR_HEALTH_URL": url}).returncode for url in urls
        ]
        assert 1 == container.run(*check).returncode
        assert "" == scrape(port)


def test_stops_by_itself(podman: Podman, image: str, tmp_path: Path) -> None:
    """SIGTERM reaches the service, which ends by itself with exit code 0, and is not killed."""
    with deployed(podman, tmp_path) as (container, port):
        scrape_until(figures, port, container)
        podman("stop", "-t", "240", container.id, timeout=300)
        log = [json.loads(line)["event"] for line in container.logs().splitlines()]

        assert 0 == container.state()["ExitCode"]
        assert "service.stopping" in log
        assert "service.stopped" == log[-1]  # between the two, a pull that was under way may end


def test_demo(podman: Podman, image: str) -> None:
    """The demo runs on a read-only root without any mount, and is scraped from outside."""
    port = free_port()
    with podman.container("demo", "--listen", ":9890", options=("-p", f"127.0.0.1:{port}:9890")) as container:
        exposition = scrape_until(lambda text: len(values(text, "edge_impulse_up")) == len(KEYS), port, container)

        assert {str(project): 1.0 for project in KEYS} == values(exposition, "edge_impulse_up")


def test_without_configuration(podman: Podman, image: str) -> None:
    """Without a mounted configuration the container ends with exit code 1 and says what is missing."""
    with podman.container() as container:
        podman("wait", container.id)

        assert 1 == container.state()["ExitCode"]
        assert any(
            line.startswith("/etc/impulse-monitor/monitor.yaml:1: cannot be read")
            for line in container.logs().splitlines()
        )


def test_size(podman: Podman, image: str) -> None:
    """The image adds little to its base."""
    added = podman.inspect(image, "image")["Size"] - podman.inspect(from_name(), "image")["Size"]

    assert added < LARGEST


def test_nothing_but_the_lock(podman: Podman, image: str) -> None:
    """The image's environment holds exactly what the lock names, and the monitor of this version."""
    listing = "import importlib.metadata as m, json, platform as p; print(p.python_version())"
    listing += "; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    done = podman(
        "run", "--rm", "--network", "none", "--no-healthcheck", "--entrypoint", "python", image, "-Ic", listing
    )
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    python, packages = done.stdout.splitlines()
    installed = {canonicalize_name(name): version for name, version in json.loads(packages).items()}
    entries = [Requirement(line.rstrip("\\")) for line in lock.splitlines() if line[0].isalnum()]
    here = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    locked = {
        entry.name: str(entry.specifier)[2:] for entry in entries if entry.marker is None or entry.marker.evaluate(here)
    }

    assert locked | {"impulse-monitor": __version__} == installed


def test_labels(podman: Podman, image: str) -> None:
    """The image says what it is, with the version of the code in it."""
    labels = podman.inspect(image, "image")["Config"]["Labels"]

    assert __version__ == labels["org.opencontainers.image.version"]
    assert "Apache-2.0" == labels["org.opencontainers.image.licenses"]
    assert {"title", "description", "revision"} <= {name.removeprefix("org.opencontainers.image.") for name in labels}


def test_dockerfile_lint() -> None:
    """hadolint finds nothing in the Dockerfile."""
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():  # its package has no build for every kind of machine
        assert os.environ.get("CI") != "true", "hadolint is not installed"
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stdout + done.stderr)

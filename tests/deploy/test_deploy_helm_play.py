"""The Helm chart's Deployment, run for real by podman as Kubernetes would run it: its own file, volumes, limits and
rights.
"""

from __future__ import annotations

import re
import socket
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from helm_python import Chart

from monitor.simulator import demo_studio
from tests.deploy.deploy_podman import IMAGE, ROOT, Container, Podman
from tests.waiting import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]

PROJECT = 103
STUDIO_PORT = 9000
PLAYED = ("ConfigMap", "PersistentVolumeClaim", "Deployment")
"""What podman knows of the chart's kinds."""
WRITABLE = {"/": False, "/opt/impulse-monitor": False, "/etc/impulse-monitor": False, "/var/lib/impulse-monitor": True}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rendered(name: str, port: int) -> list[dict[str, Any]]:
    """The chart's objects; the pod gets a simulated Studio as a second container, and a port outside."""
    repository, _, tag = IMAGE.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "env": [{"name": "EI_API_KEY", "value": demo_studio().projects[PROJECT].api_key}],
        "config": {
            "studio": {"url": f"http://127.0.0.1:{STUDIO_PORT}/v1"},
            "schedule": {"every": "2s"},
            "projects": [{"id": PROJECT, "api_key": "${EI_API_KEY}"}],
        },
    }
    manifests = Chart.load(ROOT / "deploy" / "helm" / "impulse-monitor").render(values, name=name, namespace="ns")
    documents = [
        document for path, text in manifests.items() if path.endswith(".yaml") for document in yaml.safe_load_all(text)
    ]
    objects = [document for document in documents if document and document["kind"] in PLAYED]
    (pod,) = [found["spec"]["template"]["spec"] for found in objects if found["kind"] == "Deployment"]
    pod["containers"][0]["ports"][0] |= {"hostPort": port, "hostIP": "127.0.0.1"}
    pod["containers"].append({"name": "studio", "image": IMAGE, "args": ["simulate", "--port", str(STUDIO_PORT)]})
    return objects


@dataclass(frozen=True)
class Played:
    """The pod that runs, and its port outside."""

    monitor: Container
    port: int

    def metrics(self) -> str:
        """The exposition; empty where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as response:
                return str(response.read(), "utf-8")
        except OSError:
            return ""


@pytest.fixture(scope="module")
def played(podman: Podman, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The chart's Deployment, up; removed with its volumes at the end."""
    name, port = f"rel-{uuid.uuid4().hex[:8]}", free_port()
    objects = rendered(name, port)
    file = tmp_path_factory.mktemp("play") / "release.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    podman("kube", "play", str(file), timeout=120)
    try:
        (identity,) = podman("ps", "-q", "--filter", f"name={name}-.*-pod-0-impulse-monitor").stdout.split()
        yield Played(Container(podman, identity), port)
    finally:
        podman("kube", "down", str(file), check=False)
        volumes = [
            volume["metadata"]["name"] for volume in objects if volume["kind"] in ("ConfigMap", "PersistentVolumeClaim")
        ]
        podman("volume", "rm", "-f", *volumes, check=False)


def test_figures(played: Played) -> None:
    """The pod pulls its project by the chart's configuration, and is scraped from outside."""
    end = time.monotonic() + 240
    while not (
        found := re.findall(r'^edge_impulse_accuracy_ratio\{.*project_id="(\d+)".*\}', played.metrics(), re.MULTILINE)
    ):
        assert time.monotonic() < end and played.monitor.state()["Running"], played.monitor.logs()[-4000:]
        time.sleep(0.1)

    assert {str(PROJECT)} == set(found)


def test_confinement(played: Played) -> None:
    """What the chart asks for is what the process has: user, no capability, read-only root, memory limit."""
    status = dict(
        line.split(":\t", 1)
        for line in played.monitor.run("cat", "/proc/1/status").stdout.splitlines()
        if ":\t" in line
    )
    # Not /tmp: podman's emptyDir belongs to root, where Kubernetes lets everyone write.
    writable = {path: played.monitor.run("touch", f"{path}/probe").returncode == 0 for path in WRITABLE}
    memory = played.monitor.podman.inspect(played.monitor.id)["HostConfig"]["Memory"]

    assert (["65532"] * 4, "0000000000000000", "1") == (status["Uid"].split(), status["CapBnd"], status["NoNewPrivs"])
    assert "ro" in played.monitor.mount_options("/")
    assert WRITABLE == writable
    assert 512 * 2**20 == memory


def test_store_is_on_the_claim(played: Played) -> None:
    """What is remembered is on the claim's volume, not in the container."""
    wait_until(lambda: "impulse-monitor.db" in played.monitor.run("ls", "/var/lib/impulse-monitor").stdout.split())
    mounts = played.monitor.podman.inspect(played.monitor.id)["Mounts"]
    (volume,) = [mount["Name"] for mount in mounts if mount["Destination"] == "/var/lib/impulse-monitor"]

    assert volume.endswith("-impulse-monitor-store")

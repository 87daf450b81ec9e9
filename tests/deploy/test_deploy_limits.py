"""What a deployment bounds: the memory that every way to deploy allows, and how much log is written and kept."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from helm_python import Chart

from monitor import logs
from monitor.service.app import App
from monitor.simulator import demo_studio, serve
from tests.clock import SETTLE, Clock, run
from tests.deploy.deploy_podman import HARDENED, ROOT
from tests.deploy.helm_chart import container, render

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))["services"]
UNITS = {"m": 20, "M": 20, "Mi": 20, "MiB": 20, "g": 30, "G": 30, "Gi": 30, "GiB": 30}
SECONDS = 60.0
"""How long the service is measured, in scheduled time: the first alerts are in it."""


def text_of(path: str) -> str:
    """A file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def size(text: str) -> int:
    """Bytes of `512m`, `512Mi`, `512M` (as systemd counts) or `512 MiB`."""
    match = re.fullmatch(r"([0-9]+) ?([A-Za-z]+)", text)
    assert match, text
    return int(match[1]) << UNITS[match[2]]


def found(pattern: str, path: str) -> str:
    """What stands once in a file."""
    (text,) = re.findall(pattern, text_of(path))
    return str(text)


def test_same_memory_everywhere(chart: Chart) -> None:
    """Chart, compose, unit, docs and the image's own tests allow the same memory."""
    allowed = {
        "chart": container(render(chart, {}))["resources"]["limits"]["memory"],
        **{f"compose {name}": COMPOSE[name]["mem_limit"] for name in ("monitor", "demo", "worker", "web")},
        "unit": found(r"MemoryMax=(\S+)", "deploy/systemd/impulse-monitor.service"),
        "docs, container": found(r"--memory (\S+)", "docs/deployment.md"),
        "docs, sizing": found(r"run the service in (\d+ MiB)", "docs/deployment.md"),
        "tests of the image": HARDENED[HARDENED.index("--memory") + 1],
    }

    assert dict.fromkeys(allowed, 512 * 2**20) == {name: size(text) for name, text in allowed.items()}


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_rotates(name: str) -> None:
    """Every service's log is rotated and bounded, as the docs say: Docker's default keeps it for ever."""
    logging = COMPOSE[name]["logging"]
    amount, limit = re.findall(r"keeps (\w+) log files of (\d+) MB", text_of("docs/deployment.md"))[0]

    assert ("json-file", f"{limit}m", "5") == (
        logging["driver"],
        logging["options"]["max-size"],
        logging["options"]["max-file"],
    )
    assert ("five", "10") == (amount, limit)


def test_documented_container_rotates() -> None:
    """The documented `docker run` bounds its log as compose does."""
    options = COMPOSE["monitor"]["logging"]["options"]
    documented = re.findall(r"--log-opt (\S+)=(\S+)", text_of("docs/deployment.md"))

    assert options == dict(documented)


async def log_of_the_demo(clock: Clock, folder: Path) -> None:
    """Run the service on the demo's projects for so long, with its log in a file: the stories go on with the pulls,
    however slow the machine is.
    """
    studio = demo_studio(clock=clock.time)
    path = folder / "monitor.yaml"
    async with serve(studio) as url:
        content = {
            "studio": {"url": url},
            "schedule": {"every": "5s"},
            "http": {"listen": "127.0.0.1:0"},
            "projects": [{"id": project.id, "api_key": project.api_key} for project in studio.projects.values()],
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        with (folder / "log").open("w", encoding="utf-8") as stream:
            logs.configure("info", "json", stream)
            try:
                async with App(path, clock=clock.time):
                    await asyncio.sleep(SECONDS)
            finally:
                logs.configure("warning")


def test_documented_log_volume(tmp_path: Path) -> None:
    """The real service logs as much a pull as the docs say, by the command that they give for it."""
    page = text_of("docs/operation.md").partition("### How much is logged")[2]
    pattern = r"some ([0-9.]+) lines and (\d+) bytes a pull.*?writes (\d+) kB a day, 1,000 of them (\d+) MB"
    lines, size, kilobytes, megabytes = map(float, re.findall(pattern, page, re.DOTALL)[0])
    (program,) = re.findall(r"awk '(.*?)'", page)
    run(lambda clock: log_of_the_demo(clock, tmp_path), settle=SETTLE)
    said = subprocess.run(["awk", program, str(tmp_path / "log")], capture_output=True, text=True, check=True).stdout
    measured = [float(number) for number in re.findall(r"[0-9.]+", said)]

    assert [lines, size] == pytest.approx(measured, rel=0.3), said
    assert (kilobytes, megabytes) == (round(96 * size / 1000), round(96 * size / 1000))

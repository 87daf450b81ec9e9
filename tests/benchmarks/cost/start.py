"""What a start costs, and what has to be installed for it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.benchmarks._rows import Row
from tests.benchmarks.cost.section import Section

ROOT = Path(__file__).parents[3]
ROUNDS = 5
ANSWER = 0.25  # processor seconds of --version
READY = 2.0  # seconds from the imports on
LISTED = 1.0  # MB; smaller packages are one row

COMMAND = "from monitor.__main__ import main; main()"
SERVICE = "from monitor.service.app import App"
LIBRARIES = (
    "import aiohttp, alembic.command, jinja2, msgspec, numpy, prometheus_client, pydantic, sqlalchemy.ext.asyncio"
)


def cpu_seconds(*jobs: Sequence[str], rounds: int) -> list[float]:
    """The median processor seconds of each of some commands of Python, run in turn."""
    found: list[list[float]] = [[] for _ in jobs]
    for _ in range(rounds):
        for taken, arguments in zip(found, jobs, strict=True):
            before = _children()
            subprocess.run([sys.executable, "-c", *arguments], check=True, stdout=subprocess.DEVNULL)
            taken.append(_children() - before)
    return [median(each) for each in found]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def until_ready() -> float:
    """Seconds from the imports until a service of ten simulated projects says that it is ready, its store made anew."""
    import aiohttp
    import yaml

    from monitor import logs, simulator
    from monitor.service.app import App

    logs.configure("error")
    studio = simulator.demo_studio()
    with tempfile.TemporaryDirectory() as folder:
        async with simulator.serve(studio, port=0) as url, aiohttp.ClientSession() as session:
            config = Path(folder) / "monitor.yaml"
            projects = [{"id": project.id, "api_key": project.api_key} for project in studio.projects.values()]
            content = {"studio": {"url": url}, "http": {"listen": "127.0.0.1:0"}, "projects": projects}
            config.write_text(yaml.safe_dump({**content, "schedule": {"every": "1h"}}), encoding="utf-8")
            started = time.perf_counter()
            app = App(config)
            await app.start()
            while True:
                async with session.get(f"http://{app.address}/-/ready") as reply:
                    if reply.status == 200:
                        break
                await asyncio.sleep(0.01)
            taken = time.perf_counter() - started
            await app.stop()
    return taken


def sizes(extras: Sequence[str] = ()) -> dict[str, float]:
    """MB of what is installed for the service, by package, without compiled bytecode."""
    found: dict[str, float] = {}
    wanted = [Requirement(f"impulse-monitor[{','.join(extras)}]")]
    while wanted:
        need = wanted.pop()
        package = importlib.metadata.distribution(need.name)
        found[canonicalize_name(need.name)] = _megabytes(package)
        for text in package.requires or ():
            other = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *need.extras)]
            if other.marker is not None and not any(other.marker.evaluate(each) for each in environments):
                continue
            if canonicalize_name(other.name) not in found or other.extras:
                wanted.append(other)
    return found


def _megabytes(package: importlib.metadata.Distribution) -> float:
    if package.name == "impulse-monitor":  # installed in place, its files are not listed
        files = [path for path in (ROOT / "monitor").rglob("*") if path.is_file()]
    else:
        files = [Path(str(path.locate())) for path in package.files or ()]
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc" and path.is_file()) / 1e6


def wheel() -> float:
    """MB of the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return sum(path.stat().st_size for path in Path(folder).glob("*.whl")) / 1e6


def rows(quick: bool) -> Iterator[Row]:
    """Seconds, then megabytes."""
    rounds = 1 if quick else ROUNDS
    version, click = cpu_seconds([COMMAND, "--version"], ["import click"], rounds=rounds)
    yield Row(
        "`--version`; importing click alone",
        [f"{version:.2f} s CPU", f"{click:.2f} s CPU"],
        f"≤ {ANSWER:g} s CPU",
        version <= ANSWER,
    )
    imports, libraries = cpu_seconds([SERVICE], [LIBRARIES], rounds=rounds)
    yield Row("imports of the service; of its libraries alone", [f"{imports:.2f} s CPU", f"{libraries:.2f} s CPU"])
    ready = median(_ready() for _ in range(rounds))
    yield Row("ready after the imports, 10 projects", [f"{ready:.2f} s", ""], f"≤ {READY:g} s", ready <= READY)
    yield from _installed()


def _ready() -> float:
    command = [sys.executable, "-m", "tests.benchmarks.cost.start"]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ}, cwd=ROOT)
    return float(json.loads(ended.stdout.splitlines()[-1]))


def _installed() -> Iterator[Row]:
    default = sizes()
    yield Row("the wheel; its files", [f"{wheel():.1f} MB", f"{default.pop('impulse-monitor'):.1f} MB"])
    yield Row(f"{len(default)} packages that it needs", [f"{sum(default.values()):.0f} MB", ""])
    largest = sorted(default.items(), key=lambda item: -item[1])
    for name, size in largest:
        if size >= LISTED:
            yield Row(f"- {name}", [f"{size:.1f} MB", ""])
    small = [size for _, size in largest if size < LISTED]
    yield Row(f"- {len(small)} others below {LISTED:g} MB", [f"{sum(small):.1f} MB", ""])
    for extra in ("apprise", "postgresql"):
        more = {name: size for name, size in sizes([extra]).items() if name not in {*default, "impulse-monitor"}}
        yield Row(f"extra `{extra}`: {', '.join(sorted(more))}", [f"{sum(more.values()):.1f} MB", ""])


SECTION = Section(
    "A start, and what is installed for it without compiled bytecode; behind the semicolon what stands beside.",
    ("", "beside"),
    rows,
)

if __name__ == "__main__":
    print(json.dumps(asyncio.run(until_ready())))

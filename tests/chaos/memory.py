"""The largest resident memory of the service while Studio sends what should exhaust it, beside the limits of chart,
unit and compose file.

`python -m tests.chaos memory [--case bomb] [--number 16]`; exit code 0 where every peak is below every limit. Each case
runs in a service process of its own, against one project and against sixteen at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yaml

from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Stream
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.kinds.classification import Classification

ROOT = Path(__file__).parents[2]
PULLS = 3
"""How often each project is pulled, at least."""
LONG = "n" * 2**20


def _classification(number: int) -> GeneratedProject:
    return projects.classification(number, f"project {number}", sizes={"testing": 40})


def _many_classes(number: int) -> GeneratedProject:
    project = projects.classification(number, f"project {number}", sizes={"testing": 20})
    project.kind = Classification(labels=tuple(f"class {place:05}" for place in range(20_000)))
    return project


def _long_names(number: int) -> GeneratedProject:
    project = projects.classification(number, f"{LONG}{number}", sizes={"testing": 12})
    project.kind = Classification(labels=tuple(f"{LONG[: 2**15]}{place}" for place in range(4)))
    return project


CASES: dict[str, tuple[Callable[[int], GeneratedProject], Stream | None]] = {
    "nothing": (_classification, None),
    "gigabyte": (_classification, Stream(2**30)),
    "endless": (_classification, Stream()),
    "bomb": (_classification, Stream(10 * 2**30, zipped=True)),
    "blank": (_classification, Stream(15 * 2**20)),
    "name": (_long_names, None),
    "classes": (_many_classes, None),
}
"""What a case's projects are, and what their pages meet."""
MIXED = "mixed"
"""The case of all others in turn."""


def limits() -> dict[str, int]:
    """Bytes that the deployments give the service, by file."""
    chart = ROOT / "deploy/helm/impulse-monitor/values.yaml"
    unit = ROOT / "deploy/systemd/impulse-monitor.service"
    compose = ROOT / "deploy/compose.yaml"
    texts = {
        chart: yaml.safe_load(chart.read_text(encoding="utf-8"))["resources"]["limits"]["memory"],
        unit: re.findall(r"^MemoryMax=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)[0],
        compose: re.findall(r"^ *mem_limit: *(\S+)$", compose.read_text(encoding="utf-8"), re.MULTILINE)[0],
    }
    return {str(path.relative_to(ROOT)): _bytes(text) for path, text in texts.items()}


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)\s*([KMG]?)i?b?", text, re.IGNORECASE).groups()  # type: ignore[union-attr]
    return int(number) * 2 ** {"": 0, "K": 10, "M": 20, "G": 30}[unit.upper()]


def high_water(pid: int) -> int:
    """The largest resident memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024


async def peak(case: str, number: int, folder: Path, within: float = 600.0, pulls: int = PULLS) -> int:
    """Bytes of the service's largest resident memory while it watches so many projects of that case, each pulled so
    often.

    Raises:
        AssertionError: The service ended, or its targets were not pulled in time.
    """
    cases = list(CASES.values()) if case == MIXED else [CASES[case]]
    studio = Studio()
    for place in range(number):
        make, fault = cases[place % len(cases)]
        studio.add(make(101 + place))
        if fault is not None:
            studio.fail(fault, "result/page", 101 + place, times=None)
    async with serve(studio) as url:
        content = {
            "studio": {"url": url},
            "schedule": {"every": "1s"},
            "http": {"listen": "127.0.0.1:0"},
            "projects": [
                {"id": project.id, "api_key": project.api_key, "slices": ["metadata.site"]}
                for project in studio.projects.values()
            ],
        }
        path = folder / "monitor.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        command = (sys.executable, "-m", "monitor", "run", "--config", str(path), "--log.format", "json")
        with (folder / "log").open("wb") as log:
            service = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            end = time.monotonic() + within

            def asked() -> bool:
                assert service.returncode is None, (
                    f"the service ended: {(folder / 'log').read_text(encoding='utf-8')[-2000:]}"
                )
                assert time.monotonic() < end, f"{case}: not pulled in time"
                log = (folder / "log").read_text(encoding="utf-8")
                return all(log.count(f'"target": "{project}-') >= pulls for project in studio.projects)

            while not await asyncio.to_thread(asked):
                await asyncio.sleep(0.2)
            address = re.findall(r'"url": "(http[^"]*)"', (folder / "log").read_text(encoding="utf-8"))[0]
            async with aiohttp.ClientSession() as session:
                for page in ("", "metrics", "api/v1/targets", "targets/101-1-int8-testing"):
                    async with session.get(f"{address}{page}") as response:
                        assert response.status == 200, page
                        await response.read()
            return high_water(service.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                service.terminate()
            await service.wait()


def main() -> int:
    """Measure, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=[*CASES, MIXED], action="append", default=[])
    parser.add_argument("--number", type=int, action="append", default=[], help="of projects")
    arguments = parser.parse_args()
    print(", ".join(f"{path}: {limit / 2**20:.0f} MiB" for path, limit in limits().items()))
    too_much = 0
    for case in arguments.case or [*CASES, MIXED]:
        for number in arguments.number or [1, 16]:
            with tempfile.TemporaryDirectory() as folder:
                found = asyncio.run(peak(case, number, Path(folder)))
            too_much += found > min(limits().values())
            print(
                f"{case:10}{number:3} {'project' if number == 1 else 'projects'}: {found / 2**20:.0f} MiB", flush=True
            )
    return int(too_much > 0)


if __name__ == "__main__":
    sys.exit(main())

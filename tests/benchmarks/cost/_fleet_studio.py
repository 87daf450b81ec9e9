"""A Studio of many small projects in a process of its own: `PROJECTS SAMPLES`; prints a line of JSON once it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys

from monitor.simulator import Studio, serve
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.kinds.classification import Classification
from monitor.simulator.project import Impulse
from monitor.simulator.projects import BOTH

LABELS = ("circle", "idle", "jam", "pressing", "wave")


def project(number: int, samples: int) -> GeneratedProject:
    """A classifier of five classes: two impulses, each with two variants, are four targets."""
    impulses = [Impulse(1, "spectral", variants=BOTH), Impulse(2, "raw", variants=BOTH)]
    return GeneratedProject(
        1000 + number,
        f"line-{number}",
        Classification(labels=LABELS),
        sizes={"testing": samples},
        impulses=impulses,
    )


async def main(projects: int, samples: int) -> None:
    """Serve until stopped."""
    studio = Studio([project(number, samples) for number in range(projects)])
    async with serve(studio) as url:
        keys = {each.id: each.api_key for each in studio.projects.values()}
        print(json.dumps({"url": url, "keys": keys}), flush=True)
        stopped = asyncio.Event()
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))

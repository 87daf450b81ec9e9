"""`python -m monitor.simulator`: a process of its own, for benchmarks and for trying clients; prints one line of JSON
once it serves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal

from monitor.simulator import Studio, demo_studio, serve
from monitor.simulator.projects import bulk


async def _run(studio: Studio, port: int) -> None:
    async with serve(studio, port=port) as url:
        projects = [
            {"id": project.id, "name": project.name, "api_key": project.api_key} for project in studio.projects.values()
        ]
        print(json.dumps({"url": url, "projects": projects}), flush=True)
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
                asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await stopped.wait()


def main() -> None:
    """Parse the command line and serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m monitor.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument(
        "--bulk", type=int, metavar="SAMPLES", help="one large project of 10 windows per sample instead of the demo's"
    )
    parser.add_argument("--windows", type=int, default=10, help="windows per sample of the large project")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="added to each request")
    parser.add_argument("--plain", action="store_true", help="compress no reply")
    parser.add_argument("--etags", action="store_true", help="give pages of results a version")
    parser.add_argument("--interval", type=float, default=5.0, metavar="SECONDS", help="per step of the demo")
    arguments = parser.parse_args()
    if arguments.bulk:
        project = bulk(samples=arguments.bulk, windows=arguments.windows)
        studio = Studio([project], latency=arguments.latency, zips=not arguments.plain)
        impulse = project.impulses[0]
        for _ in project.records(impulse, impulse.variants[0], "testing") or ():
            pass  # render everything before the first request
    else:
        studio = demo_studio(interval=arguments.interval)
        studio.latency = arguments.latency
        studio.zips = not arguments.plain
    studio.etags = "strong" if arguments.etags else ""
    asyncio.run(_run(studio, arguments.port))


if __name__ == "__main__":
    main()

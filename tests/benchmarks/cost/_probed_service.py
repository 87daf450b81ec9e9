"""`impulse-monitor` with a probe of its event loop beside it: `PROBES ARGUMENTS…`. PROBES is a file: a line for each
probe, with how many seconds late it was.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from monitor import cli
from monitor.service import app

EVERY = 0.05
PROBES = Path(sys.argv[1])


class Probed(app.App):
    """The service as it is, and the probe."""

    async def start(self) -> None:
        """Start both."""
        await super().start()
        self._probe = asyncio.create_task(probe(PROBES))


async def probe(path: Path) -> None:
    """Write how late the loop was, until cancelled."""
    with path.open("w", encoding="utf-8", buffering=1) as stream:
        while True:
            due = time.perf_counter() + EVERY
            await asyncio.sleep(EVERY)
            stream.write(f"{time.perf_counter() - due:.6f}\n")


if __name__ == "__main__":
    app.App = Probed
    sys.argv = ["impulse-monitor", *sys.argv[2:]]
    cli.main()

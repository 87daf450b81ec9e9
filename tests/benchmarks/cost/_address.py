"""Where a service that was just started listens, as its log says."""

from __future__ import annotations

import json
import time
from pathlib import Path

STARTS_WITHIN = 60.0


def address(log: Path) -> str:
    """The URL of the service with this log, once it serves.

    Raises:
        TimeoutError: It did not start within a minute.
    """
    ends = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < ends:
        for line in log.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "service.started":
                return str(event["url"])
        time.sleep(0.1)
    raise TimeoutError(f"the service did not start: {log.read_text(encoding='utf-8')}")

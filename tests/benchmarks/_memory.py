"""How much memory a process took."""

from __future__ import annotations

from pathlib import Path

import psutil


def peak(process: psutil.Process) -> int:
    """The largest resident memory so far, in bytes: what the kernel keeps where it does, else what is resident now."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return int(process.memory_info().rss)
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

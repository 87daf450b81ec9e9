"""How the process holds its memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, os, threading
from monitor.service.memory import share_heap

share_heap()
barrier = threading.Barrier(8)

def work():
    barrier.wait()
    kept.append([bytes(1000) for _ in range(1000)])

kept = []
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
@pytest.mark.parametrize(("variable", "heaps"), [("UNRELATED", 1), ("MALLOC_ARENA_MAX", 2)])
def test_one_heap(variable: str, heaps: int) -> None:
    """All threads allocate from one heap, unless the environment says how many there are to be."""
    environment = {**os.environ, variable: "2"}
    ended = subprocess.run(
        [sys.executable, "-c", HEAPS], capture_output=True, text=True, timeout=60, check=True, env=environment
    )

    assert ended.stdout.count("<heap nr=") == heaps

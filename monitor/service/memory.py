"""How the process holds its memory: one heap for all threads, and no search through what stays until the end."""

from __future__ import annotations

import ctypes
import gc
import os

# glibc's malloc.h: the option, and the environment variable that sets the same
_ARENA_MAX = (-8, "MALLOC_ARENA_MAX")
_MMAP_THRESHOLD = (-3, "MALLOC_MMAP_THRESHOLD_")
_TRIM_THRESHOLD = (-1, "MALLOC_TRIM_THRESHOLD_")

LARGE = 8 * 2**20
"""Bytes from which a block has pages of its own, which go back to the system with it: the body of a scrape, the
columns of a large pull. glibc raises its limit to 32 MiB once such a block was freed, and puts the next one into the
heap, which then has holes. Smaller ones are worth keeping: new pages cost time.
"""
KEPT = 16 * 2**20
"""Bytes that may stay free at the end of the heap: what figures are computed in is taken and given back many times."""


def share_heap() -> None:
    """Let all threads allocate from one heap, before any is started.

    glibc gives up to 8 heaps per core to the threads, of which hardly anything goes back to the system: what one thread
    frees no other one uses, and a page with anything on it stays. Since one thread at a time runs Python, one heap is
    enough.

    What the environment sets (`MALLOC_ARENA_MAX` and its like) is left as it is; without glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is None or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    for (option, variable), value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, KEPT)):
        if variable not in os.environ:
            mallopt(option, value)


def keep_loaded() -> None:
    """Take what is there now, mostly code, for what stays: full garbage collections look through the rest only, which
    holds up threads and the loop for a fraction of the time.
    """
    gc.collect()
    gc.freeze()

"""Processes that read their first stored documents in several threads at once: `first_reads.py DOCUMENTS PROCESSES
THREADS`.

Each is forked from one that has imported everything and read nothing, which is as new as one that was started, and a
hundred times cheaper. Prints how those ended that did not end well, a line each.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from monitor.converting import decoder_of_rows
from monitor.live.discoveries import as_discovery
from monitor.simulator.shape import validate
from monitor.store.documents import load_comparison, load_evaluation
from monitor.store.state_documents import load_alert_state, load_drift_state, load_transition
from monitor.studio.client import Client
from monitor.studio.columns import ColumnBuilder
from monitor.studio.project import StudioProject


class Answered:
    """In the place of a client: its reply has come already, and is only to be read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def get(self, call: str, path: str, caller: object, decoder: Any, query: object = None) -> tuple[Any, int]:
        """What the body says to a decoder of the service's."""
        return decoder.decode(self._body), len(self._body)


def pull(body: bytes) -> None:
    """What a pull makes of a page: decoded, and its columns taken."""
    page, _ = asyncio.run(StudioProject(cast(Client, Answered(body)), 1, "a key").page({}))
    builder = ColumnBuilder(("site",))
    builder.add(page)
    builder.finish()


def rows(body: bytes) -> None:
    """Rows of classes that only these results have."""
    decoder = decoder_of_rows(("idle", "wave"))
    assert decoder is not None
    decoder.decode(body)


READ: dict[str, Callable[[Any], object]] = {
    "pull": pull,
    "rows": rows,
    "page": lambda body: validate("result/page", body),
    "evaluation": load_evaluation,
    "comparison": load_comparison,
    "memory": load_drift_state,
    "state": load_alert_state,
    "transition": load_transition,
    "discovery": lambda data: as_discovery(msgspec.json.decode(data)),
}


def read_all(documents: dict[str, Any], meet: threading.Barrier) -> None:
    """Read one document of each kind, each at the same time as the other threads."""
    for kind, read in READ.items():
        meet.wait()
        read(documents[kind])


def child(documents: dict[str, Any], threads: int) -> None:
    """The process that has read nothing yet."""
    sys.setswitchinterval(1e-6)  # as on a machine with many processors: no thread is far ahead of another
    meet = threading.Barrier(threads)
    started = [threading.Thread(target=read_all, args=(documents, meet)) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def main(path: str, processes: int, threads: int) -> None:
    """Start one process after the other."""
    documents = pickle.loads(Path(path).read_bytes())
    for _ in range(processes):
        if (process := os.fork()) == 0:
            child(documents, threads)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if status:
            print(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

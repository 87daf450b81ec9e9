"""What a benchmark of large result sets is told: how large they are, and which store they are in."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sizes(about: str | None, samples: int) -> Iterator[tuple[str, int, int]]:
    """The URL of an empty store, samples and windows per sample, as the command line has them.

    Args:
        about: What `--help` says.
        samples: By default.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--samples", type=int, default=samples)
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--url", help="of an empty store; default: a SQLite file in a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        yield options.url or f"sqlite:///{folder}/store.db", options.samples, options.windows

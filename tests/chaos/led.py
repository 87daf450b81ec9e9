"""One target of `fuzz` with inputs led by what they reach: `python -m tests.chaos.led TARGET INPUTS`. Needs atheris."""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["monitor"]):
    from tests.chaos import fuzz


def main() -> None:
    """Run; the engine ends the process, with an exit code other than 0 where something was raised."""
    target, inputs = sys.argv[1:]
    reads, seeds = fuzz.TARGETS[target]
    warnings.simplefilter("ignore")
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    longest = 0
    for place, data in enumerate(seeds()):
        (corpus / str(place)).write_bytes(data)
        longest = max(longest, 16 * len(data))
    options = [
        f"-runs={inputs}",
        f"-max_len={min(longest, 65536)}",
        "-timeout=60",
        "-rss_limit_mb=3000",
        "-verbosity=0",
        f"-artifact_prefix={corpus}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], reads)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

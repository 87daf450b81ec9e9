"""`impulse-monitor` on a machine whose clock differs from the others': `SECONDS ARGUMENTS…`.

`time.time`, which the service takes for the clock, is so many seconds ahead.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Let the clock differ before anything has it for its own, and run the command."""
    ahead = float(sys.argv.pop(1))
    right = time.time
    time.time = lambda: right() + ahead
    from monitor.__main__ import main as command

    command()


if __name__ == "__main__":
    main()

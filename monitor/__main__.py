"""The command, also as `python -m monitor`."""

import os
import signal
import sys


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback at any time, also while it is still loading."""
    # NumPy's products are small here: threads of BLAS only wait for each other, at the price of a core each
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from monitor.cli import main as command

        command(prog_name="impulse-monitor")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()

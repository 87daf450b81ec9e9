"""The command, also as `python -m monitor`."""

import signal
import sys


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback at any time, also while it is still loading."""
    try:
        from monitor.cli import main as command

        command(prog_name="impulse-monitor")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()

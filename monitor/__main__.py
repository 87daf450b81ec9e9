"""`python -m monitor`: the same as the command `impulse-monitor`."""

from monitor.cli import main

main()

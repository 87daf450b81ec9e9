"""Watches machine-learning models tested in Edge Impulse Studio and alerts when they get worse."""

from importlib.metadata import version

__version__ = version("impulse-monitor")

"""Scheduled time for the trials: the tests' own."""

from __future__ import annotations

from tests.clock import START, Clock, Loop, run

__all__ = ["START", "Clock", "Loop", "run"]

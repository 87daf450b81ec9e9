"""Tests of what is known right now."""

"""Tests of what a person does on the pages, in a real browser."""

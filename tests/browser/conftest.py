"""A running service and a real browser for the tests of what a person does on the pages."""

from __future__ import annotations

from tests.web.conftest import browser, service, studio

__all__ = ["browser", "service", "studio"]

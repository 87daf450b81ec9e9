"""How an attempt to notify a receiver fails.

::

    MonitorError
    └── NotifyError     an attempt that failed; `str()` says where and why, without the secret parts of an address
        ├── Retry       the failure may pass: the message stays in its queue
        └── Rejected    the receiver refuses this message for good
"""

from __future__ import annotations

from monitor.errors import LONGEST_ERROR, MonitorError, quoted


class NotifyError(MonitorError):
    """An attempt that failed. Its text is one line without secrets: it goes to pages and the API."""

    def __init__(self, message: str) -> None:
        super().__init__(quoted(message, LONGEST_ERROR))


class Retry(NotifyError):
    """The attempt failed in a way that may pass; `delay` is for how many seconds the receiver asked to be left alone,
    if it did.
    """

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class Rejected(NotifyError):
    """The receiver refuses this message, and would again; `status` is the HTTP status, where there was one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

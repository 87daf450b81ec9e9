"""How an attempt to notify someone fails.

::

    MonitorError
    └── NotifyError     an attempt that failed; `str()` says where and why, without the secret parts of an address
        ├── Retry       it may pass: the message stays in its queue
        └── Rejected    it will not pass: the receiver refuses this message for good
"""

from __future__ import annotations

from monitor.errors import LONGEST_ERROR, MonitorError, quoted


class NotifyError(MonitorError):
    """An attempt that failed. Its text is one line without secrets: it goes to pages and the API."""

    def __init__(self, told: str) -> None:
        super().__init__(quoted(told, LONGEST_ERROR))


class Retry(NotifyError):
    """The attempt failed in a way that may pass; `delay` is for how many seconds the receiver asked to be left alone,
    if it did.
    """

    def __init__(self, told: str, delay: float | None = None) -> None:
        super().__init__(told)
        self.delay = delay


class Rejected(NotifyError):
    """The receiver refuses this message, and would again; `status` is the HTTP status, where there was one."""

    def __init__(self, told: str, status: int | None = None) -> None:
        super().__init__(told)
        self.status = status

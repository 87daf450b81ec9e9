"""How an attempt to notify a receiver fails.

::

    ForeignError
    └── NotifyError     an attempt that failed; `str()` says where and why, without the secret parts of an address
        ├── Retry       the failure may pass: the message stays in its queue
        └── Rejected    the receiver refuses this message for good
"""

from __future__ import annotations

from monitor.errors import ForeignError


class NotifyError(ForeignError):
    """An attempt that failed."""


class Retry(NotifyError):
    """The attempt failed in a way that may pass; `delay` is for how many seconds the receiver asked to be left alone,
    if it did.
    """

    def __init__(self, text: str, said: object = "", advice: str = "", *, delay: float | None = None) -> None:
        super().__init__(text, said, advice)
        self.delay = delay


class Rejected(NotifyError):
    """The receiver refuses this message, and would again; `status` is the HTTP status, where there was one."""

    def __init__(self, text: str, said: object = "", advice: str = "", *, status: int | None = None) -> None:
        super().__init__(text, said, advice)
        self.status = status

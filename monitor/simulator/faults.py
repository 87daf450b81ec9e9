"""What can go wrong, on demand: a `Fault` says which requests it meets and how often, an `Action` what then happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from monitor.simulator.project import Project


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this HTTP status; `retry_after` becomes that header, as seconds or as an HTTP date."""

    code: int
    error: str = "simulated failure"
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """HTTP 200 with `success: false` and this text: Studio's normal form of a failure."""

    error: str


@dataclass(frozen=True, slots=True)
class Body:
    """HTTP 200 with another body: HTML, wrong JSON, nothing."""

    content: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Truncate:
    """The true answer, cut off after this share of it (0..1), though its length was announced."""

    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset before any answer."""


@dataclass(frozen=True, slots=True)
class Delay:
    """So many seconds pass before whatever comes next."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Something happens to the project right after the answer was made: the result set changes while it is paged."""

    change: Callable[[Project], None]


@dataclass(frozen=True, slots=True)
class Edit:
    """The true answer, with its decoded JSON changed in place, or replaced by what is returned.

    It is written as Python's `json` writes it: lone surrogates, `NaN` and integers of any size are possible.
    """

    edit: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The true answer with its bytes changed: what no decoded JSON can hold, such as a byte-order mark."""

    rewrite: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Trickle:
    """The true answer, `size` bytes of it every so many seconds, as it is on the wire (gzipped where the client takes
    that).
    """

    seconds: float
    size: int = 1


@dataclass(frozen=True, slots=True)
class Stream:
    """HTTP 200 with a body of `size` bytes of blanks, in place of the answer; None never ends.

    `zipped` sends them as gzip, some eight hundred to each byte on the wire; the gzip stream breaks off with the body.
    """

    size: int | None = None
    zipped: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """The server does not honour `limit`: it serves at most `most` samples a page, or everything from `offset` on where
    `most` is None.
    """

    most: int | None = None


@dataclass(frozen=True, slots=True)
class RefuseLimit:
    """A `limit` above `most` is refused (`success: false` with HTTP 200), not capped."""

    most: int


@dataclass(frozen=True, slots=True)
class IgnoreOffset:
    """The server does not know `offset`: every page is the first."""


@dataclass(frozen=True, slots=True)
class IgnoreCategory:
    """The server does not know `category`: pages and jobs are of the testing samples, whatever was asked for."""


@dataclass(frozen=True, slots=True)
class NoTotal:
    """`totalCount` is absent."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A page's predictions are those of the samples `by` places further on, around the end: each comes once, on another
    page.
    """

    by: int = 1


@dataclass(frozen=True, slots=True)
class RepeatPredictions:
    """Every page holds the predictions of all samples that the query selects, not only of those on it."""


@dataclass(frozen=True, slots=True)
class NoPredictions:
    """`predictions` is empty although `result` is not."""


@dataclass(frozen=True, slots=True)
class Empty:
    """`success: true` with an empty result set."""


PageAction = (
    Limit
    | RefuseLimit
    | IgnoreOffset
    | IgnoreCategory
    | NoTotal
    | Elsewhere
    | RepeatPredictions
    | NoPredictions
    | Empty
)
Action = Status | Refuse | Body | Truncate | Reset | Delay | Change | Edit | Rewrite | Trickle | Stream | PageAction


@dataclass(slots=True, eq=False)
class Fault:
    """An action with the requests it meets.

    Attributes:
        action: What happens.
        call: Only this call, by its name in `shape.SHAPES`; None meets every call.
        project: Only this project's id.
        after: How many matching requests pass unharmed first: 1 meets the second one.
        times: How many requests are then met; None for all until the fault is removed.
        met: How many were met so far.
    """

    action: Action
    call: str | None = None
    project: int | None = None
    after: int = 0
    times: int | None = 1
    met: int = 0
    _seen: int = field(default=0, repr=False)

    def meets(self, call: str, project: int | None) -> bool:
        """Whether this request is met; counts it."""
        if self.call not in (None, call) or self.project not in (None, project):
            return False
        self._seen += 1
        if self._seen <= self.after or (self.times is not None and self.met >= self.times):
            return False
        self.met += 1
        return True

"""What the store takes and gives: plain values, without any SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.compare.comparison import Comparison
from monitor.errors import PullState
from monitor.figures.evaluation import FIGURES_VERSION, Evaluation
from monitor.results import FINGERPRINT_VERSION, ResultSet
from monitor.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class Versions:
    """Which formulas made what is stored of a run.

    Attributes:
        results: `FINGERPRINT_VERSION` of its result set.
        evaluation, comparison: `FIGURES_VERSION` of its figures and of its comparison.
    """

    results: int = FINGERPRINT_VERSION
    evaluation: int = FIGURES_VERSION
    comparison: int = FIGURES_VERSION

    @property
    def comparable(self) -> bool:
        """Whether result set and figures are of today's formulas, so that others of today can be compared with them."""
        return self.results == FINGERPRINT_VERSION and self.evaluation == FIGURES_VERSION


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one target.

    Attributes:
        target_id: `TargetKey.id`.
        started, finished: Unix seconds.
        state: How the pull ended. A *good* run is one with `ok`.
        fingerprint: Of its result set; None where the pull gave none.
        changed: Whether the result set differed from that of the good run before.
        last_change: Unix seconds when that last happened; None where it never did.
        trained: Unix seconds of the model's training; None where unknown.
        impulse_stale: Whether the data set changed since features were generated; None where unknown.
        evaluation: The figures; None where the pull gave none.
        comparison: With its baseline; None where there was none.
        selection: Which samples its filters took, in a short text; empty for all. Runs of different ones are not to be
            compared.
        error: What the pull failed with, in a sentence; empty where it did not.
        id: Given by the store; later runs have larger ones.
        versions: Given by the store; it writes what the formulas of today made.
        unreadable: Why figures or comparison are None although the store has them; None where it could read them.
    """

    target_id: str
    started: float
    finished: float
    state: PullState
    fingerprint: str | None = None
    changed: bool = False
    last_change: float | None = None
    trained: float | None = None
    impulse_stale: bool | None = None
    evaluation: Evaluation | None = None
    comparison: Comparison | None = None
    selection: str = ""
    error: str = ""
    id: int | None = None
    versions: Versions = field(default_factory=Versions)
    unreadable: StoreError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Packed:
    """A result set ready to be written; `data` is None where the store already has one of this fingerprint."""

    fingerprint: str
    data: bytes | None = field(repr=False)
    results: ResultSet = field(repr=False)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The run that a target is compared with.

    Attributes:
        target_id: Whose.
        mode: `pinned`, `previous`, `rolling`, or another purpose of the caller's; a target has at most one of each.
        run_id: The run.
        since: Unix seconds when it became the baseline.
        why: Who or what made it so, in a sentence.
    """

    target_id: str
    mode: str
    run_id: int
    since: float
    why: str


@dataclass(frozen=True, slots=True)
class State:
    """Opaque bytes that a caller keeps: one per (kind, target, key).

    Attributes:
        kind: Whose: `drift`, `alert`, ...
        target_id: Of which target; empty where of none.
        key: Which one, such as a block's id.
        value: The bytes.
        run_id: The run it is about: the state is removed with it. None where it stays until it is deleted.
    """

    kind: str
    target_id: str
    key: str
    value: bytes
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A notification on its way out.

    Attributes:
        receiver: Whose queue it stands in.
        subject: The alert's identity: messages of one subject arrive in their order.
        created: Unix seconds.
        payload: What is sent, in the notifier's own form.
        id: Given by the store; later messages of a subject have larger ones.
    """

    receiver: str
    subject: str
    created: float
    payload: bytes = field(repr=False)
    id: int | None = None

"""`DiscoveryHistory`: since when an entry's discoveries fail and its targets are watched, over restarts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from monitor.errors import PullState
from monitor.targets import Target


@dataclass(frozen=True, slots=True)
class DiscoveryHistory:
    """How an entry's discoveries went, and since when its targets are watched, over restarts: what alerts about
    failures count from.

    Attributes:
        since: Unix seconds of the last good discovery, or of the first that failed in a row.
        failing: Whether the last one failed.
        targets: Unix seconds since when each target that the last good one found is watched, by id.
        state: How the last one ended; None where an earlier release wrote it.
        error: What the last one failed with, in a sentence; empty where it did not.
    """

    since: float
    failing: bool = False
    targets: Mapping[str, float] = field(default_factory=dict)
    state: PullState | None = None
    error: str = ""

    def found(self, targets: Iterable[Target], known: Mapping[str, float], now: float) -> DiscoveryHistory:
        """After a good discovery; `known` says since when targets are watched that this history does not know."""
        began = {**known, **self.targets}
        since = {target.key.id: began.get(target.key.id, now) for target in targets}
        return DiscoveryHistory(now, failing=False, targets=since, state=PullState.OK)

    def failed(self, now: float, state: PullState, error: str) -> DiscoveryHistory:
        """After a discovery that failed: they may be far apart, so that failures count from the first one on."""
        return replace(self, since=self.since if self.failing else now, failing=True, state=state, error=error)

    @property
    def ended(self) -> PullState:
        """How the last discovery ended, as far as is known."""
        return self.state or (PullState.UNREACHABLE if self.failing else PullState.OK)

    def resuming(self, before: DiscoveryHistory) -> DiscoveryHistory:
        """As it is where `before` went before it."""
        targets = {
            target_id: min(began, before.targets.get(target_id, began)) for target_id, began in self.targets.items()
        }
        return replace(self, since=before.since if before.failing and self.failing else self.since, targets=targets)

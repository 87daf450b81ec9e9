"""`Project`: what Studio holds of one project; see `generated` and `recorded` for the two kinds."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.simulator.ground import Block
from monitor.simulator.render import Api, Record
from monitor.simulator.scenarios import Timeline

Role = Literal["admin", "readonly", "ingestiononly", "ingestion_deployment"]
Remedy = Literal["can_regenerate_model_summary", "should_rerun_full_job"]

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A model variant: `quality` and `jitter` (quantisation noise) in logits."""

    name: str
    quality: float = 0.0
    jitter: float = 0.0
    enabled: bool = True


FLOAT32 = Variant("float32")
INT8 = Variant("int8", quality=-0.15, jitter=0.15)


@dataclass(frozen=True, slots=True)
class Impulse:
    """An impulse; ids of its blocks start at ten times its own id plus 3."""

    id: int = 1
    name: str = "Impulse #1"
    quality: float = 0.0
    variants: tuple[Variant, ...] = (INT8,)

    def variant(self, name: str | None) -> Variant | None:
        """The enabled variant of that name; without a name the server chooses the first; None if there is none."""
        enabled = [variant for variant in self.variants if variant.enabled]
        return next((variant for variant in enabled if name in (None, variant.name)), None)


class Project(ABC):
    """One project with one key.

    Attributes:
        api_key: Like `ei_...`; made from id and name unless given.
        expires: Unix time in seconds at which the key expires; None for never.
        job_succeeds: How model-testing jobs end.
        timeline: Set by the `Studio` the project is put into.
        fresh_media: Whether signed URLs differ from reply to reply, as the real ones do.
        kept_models: Of how many trained variants the samples are kept once they were made.
    """

    def __init__(
        self,
        id: int,
        name: str,
        *,
        impulses: Sequence[Impulse] = (Impulse(),),
        api_key: str | None = None,
        role: Role = "readonly",
        expires: float | None = None,
        owner: str = "Edge Team",
        api: Api = "documented",
        timeline: Timeline | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self.impulses = tuple(impulses)
        self.api_key = api_key or "ei_" + hashlib.sha256(f"{id} {name}".encode()).hexdigest()
        self.role: Role = role
        self.expires = expires
        self.owner = owner
        self.api: Api = api
        self.job_succeeds = True
        self.fresh_media = True
        self.kept_models = 12
        self.timeline = timeline or Timeline()

    def impulse(self, impulse_id: int | None) -> Impulse | None:
        """The impulse of that id; the default one without an id."""
        return next((impulse for impulse in self.impulses if impulse_id in (None, impulse.id)), None)

    @property
    @abstractmethod
    def anomaly_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Labels that mean an anomaly and those that do not, where the project is set up so."""

    @abstractmethod
    def blocks(self, impulse: Impulse) -> tuple[Block, ...]:
        """The impulse's learning blocks."""

    @abstractmethod
    def trained(self) -> float:
        """Unix time in seconds of the last training."""

    @abstractmethod
    def is_stale(self) -> bool:
        """Whether the data set changed since features were generated."""

    @abstractmethod
    def records(self, impulse: Impulse, variant: Variant, category: str) -> Sequence[Record] | None:
        """The result set in ascending order of sample id; None where there are no results."""

    @abstractmethod
    def tested(self, category: str = "testing", *, features: bool = True) -> None:
        """A job has brought the results of a category back; a model-testing job also generates the features again."""

    def thresholds_changed(self, category: str) -> Remedy | None:
        """What brings the results back where a change of thresholds took them away; None where it did not."""
        return None

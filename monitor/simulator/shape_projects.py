"""The documented shape of the replies about projects, impulses, keys and jobs: the fields that a reader relies on, and
those sent along.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from monitor.simulator.shape_base import LearnBlock, Reply, Strict


class InputBlock(Strict):
    """An impulse's input."""

    id: int
    type: str
    name: str
    title: str


class DspBlock(Strict):
    """An impulse's signal processing."""

    id: int
    type: str
    name: str
    title: str
    axes: list[str]


class Impulse(Strict):
    """One impulse."""

    id: int
    name: str
    input_blocks: list[InputBlock]
    dsp_blocks: list[DspBlock]
    learn_blocks: list[LearnBlock]


class Impulses(Reply, kw_only=True):
    """`impulses`."""

    impulses: list[Impulse]


class ImpulseState(Strict):
    """One impulse with its state."""

    impulse: Impulse
    is_stale: bool
    configured: bool
    complete: bool
    tags: list[str]


class ImpulseStates(Reply, kw_only=True):
    """`impulses-detailed`."""

    impulses: list[ImpulseState]


class Variant(Strict):
    """One model variant."""

    variant: Literal["int8", "float32", "akida"]
    is_reference_variant: bool
    is_enabled: bool
    is_selected: bool


class Variants(Reply, kw_only=True):
    """`model-variants`."""

    model_variants: list[Variant]


class Project(Strict):
    """A project."""

    id: int
    name: str
    description: str
    created: datetime
    owner: str


class AnomalyLabels(Strict):
    """Which labels mean an anomaly."""

    anomaly_labels: list[str]
    no_anomaly_labels: list[str]


class ProjectInfo(Reply, kw_only=True):
    """`GET /api/{projectId}`."""

    project: Project
    default_impulse_id: int | None = None
    anomaly_labels_config: AnomalyLabels | None = None


class KeyInfo(Reply, kw_only=True):
    """`api-key-info`."""

    api_key_id: int
    project_id: int
    role: Literal["admin", "readonly", "ingestiononly", "ingestion_deployment"]
    expires: datetime | None = None


class LastModification(Reply, kw_only=True):
    """`last-modification`."""

    last_modification_date: datetime


class TrainingMetadata(Reply, kw_only=True):
    """`training/{keras,anomaly}/{learnId}/metadata`."""

    created: datetime


class JobStarted(Reply, kw_only=True):
    """`POST jobs/classify`, and of a new summary."""

    id: int


class Job(Strict):
    """A job; `finished` and `finishedSuccessful` are absent while it runs."""

    id: int
    category: str
    key: str
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    finished_successful: bool | None = None


class JobStatus(Reply, kw_only=True):
    """`jobs/{jobId}/status`."""

    job: Job

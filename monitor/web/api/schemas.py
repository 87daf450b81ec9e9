"""The types of the API's answers and queries, as the OpenAPI document has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from monitor.compare.comparison import Comparison
from monitor.compare.side_kinds import KINDS, VARIANT_KINDS
from monitor.errors import PullState
from monitor.figures.evaluation import Evaluation
from monitor.figures.groups import UnitChoice
from monitor.figures.headline import METRICS, Headline
from monitor.views.frames import Frame
from monitor.views.samples import PAGE
from monitor.views.service_problems import Kind
from monitor.views.standing import State
from monitor.views.wanted import SORTS
from monitor.web.api.queries import LIMIT, MOST, MOST_LABELS, MOST_PAGES

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Json = Any
Empty = Literal[""]
"""What a form sends for a choice that was left open."""
Digits = Annotated[int, Field(ge=1, le=MOST)]
SampleKind = Annotated[str, Field(json_schema_extra={"enum": [*KINDS, *VARIANT_KINDS]})]


class Problem(TypedDict):
    """Something that is the matter with the service."""

    kind: Kind
    severity: Literal["error", "warning"]
    title: str
    details: list[str]
    advice: str
    since: Time | None
    receiver: str | None


class Status(TypedDict):
    """The service itself."""

    ready: bool
    unready: str | None
    problems: list[Problem]


class AlertCounts(TypedDict):
    """How many alerts a target has."""

    firing: int
    pending: int


class Model(TypedDict):
    """How a target's model stands beside its baseline."""

    state: State
    reason: str | None
    remedy: str | None
    headline: str | None
    change: float | None
    cause: str | None


class Target(TypedDict):
    """A target with what is known of it."""

    id: str
    project: str
    project_id: int
    impulse: str
    impulse_id: int
    variant: str
    category: str
    labels: Mapping[str, str]
    url: str | None
    state: PullState | None
    error: str | None
    last_pull: NotRequired[Time | None]
    last_success: NotRequired[Time | None]
    last_change: NotRequired[Time | None]
    stale: NotRequired[bool | None]
    fingerprint: NotRequired[str | None]
    trained: NotRequired[Time | None]
    impulse_stale: NotRequired[bool | None]
    samples: NotRequired[int | None]
    windows: NotRequired[int | None]
    figures: Mapping[str, Headline]
    units: Mapping[str, UnitChoice]
    comparison: Comparison | None
    model: Model
    alerts: AlertCounts


class Project(TypedDict):
    """The last discovery of a project."""

    project_id: int
    state: PullState | None
    key_expires: Time | None


class Targets(TypedDict):
    """Targets, as asked for; how many models stand how is of all of them."""

    targets: list[Target]
    total: int
    page: int
    pages: int
    tally: Mapping[str, int]
    projects: list[Project]
    store_problem: str | None


Word = Annotated[str, Field(description="Words, each of which must be in a name, an id or a label.")]
ProjectName = Annotated[str, Field(description="Name or id of the project.")]
LabelPairs = Annotated[
    list[Annotated[str, Field(pattern=r"^([^:]+:[\s\S]+)?$")]],
    Field(description="`key:value`; all of them must hold.", max_length=MOST_LABELS),
]
PageNumber = Annotated[int, Field(ge=1, le=MOST_PAGES, description="Which page; default 1.")]
PageSize = Annotated[Digits, Field(description="How many on a page; all where neither this nor `page` is given.")]


class TargetsQuery(TypedDict, total=False):
    """Which targets, in which order."""

    q: Word
    state: Annotated[list[State | Empty], Field(description="Any of these.")]
    project: ProjectName
    label: LabelPairs
    pull: Annotated[Literal["ok", "failing"] | Empty, Field(description="How the last pull ended.")]
    sort: Annotated[
        str,
        Field(
            description="The order; with a minus the other way round.",
            json_schema_extra={"enum": ["", *(sign + name for name in SORTS for sign in ("", "-"))]},
        ),
    ]
    page: PageNumber
    limit: PageSize


class Run(TypedDict):
    """One run of a target; each headline figure is there by its name."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        json_schema_extra=lambda schema: schema["properties"].update(
            {name: {"type": ["number", "null"]} for name in METRICS}
        )
    )

    run: int
    target: str
    state: PullState
    error: str | None
    started: Time | None
    finished: Time | None
    last_seen: Time | None
    times: int
    trained: Time | None
    changed: bool
    fingerprint: str | None
    samples: int | None
    windows: int | None
    impulse_stale: bool | None
    evaluation: Evaluation | None
    comparison: Comparison | None


class Runs(TypedDict):
    """Runs of a target, newest first."""

    runs: list[Run]


class RunsQuery(TypedDict, total=False):
    """Which runs."""

    since: Annotated[
        str,
        Field(
            description="Only runs seen since then: a duration before now, or a time with its zone.",
            examples=["7d", "2026-01-31T12:00:00Z"],
        ),
    ]
    limit: Annotated[Digits, Field(description=f"How many at most, the newest; default {LIMIT}.")]


class Sample(TypedDict):
    """A window that changed sides; of lists of variants `…_reference` stands for `…_before`."""

    id: int
    filename: str | None
    start_ms: float | None
    end_ms: float | None
    label: str | None
    prediction: str | None
    confidence: float | None
    label_before: NotRequired[str | None]
    prediction_before: NotRequired[str | None]
    confidence_before: NotRequired[float | None]
    label_reference: NotRequired[str | None]
    prediction_reference: NotRequired[str | None]
    confidence_reference: NotRequired[float | None]
    looks_like: str | None
    self_confidence: float | None
    url: str
    frame: NotRequired[Frame | None]


SampleList = TypedDict(
    "SampleList",
    {
        "target": str,
        "kind": SampleKind,
        "class": str | None,
        "baseline": str | None,
        "current": str | None,
        "against": str | None,
        "counts": Mapping[str, int],
        "suspect_labels": Mapping[str, int],
        "listed": int,
        "samples": list[Sample],
        "next": str | None,
    },
)


class CellOfSamples(TypedDict):
    """The windows of a cell of the confusion matrix."""

    target: str
    label: str
    prediction: str
    current: str
    count: int
    samples: list[Sample]
    next: str | None


Samples = SampleList | CellOfSamples

_Kind = Annotated[SampleKind, Field(description="How they changed sides.")]
_Class = Annotated[str, Field(description="Only with this label or prediction, then or now.")]
_After = Annotated[str, Field(description="`next` of the page before.")]
_Label = Annotated[str, Field(description="With `prediction`, a cell of the confusion matrix instead of a list.")]
_Prediction = Annotated[str, Field(description="With `label`, a cell of the confusion matrix instead of a list.")]
Range = Annotated[Literal["24h", "7d", "30d", "all"], Field(description="How far back.")]

SamplesQuery = TypedDict(
    "SamplesQuery",
    {
        "kind": _Kind,
        "class": _Class,
        "limit": Annotated[Digits, Field(description=f"How many windows at most; default {PAGE}.")],
        "after": _After,
        "label": _Label,
        "prediction": _Prediction,
        "format": Annotated[Literal["json", "csv"], Field(description="Default: json.")],
    },
    total=False,
)
SamplesPageQuery = TypedDict(
    "SamplesPageQuery",
    {"kind": _Kind, "class": _Class, "after": _After, "label": _Label, "prediction": _Prediction},
    total=False,
)
TargetPageQuery = TypedDict(
    "TargetPageQuery",
    {
        "kind": _Kind,
        "class": _Class,
        "after": _After,
        "range": Range,
        "metric": Annotated[
            str, Field(description="What the history draws.", json_schema_extra={"enum": ["", *METRICS]})
        ],
    },
    total=False,
)


class Alert(TypedDict):
    """An alert as Prometheus's API has it, and more."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: Literal["pending", "firing", "resolved"]
    activeAt: Time | None
    value: float | None
    firedAt: Time | None
    resolvedAt: Time | None
    target: str
    details: Mapping[str, Json]
    generatorURL: str | None


class Alerts(TypedDict):
    """The alerts that fire, are pending, or were resolved within a day."""

    alerts: list[Alert]


class Pulled(TypedDict):
    """What is pulled now."""

    target: str


class RunNumber(TypedDict, total=False):
    """Which run is to be the baseline; the last good one by default."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    run: Annotated[int, Field(gt=0, lt=2**63)] | None


class Baseline(TypedDict):
    """The run that a target is compared with."""

    target: str
    mode: str
    run: int
    since: Time | None
    why: str
    finished: Time | None
    values: Mapping[str, float]
    changes: list[Json]
    notes: list[str]


class Pinned(TypedDict):
    """What is the pinned baseline from now on."""

    baseline: Baseline | None


class Unpinned(TypedDict):
    """Whether there was a pinned baseline."""

    baseline: None
    cleared: bool


class Tested(TypedDict):
    """What became of a test message."""

    receiver: str
    delivered: bool
    error: str | None


class FormToken(TypedDict, total=False):
    """What every form of a session has; who sends the admin token needs none."""

    csrf: str


class PinForm(FormToken):
    """The form that pins a run; without a number the last good one."""

    run: NotRequired[Annotated[int, Field(gt=0, lt=2**63)]]


class LoginForm(FormToken):
    """The form of the login."""

    token: str
    next: NotRequired[str]

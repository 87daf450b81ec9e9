"""The types of the API's answers and queries about events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from monitor.views.wanted import PHASES
from monitor.web.api.queries import SEVERITIES
from monitor.web.api.schemas import Digits, Empty, Json, LabelPairs, PageNumber, ProjectName, Time, Word

Phase = Annotated[str, Field(json_schema_extra={"enum": list(PHASES)})]


class WrongSamples(TypedDict):
    """How many samples of a target are wrong now, and how many of them look mislabelled."""

    target: str
    kind: str
    count: int
    suspect_labels: int


class NotificationStatus(TypedDict):
    """What became of a message to a receiver."""

    receiver: str
    status: str | None
    outcome: str
    at: Time | None
    why: str | None


class EventAlert(TypedDict):
    """An alert of an event."""

    alertname: str
    target: str
    state: Phase
    severity: str
    began: Time | None
    ended: Time | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    details: Mapping[str, Json]
    ending: str | None
    generatorURL: str | None
    notifications: list[NotificationStatus]


class Event(TypedDict):
    """What one cause led to."""

    id: str
    cause_id: str
    kind: Literal["training", "data", "target"]
    state: Phase
    severity: str
    began: Time | None
    ended: Time | None
    targets: list[str]
    why: str | None
    trained: Time | None
    samples: list[WrongSamples]
    runbook_url: str | None
    studio_url: str | None
    url: str | None
    alerts: list[EventAlert]


class Events(TypedDict):
    """Events, as asked for."""

    events: list[Event]
    total: int
    page: int
    pages: int
    store_problem: str | None


class FoundEvents(TypedDict):
    """One event, or all of a cause."""

    events: list[Event]


class EventsQuery(TypedDict, total=False):
    """Which events."""

    q: Word
    state: Annotated[list[Phase | Empty], Field(description="Any of these.")]
    project: ProjectName
    label: LabelPairs
    severity: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": ["", *SEVERITIES]})]], Field(description="Any of these.")
    ]
    since: Annotated[
        str,
        Field(description="Those that fired since then: a duration before now, or a time with its zone."),
    ]
    page: PageNumber
    limit: Annotated[Digits, Field(description="How many on a page.")]

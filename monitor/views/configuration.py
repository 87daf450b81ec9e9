"""The running configuration for people and programs: what it is, where it came from, and what was refused since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from monitor.config import Loaded, Problem
from monitor.config.shown import shown
from monitor.notify import ReceiverStatus
from monitor.views.report import moment
from monitor.views.service_problems import Rejection


@dataclass(frozen=True, slots=True)
class WebConfiguration:
    """TLS and passwords of the HTTP endpoint.

    Attributes:
        path: Of the web configuration; None for none.
        tls: Whether the endpoint speaks TLS.
        client_certificates: Whether it asks clients for certificates.
        users: How many users there are; with 0 nobody needs a password.
        expires: Unix seconds when the certificate does; None without TLS.
        rejection: Why its last edit was refused; None where it was not.
    """

    path: Path | None
    tls: bool
    client_certificates: bool
    users: int
    expires: float | None
    rejection: Rejection | None


@dataclass(frozen=True, slots=True)
class Running:
    """The running configuration.

    Attributes:
        loaded: It.
        digest: sha256 over the content of its files.
        since: Unix seconds when it was read.
        rejection: Why a later edit was refused; None where none was.
        need_restart: Sections that were changed since the start, and need another one.
        receivers: How each receiver does.
        web: TLS and passwords.
    """

    loaded: Loaded
    digest: str
    since: float
    rejection: Rejection | None
    need_restart: Sequence[str]
    receivers: Sequence[ReceiverStatus]
    web: WebConfiguration


class ProblemDocument(TypedDict):
    """What is wrong at one place of a file, and what to write."""

    file: str
    line: int
    key: str
    message: str


class RejectionDocument(TypedDict):
    """An edit that was refused: what was read before still holds."""

    since: str | None
    problems: list[ProblemDocument]
    more: int


class ReceiverDocument(TypedDict):
    """A receiver, and what became of the last message to it."""

    name: str
    kind: str
    state: str
    last_delivered: str | None
    failing_since: str | None
    error: str | None
    waiting: int


class WebConfigurationDocument(TypedDict):
    """TLS and passwords of the HTTP endpoint."""

    file: str | None
    tls: bool
    client_certificates: bool
    users: int
    certificate_expires: str | None
    rejected: RejectionDocument | None


class ConfigurationDocument(TypedDict):
    """The running configuration."""

    files: list[str]
    digest: str
    since: str | None
    need_restart: list[str]
    warnings: list[ProblemDocument]
    unreadable: list[ProblemDocument]
    rejected: RejectionDocument | None
    receivers: list[ReceiverDocument]
    web: WebConfigurationDocument
    running: Mapping[str, Any]


def configuration_as_json(found: Running) -> ConfigurationDocument:
    """It as JSON values, without secrets. Blocks for some milliseconds with hundreds of projects."""
    loaded = found.loaded
    return {
        "files": [str(path) for path in loaded.files],
        "digest": found.digest,
        "since": moment(found.since),
        "need_restart": list(found.need_restart),
        "warnings": [_problem(each) for each in loaded.warnings],
        "unreadable": [_problem(each) for each in loaded.unreadable],
        "rejected": _rejection(found.rejection),
        "receivers": _receivers(found),
        "web": {
            "file": None if found.web.path is None else str(found.web.path),
            "tls": found.web.tls,
            "client_certificates": found.web.client_certificates,
            "users": found.web.users,
            "certificate_expires": moment(found.web.expires),
            "rejected": _rejection(found.web.rejection),
        },
        "running": shown(loaded),
    }


def _rejection(rejection: Rejection | None) -> RejectionDocument | None:
    if rejection is None:
        return None
    return {
        "since": moment(rejection.since),
        "problems": [_problem(each) for each in rejection.places],
        "more": len(rejection.problems) - len(rejection.places),
    }


def _problem(problem: Problem) -> ProblemDocument:
    return {"file": str(problem.path), "line": problem.line, "key": problem.key, "message": problem.message}


def _receivers(found: Running) -> list[ReceiverDocument]:
    kinds = {each.receiver_name: each.kind for each in found.loaded.config.notify}
    return [_receiver(each, kinds.get(each.receiver, "")) for each in found.receivers]


def _receiver(status: ReceiverStatus, kind: str) -> ReceiverDocument:
    failing = status.failing
    state = "not used yet" if status.delivered is None else "delivered"
    return {
        "name": status.receiver,
        "kind": kind,
        "state": state if failing is None else "failing",
        "last_delivered": moment(status.delivered),
        "failing_since": moment(failing.since) if failing else None,
        "error": failing.why if failing else None,
        "waiting": status.waiting,
    }

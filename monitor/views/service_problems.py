"""`ServiceProblem`: a problem of the service itself, shown by the status page and the API. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from monitor.config import Problem
from monitor.errors import LONGEST_PROBLEM, quoted
from monitor.net.tls import expiry_text
from monitor.notify import FailingReceiver
from monitor.store import StoreError

PROBLEMS_SHOWN = 20
"""Problems of a rejected file that are shown; the log, and `impulse-monitor check`, have all."""

Kind = Literal["store", "receiver", "certificate", "web_config", "config", "no_receiver", "fleet"]
"""A closed set: programs tell problems apart by it."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A file that was read again and is invalid, so that what was read before still holds.

    Attributes:
        problems: Why, each with its path and line.
        places: The first of them, with path, line and key apart.
        since: Unix seconds when it was first rejected in a row.
    """

    problems: tuple[str, ...]
    since: float
    places: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, problems: Iterable[object], now: float, before: Rejection | None) -> Rejection:
        """One more, after `before` where the file was rejected already."""
        found = list(problems)
        return cls(
            tuple(quoted(problem, LONGEST_PROBLEM) for problem in found),
            before.since if before else now,
            tuple(problem for problem in found[:PROBLEMS_SHOWN] if isinstance(problem, Problem)),
        )


@dataclass(frozen=True, slots=True)
class ServiceProblem:
    """One problem of the service.

    Attributes:
        kind: What with.
        severity: `error` where something does not work, `warning` where it may not be meant.
        title: What, in a few words.
        details: Why, a line each, without secrets.
        advice: What to do, in a sentence.
        since: Unix seconds; None where that is not known.
        receiver: Name of the receiver that it is about; None where it is about none.
    """

    kind: Kind
    severity: Literal["error", "warning"]
    title: str
    details: tuple[str, ...]
    advice: str
    since: float | None = None
    receiver: str | None = None


@dataclass(frozen=True, slots=True)
class FleetProblems:
    """What may be the matter with a fleet.

    Attributes:
        away: Whether this process has no connection to the others.
        workers: How many processes take turns; None where that is not known.
        differing: The processes whose configuration is not that of the one that leads, as `role on host`.
    """

    away: bool
    workers: int | None
    differing: tuple[str, ...] = ()


StoreProblem = tuple[StoreError | None, float | None]
"""Why something of the store does not work, and Unix seconds since when; None and None where it does."""


def service_problems(
    *,
    store: StoreProblem,
    unrecorded: StoreProblem = (None, None),
    failing: Iterable[FailingReceiver],
    certificate: float | None,
    web_config: Rejection | None,
    config: Rejection | None,
    no_receiver: bool,
    now: float,
    fleet: FleetProblems | None = None,
) -> tuple[ServiceProblem, ...]:
    """The problems, the worst first.

    Args:
        store: Why the store cannot be used.
        unrecorded: Why the last run could not be written, although the store can be used.
        failing: The receivers that do not get their messages.
        certificate: Unix seconds when the service's own certificate expires; None without TLS.
        web_config: Why the web configuration was rejected; None where it was not.
        config: The same of the configuration.
        no_receiver: Whether there are alerts, but no receiver.
        now: Unix seconds.
        fleet: What is the matter with the fleet; None where there is none.
    """
    found = [
        *_of_store(store, unrecorded),
        *map(_of_receiver, failing),
        *_of_certificate(certificate, now),
        *_of_file(
            "web_config", "The web configuration was rejected: users, TLS and headers stay as they were", web_config
        ),
        *_of_file("config", "The configuration was rejected: the one before is running", config),
        *(_of_fleet(fleet) if fleet is not None else ()),
    ]
    if no_receiver:
        details = ("No receiver is configured: alerts are shown here and exported, and that is all.",)
        advice = "Write one below notify in the configuration, such as `- alertmanager: {url: http://127.0.0.1:9093}`."
        found.append(ServiceProblem("no_receiver", "warning", "Nobody is notified of alerts", details, advice))
    return tuple(sorted(found, key=lambda problem: problem.severity == "warning"))


def _of_store(store: StoreProblem, unrecorded: StoreProblem) -> Iterator[ServiceProblem]:
    title = "The store cannot be used: no comparison, no history, no new baseline, no alert"
    advice = "Pulls go on and figures are exported; the rest goes on once the store can be used again."
    problem, since = store
    if problem is None:
        title = "The last run could not be recorded: it is not in the history, and its alert rules were not checked"
        advice = "Fix the cause; the next run is recorded once the store accepts writes again."
        problem, since = unrecorded
    if problem is not None:
        yield ServiceProblem("store", "error", title, (quoted(problem, LONGEST_PROBLEM),), advice, since)


def _of_receiver(failing: FailingReceiver) -> ServiceProblem:
    details = [failing.why]
    if failing.waiting:
        details.append(
            f"{failing.waiting} {'message waits' if failing.waiting == 1 else 'messages wait'}, and will be sent by "
            "itself."
        )
    advice = f"Fix the cause, then try the receiver with `impulse-monitor notify test {shlex.quote(failing.receiver)}`."
    return ServiceProblem(
        "receiver",
        "error",
        f"Receiver {failing.receiver} is not notified of alerts",
        tuple(details),
        advice,
        failing.since,
        failing.receiver,
    )


def _of_certificate(expires: float | None, now: float) -> Iterator[ServiceProblem]:
    if expires is not None and (text := expiry_text(expires, now)):
        expired = expires <= now
        title = "The service's own certificate has expired" if expired else "The service's own certificate expires soon"
        advice = "The files are looked at every few seconds: no restart is needed."
        since = expires if expired else None
        yield ServiceProblem("certificate", "error" if expired else "warning", title, (f"It {text}.",), advice, since)


def _of_fleet(fleet: FleetProblems) -> Iterator[ServiceProblem]:
    if fleet.away:
        title = "This process has no connection to the fleet: it takes no turns, and what it shows may be old"
        advice = "See whether PostgreSQL can be reached from here; the connection is tried again by itself."
        yield ServiceProblem("fleet", "error", title, (), advice)
    elif fleet.workers == 0:
        title = "The fleet has no worker: nothing is pulled"
        advice = "Start `impulse-monitor run --role worker`, or `--role all`, with this configuration."
        yield ServiceProblem("fleet", "error", title, (), advice)
    if fleet.differing:
        title = "Processes of the fleet have different configurations: that of the one that leads counts"
        details = tuple(f"Another configuration: {each}." for each in fleet.differing[:PROBLEMS_SHOWN])
        advice = "Give all of them the same files; while a new one is rolled out this is to be expected."
        yield ServiceProblem("fleet", "warning", title, details, advice)


def _of_file(kind: Kind, title: str, rejection: Rejection | None) -> Iterator[ServiceProblem]:
    if rejection is not None:
        details = rejection.problems[:PROBLEMS_SHOWN]
        if more := len(rejection.problems) - len(details):
            details = (*details, f"and {more} more")
        advice = "Fix these lines; the file is read again when it changes, and at SIGHUP."
        yield ServiceProblem(kind, "error", title, details, advice, rejection.since)


def failing_receivers(problems: Iterable[ServiceProblem]) -> dict[str, str]:
    """Why receivers do not get their messages, by name."""
    return {problem.receiver: problem.details[0] for problem in problems if problem.receiver and problem.details}

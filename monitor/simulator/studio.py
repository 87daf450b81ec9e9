"""`Studio`: the state behind the server. Projects, the timeline, faults, jobs, and what was asked of it."""

from __future__ import annotations

import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from monitor.simulator.faults import Action, Fault
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.ground import Ground
from monitor.simulator.project import Project
from monitor.simulator.scenarios import Timeline


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was received.

    Attributes:
        time: By the studio's clock, in Unix seconds.
        call: Its name in `shape.SHAPES`; `unknown` for a path that is none.
        project: The project's id in the path, if any.
        key: `valid`, `foreign` (another project's), `expired`, `wrong` or `missing`.
        faults: The actions it met.
    """

    time: float
    method: str
    call: str
    path: str
    project: int | None
    query: dict[str, str]
    key: str
    faults: tuple[Action, ...]


@dataclass(slots=True)
class Job:
    """A job of an impulse (None: the default one) and variants (None: Studio's choice); `ends` is Unix time in seconds.

    `features` is False for a job that only computes a new summary after thresholds changed.
    """

    id: int
    project: Project
    impulse_id: int | None
    variants: tuple[str, ...] | None
    created: float
    ends: float
    successful: bool
    category: str = "testing"
    features: bool = True
    applied: bool = False


class Studio:
    """Everything the simulated Studio holds. Change it freely between requests, from the event loop's thread.

    Args:
        projects: With ids and keys of their own.
        interval: Seconds per step of the scenarios.
        clock: Unix time in seconds.
        validate: Check every unharmed reply against the documented shape; one that fails is answered with 500.
        latency: Seconds each request takes at least.
        zips: Whether replies are compressed where the client takes it.
        job_seconds: How long a model-testing job runs.
        etags: Whether pages of results get a version, an `ETag`: `strong`, `weak`, `constant` (strong, and the same
            whatever they hold) or none. A request that names the version of its page gets 304 without a body.

    Attributes:
        not_modified: How many requests got that.
        requests: The last 100,000 requests.
        most_in_flight, most_in_flight_by_key: The largest numbers of requests that were open at one time.

    Raises:
        ValueError: Two projects share an id or a key.
    """

    def __init__(
        self,
        projects: Iterable[Project] = (),
        *,
        interval: float = 5.0,
        clock: Callable[[], float] = time.time,
        validate: bool = False,
        latency: float = 0.0,
        zips: bool = True,
        job_seconds: float = 10.0,
        etags: str = "",
    ) -> None:
        self.timeline = Timeline(interval, clock)
        self.validate = validate
        self.latency = latency
        self.zips = zips
        self.job_seconds = job_seconds
        self.etags = etags
        self.not_modified = 0
        self.projects: dict[int, Project] = {}
        self.faults: list[Fault] = []
        self.requests: deque[Request] = deque(maxlen=100_000)
        self.jobs: dict[int, Job] = {}
        self.most_in_flight = 0
        self.most_in_flight_by_key: Counter[str] = Counter()
        self._in_flight = 0
        self._in_flight_by_key: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        for project in projects:
            self.add(project)

    def add(self, project: Project) -> None:
        """Put a project in; it follows this studio's timeline from now on."""
        if project.id in self.projects or project.api_key in {other.api_key for other in self.projects.values()}:
            raise ValueError(f"project {project.id} has an id or a key that another one has")
        project.timeline = self.timeline
        self.projects[project.id] = project

    def generated(self, project_id: int) -> GeneratedProject:
        """The generated project of that id.

        Raises:
            KeyError: No such project, or a recorded one.
        """
        project = self.projects[project_id]
        if not isinstance(project, GeneratedProject):
            raise KeyError(project_id)
        return project

    def ground(
        self, project_id: int, impulse_id: int | None = None, variant: str | None = None, category: str = "testing"
    ) -> Ground | None:
        """What is true of a generated project right now; None where there are no results."""
        return self.generated(project_id).ground(impulse_id, variant, category)

    def now(self) -> float:
        """Unix time in seconds by the studio's clock."""
        return self.timeline.clock()

    def fail(
        self, action: Action, call: str | None = None, project: int | None = None, after: int = 0, times: int | None = 1
    ) -> Fault:
        """Add a fault, by default for the next matching request; see `Fault`."""
        fault = Fault(action, call, project, after, times)
        self.faults.append(fault)
        return fault

    def heal(self, fault: Fault | None = None) -> None:
        """Remove a fault, or all."""
        self.faults = [] if fault is None else [other for other in self.faults if other is not fault]

    def meet(self, call: str, project: int | None) -> tuple[Action, ...]:
        """The actions that this request meets, in the order the faults were added."""
        return tuple(fault.action for fault in self.faults if fault.meets(call, project))

    def calls(self, call: str | None = None, project: int | None = None) -> list[Request]:
        """The recorded requests of that call and project."""
        return [r for r in self.requests if call in (None, r.call) and project in (None, r.project)]

    @contextmanager
    def in_flight(self, key: str) -> Iterator[None]:
        """Count a request as open."""
        self._in_flight += 1
        self._in_flight_by_key[key] += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        self.most_in_flight_by_key[key] = max(self.most_in_flight_by_key[key], self._in_flight_by_key[key])
        try:
            yield
        finally:
            self._in_flight -= 1
            self._in_flight_by_key[key] -= 1

    def start_job(
        self,
        project: Project,
        impulse_id: int | None = None,
        variants: tuple[str, ...] | None = None,
        category: str = "testing",
        *,
        summary_only: bool = False,
    ) -> Job:
        """Start model testing; or, in a tenth of the time, only a new summary of what it found."""
        now = self.now()
        ends = now + self.job_seconds * (0.1 if summary_only else 1.0)
        job = Job(
            next(self._numbers),
            project,
            impulse_id,
            variants,
            now,
            ends,
            project.job_succeeds,
            category,
            not summary_only,
        )
        self.jobs[job.id] = job
        return job

    def settle_jobs(self) -> None:
        """Let the jobs that have ended take effect: a successful one brings results back."""
        for job in self.jobs.values():
            if not job.applied and self.now() >= job.ends:
                job.applied = True
                if job.successful:
                    job.project.tested(job.category, features=job.features)

    def sequence(self) -> int:
        """A number that no one had before."""
        return next(self._numbers)

"""Every fault and every scenario under a name, so that anyone can switch it on: `impulse-monitor simulate --fault
swap@101`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monitor.simulator import edits, faults, scenarios
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.project import Project
from monitor.simulator.scenarios import Scenario
from monitor.simulator.studio import Studio


@dataclass(frozen=True, slots=True)
class NamedFault:
    """A fault with its usual settings.

    Attributes:
        about: What a client meets.
        make: Gives the action.
        call, after, times: As in `Fault`.
    """

    about: str
    make: Callable[[], faults.Action]
    call: str | None = "result/page"
    after: int = 0
    times: int | None = None


@dataclass(frozen=True, slots=True)
class NamedScenario:
    """A scenario with its usual settings, for a given project."""

    about: str
    make: Callable[[GeneratedProject], Scenario]


def _swap(project: Project) -> None:
    """Let the second quarter of the test set leave, and as many others come."""
    if isinstance(project, GeneratedProject):
        quarter = project.size() // 4
        project.swap(quarter, after=quarter)


def _add(project: Project) -> None:
    if isinstance(project, GeneratedProject):
        project.add(1)


def _side_type(name: str) -> NamedFault:
    side = edits.SIDE_TYPES[name]
    rule = "its value is still clear" if side.same else "its value is lost"
    return NamedFault(f"`{side.field}` has another JSON type: {rule}", lambda: edits.side_types(name), side.call)


FAULTS: dict[str, NamedFault] = {
    # paging
    "swap": NamedFault(
        "after the second page a quarter of the set leaves and as many others come: `totalCount` and first page stay",
        lambda: faults.Change(_swap),
        after=1,
        times=1,
    ),
    "growing-while-paging": NamedFault("a sample comes in after every page", lambda: faults.Change(_add)),
    "capped-limit": NamedFault("pages hold at most 50 samples, whatever `limit` says", lambda: faults.Limit(50)),
    "limit-ignored": NamedFault("every page holds everything from `offset` on", lambda: faults.Limit(None)),
    "refused-limit": NamedFault("a `limit` above 100 is refused", lambda: faults.RefuseLimit(100)),
    "offset-ignored": NamedFault("every page is the first", faults.IgnoreOffset),
    "no-total": NamedFault("`totalCount` is absent", faults.NoTotal),
    "repeated-predictions": NamedFault("every page holds the predictions of all samples", faults.RepeatPredictions),
    "predictions-elsewhere": NamedFault(
        "predictions come on other pages than their samples", lambda: faults.Elsewhere(7)
    ),
    "no-predictions": NamedFault("`predictions` is empty, `result` is not", faults.NoPredictions),
    "empty": NamedFault("the call succeeds without any result", faults.Empty),
    "category-ignored": NamedFault(
        "testing samples come, and are tested, whatever `category` says", faults.IgnoreCategory, call=None
    ),
    "other-category": NamedFault("every third sample says that it is a training sample", edits.other_category),
    # content
    "surrogates": NamedFault(
        "a lone surrogate ends file name, device and project name",
        lambda: edits.surrogates("filename", "deviceName", "projectName"),
    ),
    "surrogate-labels": NamedFault("a lone surrogate ends every label", lambda: edits.surrogates("label")),
    "byte-order-mark": NamedFault("the body begins with a byte-order mark", edits.byte_order_mark),
    "escaped": NamedFault("every character beyond ASCII is escaped", edits.escaped),
    "nested": NamedFault("an unknown field is 5,000 lists deep", edits.nested),
    "side-types": NamedFault("all side fields have another JSON type at once", edits.side_types),
    "no-last-layer": NamedFault(
        "`objectDetectionLastLayer` is absent", lambda: edits.without("objectDetectionLastLayer")
    ),
    "no-max-score": NamedFault("`maxScore` is absent", lambda: edits.without("maxScore")),
    "no-thresholds": NamedFault("`thresholds` is absent", lambda: edits.without("thresholds")),
    "no-learn-block": NamedFault("`learnBlock` is absent", lambda: edits.without("learnBlock")),
    "nan-debug-info": NamedFault("every fifth image's `debugInfoJson` holds a NaN", edits.nan_in_debug_info),
    "endless-classes": NamedFault("classes have other names in every window", edits.endless_classes),
    # transport
    "trickle": NamedFault("bodies come one byte a second", lambda: faults.Trickle(1.0)),
    "endless": NamedFault("bodies never end", faults.Stream),
    "huge": NamedFault("bodies have a gigabyte", lambda: faults.Stream(2**30)),
    "bomb": NamedFault(
        "bodies have ten gigabytes, of which fourteen megabytes are on the wire",
        lambda: faults.Stream(10 * 2**30, zipped=True),
    ),
    "slow": NamedFault("every answer takes five seconds more", lambda: faults.Delay(5.0), call=None),
    "truncated": NamedFault("bodies end half-way", lambda: faults.Truncate(0.5)),
    "reset": NamedFault("connections are reset", faults.Reset, call=None),
    "html": NamedFault(
        "HTML comes with HTTP 200", lambda: faults.Body(b"<html>maintenance</html>", "text/html"), call=None
    ),
    "unauthorized": NamedFault("HTTP 401", lambda: faults.Status(401), call=None),
    "rate-limited": NamedFault(
        "HTTP 429 with `Retry-After: 5`", lambda: faults.Status(429, retry_after="5"), call=None
    ),
    "server-error": NamedFault("HTTP 503", lambda: faults.Status(503), call=None),
    "refused": NamedFault("`success: false` with HTTP 200", lambda: faults.Refuse("Deadline exceeded")),
    **{f"side-type-{name}": _side_type(name) for name in edits.SIDE_TYPES},
}
"""The faults by name; each lasts until it is removed, unless it says otherwise."""


def _classes(project: GeneratedProject) -> tuple[str, ...]:
    labels: tuple[str, ...] = getattr(project.kind, "labels", ())
    if len(labels) < 2:
        raise ValueError(f"project {project.id} ({project.name}) has no classes to rename")
    return labels


def _threshold(project: GeneratedProject) -> float:
    """A stricter value of the deciding threshold: 1.3 times the present one, of a probability half-way to 1."""
    block = project.blocks(project.impulses[0])[0]
    if not block.thresholds:
        raise ValueError(f"project {project.id} ({project.name}) has no threshold")
    first = block.thresholds[0]
    value = block.threshold(first.key)
    if first.key == "min_score":
        stricter = (1 + value) / 2
    elif first.key == "max_error":
        stricter = 0.7 * value
    else:
        stricter = 1.3 * value
    return round(stricter, 4)


SCENARIOS: dict[str, NamedScenario] = {
    "steady": NamedScenario("nothing ever changes", lambda _: scenarios.steady()),
    "regressing": NamedScenario("four trainings in a row each lose skill", lambda _: scenarios.regressing()),
    "improving": NamedScenario("four trainings in a row each gain skill", lambda _: scenarios.improving()),
    "retraining": NamedScenario(
        "a training every twelve steps on the same data: noise only", lambda _: scenarios.retraining()
    ),
    "growing": NamedScenario("two samples come in each step", lambda _: scenarios.growing()),
    "drifting": NamedScenario("the samples that come in are unlike the others", lambda _: scenarios.growing(shift=1.0)),
    "shrinking": NamedScenario("a fifth of the samples leaves", lambda _: scenarios.shrinking()),
    "relabelling": NamedScenario("a tenth of the samples gets another label", lambda _: scenarios.relabelling()),
    "relearning": NamedScenario(
        "a tenth gets another label, and the model is trained with it", lambda _: scenarios.relearning()
    ),
    "renaming": NamedScenario(
        "a class gets another name, which the model never learns",
        lambda p: scenarios.renaming(_classes(p)[-1], "renamed"),
    ),
    "renaming-retrained": NamedScenario(
        "a class gets another name, and the model is trained with it",
        lambda p: scenarios.renaming(_classes(p)[-1], "renamed", retrained=12),
    ),
    "splitting": NamedScenario(
        "half of a class gets a name of its own, and the model is trained with it",
        lambda p: scenarios.renaming(_classes(p)[-1], "renamed", retrained=12, share=0.5),
    ),
    "merging": NamedScenario(
        "two classes become one, and the model is trained with it",
        lambda p: scenarios.renaming(_classes(p)[-1], _classes(p)[0], retrained=12),
    ),
    "adding-class": NamedScenario(
        "the model is trained with a class that comes first by name: all class numbers shift",
        lambda _: scenarios.adding_class("!added"),
    ),
    "threshold": NamedScenario(
        "the deciding threshold gets stricter", lambda p: scenarios.rethresholding(_threshold(p))
    ),
    "threshold-invalidates": NamedScenario(
        "the deciding threshold gets stricter; there are no results until someone asks for a new summary or for model "
        "testing",
        lambda p: scenarios.rethresholding(_threshold(p), gap=None),
    ),
    "vanishing": NamedScenario("there are no results for four steps", lambda _: scenarios.vanishing()),
    "partly-tested": NamedScenario(
        "a fifth of the samples has no results: pages come short", lambda _: scenarios.partly_tested()
    ),
}
"""The scenarios by name; what happens once happens at step 12."""


def switch_fault(studio: Studio, spec: str) -> faults.Fault:
    """Switch a fault on, for all projects (`swap`) or for one (`swap@101`).

    Raises:
        ValueError: No such fault or project; the message says which there are.
    """
    name, project = _read(studio, spec, FAULTS)
    named = FAULTS[name]
    return studio.fail(named.make(), named.call, project, named.after, named.times)


def switch_scenario(studio: Studio, spec: str) -> None:
    """Give all generated projects that can have it a scenario (`renaming`), or one (`renaming@101`).

    Raises:
        ValueError: No such scenario or project, or the project is a recorded one or cannot have it; the message says
            which there are.
    """
    name, wanted = _read(studio, spec, SCENARIOS)
    for project in studio.projects.values():
        if wanted not in (None, project.id):
            continue
        try:
            if not isinstance(project, GeneratedProject):
                raise ValueError(f"project {project.id} is a recording, which does not change")
            project.scenario = SCENARIOS[name].make(project)
        except ValueError:
            if wanted is not None:
                raise


def _read(studio: Studio, spec: str, known: dict[str, NamedFault] | dict[str, NamedScenario]) -> tuple[str, int | None]:
    name, _, number = spec.partition("@")
    if name not in known:
        raise ValueError(f"{name}: no such name; there are {', '.join(known)}")
    if not number:
        return name, None
    if not number.isdigit() or int(number) not in studio.projects:
        raise ValueError(f"{spec}: no such project; there are {', '.join(map(str, studio.projects))}")
    return name, int(number)

"""Everything that can be wrong with a project's Studio, each under a name, and which of it leaves
nothing to compare.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitor.simulator import Project, Studio, edits
from monitor.simulator.faults import Action, Body, Delay, Edit, Fault, Limit, Refuse, Reset, Status, Truncate
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.switches import FAULTS

PAGE = "result/page"

NOT_JUDGED = {"empty"}
"""Faults that say that there is nothing, in a documented form: no figure can be compared."""
NAMELESS = {"side-types", "all-side-types-in-small-pages", "side-type-block-id-beyond"}
"""Faults that take the numbers of blocks away: of several blocks no one can say which is which."""


@dataclass(frozen=True, slots=True)
class Sick:
    """What a project suffers from.

    Attributes:
        name: Of the sickness.
        faults: What it switched on.
    """

    name: str
    faults: tuple[Fault, ...]


def _page_of(size: int) -> Action:
    return Limit(size)


def _own(project: Project) -> dict[str, list[tuple[Action, str | None, int, int | None]]]:
    """Sicknesses beyond the simulator's own: each action with the call, how many pass first, and how many are met."""
    key = project.api_key
    return {
        "rate-limited-for-long": [(Status(429, retry_after="120"), PAGE, 0, None)],
        "rate-limited-everywhere": [(Status(429, retry_after="3600"), None, 0, None)],
        "retry-after-malformed": [(Status(429, retry_after="9" * 400), None, 0, None)],
        "retry-after-date": [(Status(503, retry_after="Fri, 31 Dec 9999 23:59:59 GMT"), PAGE, 0, None)],
        "key-in-refusal": [(Refuse(f"the key {key} may not\r\n do this"), PAGE, 0, None)],
        "key-in-status": [(Status(500, f"key={key} " * 500), PAGE, 0, None)],
        "key-in-html": [(Body(f"<html>{key}</html>".encode(), f"text/{key}"), None, 0, None)],
        "swap-in-small-pages": [(_page_of(7), PAGE, 0, None), (FAULTS["swap"].make(), PAGE, 1, 1)],
        "growing-in-small-pages": [(_page_of(7), PAGE, 0, None), (FAULTS["growing-while-paging"].make(), PAGE, 0, 6)],
        "one-in-three-reset": [(Reset(), PAGE, number, 1) for number in range(0, 60, 3)],
        "one-in-two-truncated": [(Truncate(0.9), None, number, 1) for number in range(0, 60, 2)],
        "hangs": [(Delay(100_000.0), None, 0, None)],
        "slower-than-the-timeout": [(Delay(70.0), PAGE, 0, None)],
        "list-instead-of-page": [(Edit(lambda page: [page]), PAGE, 0, None)],
        "not-found": [(Status(404), None, 0, None)],
        "all-side-types-in-small-pages": [(_page_of(7), PAGE, 0, None), (edits.side_types(), PAGE, 0, None)],
    }


def names(project: Project) -> list[str]:
    """Of every sickness that this project can have."""
    return [*FAULTS, *_own(project)]


def is_judged(project: GeneratedProject, sick: Sick) -> bool:
    """Whether figures of a project that suffers from this can be compared."""
    return sick.name not in NOT_JUDGED and (sick.name not in NAMELESS or len(project.blocks(project.impulses[0])) == 1)


def befall(studio: Studio, project: Project, name: str) -> Sick:
    """Let a project suffer."""
    if name in FAULTS:
        named = FAULTS[name]
        return Sick(name, (studio.fail(named.make(), named.call, project.id, named.after, named.times),))
    return Sick(
        name,
        tuple(
            studio.fail(action, call, project.id, after, times) for action, call, after, times in _own(project)[name]
        ),
    )


def heal(studio: Studio, sick: Sick) -> None:
    """Let it be well again."""
    for fault in sick.faults:
        studio.heal(fault)

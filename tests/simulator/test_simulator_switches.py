"""Every fault and scenario can be switched on by its name, and the page in docs/ lists them all."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from monitor.simulator import Studio, load_recorded, projects, replies
from monitor.simulator.switches import FAULTS, SCENARIOS, switch_fault, switch_scenario

Serving = Callable[[Studio], Awaitable[Any]]
PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
SLOW = {"slow", "trickle"}
BOUNDLESS = {"endless", "huge", "bomb"}


def test_the_page_lists_all() -> None:
    """docs/simulator.md has a row for each name, with its words, in order."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", PAGE, re.MULTILINE)

    assert rows == [(name, named.about) for table in (FAULTS, SCENARIOS) for name, named in table.items()]


def one_of_each() -> Studio:
    """A studio of several kinds, small enough to be asked often."""
    makes = (projects.keywords, projects.visual_anomaly, projects.fomo)
    studio = Studio([make(sizes={"testing": 60, "training": 4}) for make in makes])
    for project in studio.projects.values():
        project.fresh_media = False
    return studio


async def answers(client: Any) -> list[Any]:
    """What the client gets of each project: four pages and the call of the project itself; an error by its name."""
    found = []
    for project in client.studio.projects.values():
        pages = [
            f"classify/all/result/page?limit={limit}&offset={offset}" for limit, offset in ((110, 0), (10, 0), (20, 30))
        ]
        for path in [*pages, "classify/all/result/page?limit=9&category=training", ""]:
            url = f"{client.url}/api/{project.id}/{path}".rstrip("/")
            try:
                async with client.session.get(url, headers={"x-api-key": project.api_key}) as response:
                    found.append((response.status, await response.read()))
            except aiohttp.ClientError as error:
                found.append((0, type(error).__name__.encode()))
    return found


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in SLOW | BOUNDLESS])
async def test_every_fault_shows_on_the_wire(name: str, serving: Serving) -> None:
    """Switched on by its name, a fault changes what a client gets; for one project, it leaves the others alone."""
    client = await serving(one_of_each())
    true = await answers(client)
    fault = switch_fault(client.studio, name)
    faulty = await answers(client)
    client.studio.heal(fault)

    assert fault.met > 0
    assert faulty != true
    switch_fault(client.studio, f"{name}@102")
    if name not in ("swap", "growing-while-paging"):
        assert (await answers(client))[5:] == true[5:]


@pytest.mark.parametrize("name", sorted(BOUNDLESS))
async def test_bodies_beyond_measure(name: str, serving: Serving) -> None:
    """A body beyond measure goes on for as long as the client reads, and the server answers others when it has left."""
    client = await serving(one_of_each())
    switch_fault(client.studio, f"{name}@102")
    url = f"{client.url}/api/{{}}/classify/all/result/page?limit=5"
    async with client.session.get(
        url.format(102), headers={"x-api-key": client.studio.projects[102].api_key}
    ) as response:
        assert b" " * 2**24 == await response.content.readexactly(2**24)

    async with client.session.get(
        url.format(106), headers={"x-api-key": client.studio.projects[106].api_key}
    ) as response:
        assert (await response.json())["success"]


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "steady"])
def test_every_scenario_changes_the_truth(name: str) -> None:
    """Within two dozen steps the ground data is another, or gone, or the next training was another one."""
    studio = one_of_each()
    switch_scenario(studio, name)
    project = studio.generated(102)
    seen = []
    for step in (0, 11, 12, 14, 24):
        studio.timeline.pin(step)
        ground = studio.ground(102)
        seen.append(
            None
            if ground is None
            else (ground.samples, ground.blocks, ground.trained, project.revision().added_classes)
        )

    assert name == "partly-tested" or seen[0] == seen[1] or name in ("growing", "drifting")
    assert any(other != seen[0] for other in seen[1:]) or name == "partly-tested"


def test_short_pages_from_the_start() -> None:
    """The scenario of short pages holds from the first step on."""
    studio = one_of_each()
    switch_scenario(studio, "partly-tested@102")
    grounds = [studio.ground(number) for number in (102, 106)]

    assert 35 < len(grounds[0].samples) < 58  # type: ignore[union-attr]
    assert len(grounds[1].samples) == 60  # type: ignore[union-attr]


def test_what_does_not_suit_is_said(tmp_path: Path) -> None:
    """An unknown name, an unknown project, and a project without classes or without a change in it are errors that say
    so.
    """
    studio = Studio([projects.gmm(sizes={"testing": 3}), projects.keywords(sizes={"testing": 3})])
    (tmp_path / "page.json").write_bytes(replies.page(studio, studio.projects[102], {}))
    studio.projects.pop(102)
    studio.add(load_recorded(tmp_path / "page.json"))

    for call, spec, message in (
        (switch_fault, "sawp", "swap"),
        (switch_fault, "swap@7", "104"),
        (switch_scenario, "naming", "renaming"),
        (switch_scenario, "renaming@104", "no classes"),
        (switch_scenario, "growing@102", "recording"),
    ):
        with pytest.raises(ValueError, match=message):
            call(studio, spec)
    switch_scenario(studio, "renaming")

    assert studio.generated(104).revision(99).renamings == ()

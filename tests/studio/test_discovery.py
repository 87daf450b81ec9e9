"""Which targets a project has, and what is said where Studio does not say everything."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.config import ProjectConfig
from monitor.errors import AuthError, InvalidReply, NotFound
from monitor.simulator import Studio, projects
from monitor.simulator.faults import Body, Edit, Status
from monitor.studio.client import Client
from monitor.studio.discovery import discover
from monitor.studio.project import StudioProject
from monitor.studio.pull import pull
from monitor.targets import TargetKey
from monitor.text import shown

EXPIRES = 2_000_000_000.0


@pytest.fixture
def studio() -> Studio:
    """A project with two impulses, one with a variant that is not enabled; its key expires."""
    return Studio([projects.two_impulses(expires=EXPIRES), projects.kmeans()])


@pytest.fixture
def project(client: Client, studio: Studio) -> StudioProject:
    """Its calls."""
    return StudioProject(client, 111, studio.projects[111].api_key)


def entry(project_id: int = 111, **fields: Any) -> ProjectConfig:
    """An entry of the configuration."""
    return ProjectConfig.model_validate({"id": project_id, "api_key": "ei_unused", **fields})


async def test_discovers_everything(project: StudioProject) -> None:
    """All impulses, their enabled variants, their names, and when the key expires."""
    found = await discover(project, entry())

    names = [(target.key.id, target.project, target.impulse) for target in found.targets]
    assert [
        ("111-1-int8-testing", "door-sensor", "spectral"),
        ("111-1-float32-testing", "door-sensor", "spectral"),
        ("111-2-int8-testing", "door-sensor", "raw 1d-conv"),
    ] == names
    assert EXPIRES == found.key_expires


async def test_endless_names(project: StudioProject, studio: Studio) -> None:
    """Every series of a target repeats the names of project, impulse and block: they are cut to 256 characters, and
    stay apart.
    """
    name = "é" * 100_000
    studio.fail(Edit(lambda reply: reply["project"].update(name=name)), "project", times=None)
    studio.fail(Edit(lambda reply: reply["impulses"][0].update(name=name)), "impulses", times=None)

    def rename_blocks(page: Any) -> None:
        for result in page["result"]:
            for entry in result["classifications"]:
                entry["learnBlock"]["name"] = name

    studio.fail(Edit(rename_blocks), "result/page", times=None)

    targets = (await discover(project, entry())).targets
    block = (await pull(project, targets[0].key)).blocks[0]

    assert {shown(name)} == {targets[0].project, targets[0].impulse, block.name}
    assert 256 == len(shown(name))
    assert shown(name) != shown(name + "e")


async def test_configured_impulses_and_variants_are_targets(project: StudioProject, studio: Studio) -> None:
    """What the configuration names is a target also where Studio does not list it: its pull then says what is wrong."""
    found = await discover(project, entry(impulses=[2, 9], variants=["akida"], category="training"))

    assert ["111-2-akida-training", "111-9-akida-training"] == [target.key.id for target in found.targets]
    assert ["raw 1d-conv", "9"] == [target.impulse for target in found.targets]
    assert [] == studio.calls("model-variants")


@pytest.mark.parametrize("code", [401, 403, 404, 400])
@pytest.mark.parametrize("call", ["project", "api-key-info"])
async def test_optional_calls_may_fail(project: StudioProject, studio: Studio, call: str, code: int) -> None:
    """Without the project's name or the key's data the targets are found all the same."""
    studio.fail(Status(code), call, times=None)
    found = await discover(project, entry())

    assert 3 == len(found.targets)
    assert {"project": "111", "api-key-info": "door-sensor"}[call] == found.targets[0].project
    assert {"project": EXPIRES, "api-key-info": None}[call] == found.key_expires


@pytest.mark.parametrize(("code", "error"), [(401, AuthError), (403, AuthError), (404, NotFound), (400, InvalidReply)])
@pytest.mark.parametrize("call", ["impulses", "model-variants"])
async def test_needed_calls_must_succeed(
    project: StudioProject, studio: Studio, call: str, code: int, error: type[Exception]
) -> None:
    """Without the impulses or the variants nothing is known."""
    studio.fail(Status(code), call, times=None)
    with pytest.raises(error):
        await discover(project, entry())


async def test_wrong_key(client: Client, studio: Studio) -> None:
    """Another project's key is refused, as a wrong one is."""
    for key in (studio.projects[103].api_key, "ei_wrong", ""):
        with pytest.raises(AuthError):
            await discover(StudioProject(client, 111, key), entry())


async def test_staleness_and_training_date(project: StudioProject, studio: Studio) -> None:
    """Staleness comes per impulse, the training date as the newest of the blocks; both are unknown where the call
    fails.
    """
    blocks = (await pull(project, TargetKey(111, 1, "int8", "testing"))).blocks
    trained = await project.optional_trained(blocks)

    assert {1, 2} == set(await project.optional_stale_impulses())
    assert trained is not None
    assert abs(trained - studio.projects[111].trained()) < 1
    studio.fail(Status(403), "training-metadata", times=None)
    studio.fail(Body(b"null"), "impulses-detailed", times=None)
    assert await project.optional_trained(blocks) is None
    assert {} == await project.optional_stale_impulses()

"""The demo's studio and the module's own command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

from monitor.simulator import Studio, demo_studio

Serving = Callable[[Studio], Awaitable[Any]]


def judged(studio: Studio, project: int, step: int) -> float:
    """Share of correct windows (images: mean score) of a project at a step."""
    studio.timeline.pin(step)
    ground = studio.ground(project)
    assert ground is not None
    windows = [window for sample in ground.samples for window in sample.windows]
    return float(np.mean([w.image.mean_ap if w.image else bool(w.correct) for w in windows]))


async def test_the_demo_has_a_dozen_targets_of_every_kind(serving: Serving) -> None:
    """Twelve targets are found by discovery alone, with every kind of block, and each set is small."""
    studio = demo_studio()
    studio.validate = True
    client = await serving(studio)
    targets, types = 0, set()
    for project in studio.projects.values():
        _, impulses = await client.get(project, f"{project.id}/impulses")
        for impulse in impulses["impulses"]:
            types |= {block["type"] for block in impulse["learnBlocks"]}
            _, variants = await client.get(project, f"{project.id}/model-variants", impulseId=impulse["id"])
            for variant in variants["modelVariants"]:
                query = {"impulseId": impulse["id"], "variant": variant["variant"], "limit": 1}
                assert 100 <= (await client.page(project, **query))["totalCount"] <= 400
                targets += 1

    assert targets == 12
    assert types == {
        "keras",
        "keras-transfer-kws",
        "keras-object-detection",
        "keras-regression",
        "keras-visual-anomaly",
        "keras-freeform",
        "anomaly",
        "anomaly-gmm",
    }


def test_the_demo_tells_its_stories_within_minutes() -> None:
    """A model regresses and recovers, one gets better, data drifts, results vanish and return, a threshold and labels
    change.
    """
    studio = demo_studio()

    assert judged(studio, 103, 11) - judged(studio, 103, 20) > 0.08
    assert judged(studio, 103, 45) - judged(studio, 103, 20) > 0.08
    assert judged(studio, 106, 20) - judged(studio, 106, 30) > 0.08
    assert judged(studio, 107, 30) - judged(studio, 107, 10) > 0.05
    assert judged(studio, 108, 20) - judged(studio, 108, 40) > 0.05
    counts, present, labels = {}, [], []
    for step in (0, 22, 30, 60):
        studio.timeline.pin(step)
        counts[step] = [len(studio.ground(project).samples) for project in (102, 104)]  # type: ignore[union-attr]
        present.append(studio.ground(101) is not None)
        labels.append([sample.label for sample in studio.ground(110).samples])  # type: ignore[union-attr]
    assert all(a < b for a, b in zip(counts[0], counts[60], strict=True))
    assert present == [True, False, True, True]
    assert labels[0] == labels[1] != labels[2] == labels[3]


def test_the_command_serves_a_large_set() -> None:
    """`python -m monitor.simulator --bulk` says where it listens and with which key, serves, and ends on a signal."""
    command = [sys.executable, "-m", "monitor.simulator", "--bulk", "30", "--windows", "10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            info = json.loads(process.stdout.readline())
            (project,) = info["projects"]
            url = f"{info['url']}/api/{project['id']}/classify/all/result/page?limit=20"
            with urlopen(Request(url, headers={"x-api-key": project["api_key"]}), timeout=120) as response:
                page = json.load(response)
        finally:
            process.terminate()
        assert process.wait(timeout=120) == 0

    assert (len(page["result"]), len(page["predictions"]), page["totalCount"]) == (20, 200, 30)

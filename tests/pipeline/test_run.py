"""A pipeline on its own: no engine, nothing that is watched, shown or sent; only what it is handed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.alerts.rules import Below, Rule
from monitor.alerts.states import Phase
from monitor.cli.once import NoMetrics
from monitor.config import Config, ProjectConfig
from monitor.errors import PullState
from monitor.pipeline.alerting import AlertEvaluator
from monitor.pipeline.project_turn import ProjectTurn, new_client
from monitor.pipeline.record import RunRecorder
from monitor.pipeline.run import Pipeline
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Watch
from monitor.simulator import Studio, projects, serve
from monitor.simulator.faults import Delay, Status
from monitor.simulator.project import Impulse
from monitor.store import Store
from monitor.store.state_documents import load_transition
from monitor.studio.budget import Budget, Hold
from monitor.studio.client import Client
from monitor.studio.discovery import discover
from monitor.studio.project import StudioProject
from monitor.targets import Target, TargetKey
from tests.live.live_parts import watch_of
from tests.waiting import until

INT8, FLOAT32 = "101-1-int8-testing", "101-1-float32-testing"
LOW = Rule("AccuracyLow", Below("accuracy", 0.99), recover=0.001)


@pytest.fixture
def studio() -> Studio:
    """A classifier that is often wrong, in two variants."""
    project = projects.classification(impulses=[Impulse(variants=projects.BOTH)])
    project.edit(quality=-1.5)
    return Studio([project])


@pytest.fixture
async def url(studio: Studio) -> AsyncIterator[str]:
    """Where it is served."""
    async with serve(studio) as url:
        yield url


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        yield store


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads for computing."""
    with ThreadPoolExecutor(1) as workers:
        yield workers


class Alone:
    """A process that has a pipeline, a store and rules, and watches nothing."""

    def __init__(self, client: Client, store: Store, workers: ThreadPoolExecutor, config: Config) -> None:
        self.client, self.config, self.now = client, config, 1000.0
        self.evaluator = AlertEvaluator(lambda: self.now)
        self.evaluator.configure([LOW], ["hook"])
        self.pipeline = Pipeline(NoMetrics(), workers, lambda: self.now, RunRecorder(store, workers, self.evaluator))

    async def watches(self) -> list[Watch]:
        """The targets, as they are to be pulled."""
        (entry,) = self.config.projects
        key = entry.read_key().get_secret_value()
        found = await discover(StudioProject(self.client, entry.id, key), entry)
        return [Watch.of(self.config, entry, target, found) for target in found.targets]

    def turn(self) -> ProjectTurn:
        """A turn of the project."""
        return ProjectTurn(self.client, self.config.projects[0])


@asynccontextmanager
async def alone(
    studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor, **fields: Any
) -> AsyncIterator[Alone]:
    """Such a process."""
    entry = {"id": 101, "api_key": studio.projects[101].api_key, "labels": {"team": "edge"}, **fields}
    external = {"external_url": "https://monitor.example"}
    config = Config.model_validate({"studio": {"url": url}, "projects": [entry], "http": external})
    async with new_client(config, NoMetrics()) as client:
        yield Alone(client, store, workers, config)


@pytest.mark.parametrize(("processes", "most", "most_per_key"), [(1, 6, 4), (2, 3, 2), (3, 2, 1), (10, 1, 1)])
async def test_processes_share_the_budget(processes: int, most: int, most_per_key: int) -> None:
    """Of several processes each sends its part of the requests that the configuration allows, and one at least."""
    studio = Studio([projects.classification(number, f"project {number}") for number in (101, 102, 103, 104)])
    studio.latency = 0.02
    async with serve(studio) as url:
        budget = {"url": url, "requests_in_flight": 6, "requests_in_flight_per_key": 4}
        config = Config.model_validate({"studio": budget})
        async with new_client(config, NoMetrics(), processes) as client:
            asked = (
                StudioProject(client, number, project.api_key).impulses()
                for number, project in studio.projects.items()
                for _ in range(6)
            )
            await asyncio.gather(*asked)

    assert most == studio.most_in_flight
    assert most_per_key == max(studio.most_in_flight_by_key.values())


async def test_a_turn_is_written_whole(studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor) -> None:
    """Where nothing is watched a pull is recorded, judged, and its messages are written with it."""
    async with alone(studio, url, store, workers) as process:
        turn = process.turn()
        ended = [await process.pipeline.run(watch, turn) for watch in await process.watches()]
    runs = [run for target in (INT8, FLOAT32) for run in await store.runs(target)]
    transitions = [load_transition(message.payload) for message in await store.messages("hook")]

    assert [PullState.OK, PullState.OK] == [run.state for run in runs]
    assert {(LOW.name, INT8, Phase.FIRING), (LOW.name, FLOAT32, Phase.FIRING)} == {
        (state.alertname, state.target_id, state.phase) for state in await store.alert_states()
    }
    assert {INT8: [LOW.name], FLOAT32: [LOW.name]} == {
        each.snapshot.target.key.id: [state.alertname for state in each.alerts] for each in ended
    }
    assert [INT8, FLOAT32] == [each.target_id for each in transitions]
    assert {"edge"} == {each.labels["team"] for each in transitions}
    assert f"https://monitor.example/targets/{INT8}" == transitions[0].generator_url
    assert [run.run_id for run in [await store.baseline(INT8, "pinned")] if run] == [runs[0].id]


async def test_what_is_not_handed_is_asked_of_the_store(
    studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor
) -> None:
    """A run that is handed neither snapshot nor cache knows what the store knows: nothing is new to it, nor judged or
    told twice.
    """
    async with alone(studio, url, store, workers, variants=["int8"]) as process:
        (watch,) = await process.watches()
        first = await process.pipeline.run(watch, process.turn())
        process.now += 60.0
        again = await process.pipeline.run(watch, process.turn())
        process.now += 60.0
        studio.generated(101).retrain()
        changed = await process.pipeline.run(watch, process.turn(), before=again.snapshot, cache=TargetCache())

    assert first.snapshot.fingerprint == again.snapshot.fingerprint
    assert (None, 1120.0) == (again.snapshot.last_change, changed.snapshot.last_change)
    assert first.alerts == again.alerts
    assert [2, 1] == [run.times for run in await store.runs(INT8)]
    assert 1 == len(await store.messages("hook"))


@pytest.mark.slow
async def test_a_turn_asks_once(studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor) -> None:
    """Staleness and training dates are asked once per turn for targets whose results did not change, and anew for one
    whose results did: a training in between is not put down to the others.
    """
    async with alone(studio, url, store, workers) as process:
        watches = await process.watches()
        known = {watch.target.key.id: await process.pipeline.run(watch, process.turn()) for watch in watches}
        turn, asked = process.turn(), len(studio.requests)
        quiet = [
            await process.pipeline.run(watch, turn, before=known[watch.target.key.id].snapshot) for watch in watches
        ]
        once = [request.call for request in list(studio.requests)[asked:]]
        turn = process.turn()
        int8, float32 = watches
        before = await process.pipeline.run(int8, turn, before=quiet[0].snapshot)
        studio.generated(101).retrain()
        after = await process.pipeline.run(float32, turn, before=quiet[1].snapshot)

    assert (1, 1) == (once.count("impulses-detailed"), once.count("training-metadata"))
    assert before.snapshot.trained == quiet[0].snapshot.trained
    assert after.snapshot.trained is not None
    assert before.snapshot.trained is not None
    assert after.snapshot.trained > before.snapshot.trained


async def test_key_file_is_read_once_a_turn(
    studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """A turn has one key; a key file that cannot be read fails each of its targets, and is recorded."""
    watch = watch_of_classifier(studio, tmp_path / "key")
    config = Config.model_validate({"studio": {"url": url}})
    recorder = RunRecorder(store, workers)
    async with new_client(config, NoMetrics()) as client:
        pipeline = Pipeline(NoMetrics(), workers, recorder=recorder)
        refused = await pipeline.run(watch, ProjectTurn(client, watch.project))
        (tmp_path / "key").write_text(studio.projects[101].api_key, encoding="utf-8")
        turn = ProjectTurn(client, watch.project)
        good = await pipeline.run(watch, turn)
        (tmp_path / "key").write_text("ei_another", encoding="utf-8")
        same_turn = await pipeline.run(watch, turn)
        next_turn = await pipeline.run(watch, ProjectTurn(client, watch.project))

    states = [PullState.AUTH, PullState.OK, PullState.OK, PullState.AUTH]
    assert states == [each.snapshot.state for each in (refused, good, same_turn, next_turn)]
    assert [(PullState.AUTH, 1), (PullState.OK, 2), (PullState.AUTH, 1)] == [
        (run.state, run.times) for run in await store.runs(INT8)
    ]


def watch_of_classifier(studio: Studio, key_file: Path) -> Watch:
    """The classifier's int8 variant, with its key in a file."""
    entry = ProjectConfig.model_construct(id=101, api_key_file=key_file)
    return replace(watch_of(Target(TargetKey.parse(INT8), "p", "i")), project=entry)


@pytest.mark.slow
async def test_others_get_the_answer_of_one_who_gave_up(
    studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor
) -> None:
    """A target whose pull is cancelled while it asks for all does not take the answer from the others."""
    async with alone(studio, url, store, workers) as process:
        studio.fail(Delay(2.0), "impulses-detailed")
        turn = process.turn()
        first, second = (asyncio.create_task(turn.stale_impulses()) for _ in range(2))
        await until(lambda: studio.calls("impulses-detailed"))
        first.cancel()
        found = await second

    assert {1: False} == found
    assert first.cancelled()
    assert 1 == len(studio.calls("impulses-detailed"))


async def test_waiting_for_an_answer_holds_no_place(
    studio: Studio, url: str, store: Store, workers: ThreadPoolExecutor
) -> None:
    """All who wait for an answer that Studio lets them wait for put their places down, and take them up again."""
    budget = Budget(2, 2)
    holds = [Hold(budget, "101") for _ in range(2)]
    async with alone(studio, url, store, workers) as process:
        turn = process.turn()
        await turn.studio()
        studio.fail(Status(503), "impulses-detailed")

        async def ask(hold: Hold) -> tuple[dict[int, bool], bool]:
            async with hold:
                return await turn.stale_impulses(hold), hold.held

        asking = [asyncio.create_task(ask(hold)) for hold in holds]
        async with asyncio.timeout(30):
            while not studio.calls("impulses-detailed") or any(hold.held for hold in holds):
                await asyncio.sleep(0.005)
        waiting = [not task.done() for task in asking]
        found = await asyncio.gather(*asking)

    assert [True, True] == waiting
    assert [({1: False}, True)] * 2 == found


@pytest.mark.slow
def test_nothing_of_the_service_is_loaded() -> None:
    """A process that runs a pipeline needs none of what watches, schedules, shows or sends."""
    code = (
        "import sys, monitor.pipeline.run, monitor.pipeline.record, monitor.pipeline.alerting;"
        "print([name for name in sys.modules if name.split('.')[:2] in "
        "(['monitor', 'live'], ['monitor', 'engine'], ['monitor', 'notify'], ['monitor', 'exposition'], "
        "['monitor', 'service'], ['monitor', 'web'])])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "[]" == loaded.stdout.strip()

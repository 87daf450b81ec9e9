"""Variants of an impulse in the runs of one turn: int8 beside float32."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from monitor.alerts.rules import QuantizationLoss, built_in
from monitor.alerts.states import AlertState, Phase
from monitor.compare.changed_windows import ChangedWindow
from monitor.compare.side_kinds import VARIANT_GAINED, VARIANT_LOST
from monitor.compare.variants import VariantComparison
from monitor.errors import PullState
from monitor.pipeline.project_turn import ProjectTurn
from monitor.pipeline.run import Pipeline
from monitor.pipeline.snapshot import Snapshot
from monitor.pipeline.target_cache import TargetCache
from monitor.pipeline.watch import Watch
from monitor.simulator import Studio, projects, serve
from monitor.simulator.generated import GeneratedProject
from monitor.simulator.project import FLOAT32, Impulse, Variant
from monitor.store import Store, StoreError, Transaction
from monitor.store.changed_samples import DIFFERING
from monitor.studio.discovery import Discovery
from monitor.targets import Target, TargetKey
from tests.factories import known
from tests.pipeline.test_run import Alone, alone

WORSE = Variant("int8", quality=-1.5, jitter=0.5)
LOSS = next(rule for rule in built_in() if isinstance(rule.condition, QuantizationLoss))


@pytest.fixture
def project() -> GeneratedProject:
    """A classifier whose int8 variant is worse."""
    return projects.classification(impulses=[Impulse(variants=(WORSE, FLOAT32))], sizes={"testing": 400})


@pytest.fixture
def studio(project: GeneratedProject) -> Studio:
    """A Studio that has it."""
    return Studio([project])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with Store(f"sqlite:///{tmp_path}/x.db") as store:
        yield store


class Pair:
    """The two targets, and what is known of them."""

    def __init__(self, process: Alone, watches: list[Watch]) -> None:
        self.process = process
        self.watches = {watch.target.key.variant: watch for watch in watches}
        self.caches = {variant: TargetCache() for variant in self.watches}
        self.snapshots: dict[str, Snapshot] = {}
        self.alerts: dict[str, AlertState] = {}

    @property
    def pipeline(self) -> Pipeline:
        """What runs them."""
        return self.process.pipeline

    async def run(self, turn: ProjectTurn, variant: str) -> None:
        """Run one of them in a turn."""
        self.process.now += 60
        ended = await self.pipeline.run(
            self.watches[variant], turn, before=self.snapshots.get(variant), cache=self.caches[variant]
        )
        self.snapshots[variant] = ended.snapshot
        for alert in ended.alerts:
            self.alerts[variant] = alert

    async def turn(self) -> VariantComparison:
        """Run both in a turn, side by side, int8 first."""
        turn = self.process.turn()
        for watch in self.watches.values():
            turn.begins(watch.target.key.id)
        await asyncio.gather(*(self.run(turn, variant) for variant in ("int8", "float32")))
        return self.found

    @property
    def found(self) -> VariantComparison:
        """What is said of int8 beside float32."""
        return known(known(self.snapshots["int8"].comparison).variants)

    def accuracy(self, variant: str) -> float:
        """The accuracy that a target shows."""
        return known(known(self.snapshots[variant].evaluation).quality).accuracy


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads for computing."""
    with ThreadPoolExecutor(2) as workers:
        yield workers


@pytest.fixture
async def pair(studio: Studio, store: Store, workers: ThreadPoolExecutor) -> AsyncIterator[Pair]:
    """The two, in a process that watches nothing."""
    async with serve(studio) as url, alone(studio, url, store, workers) as process:
        process.evaluator.configure([LOSS], [])
        yield Pair(process, await process.watches())


async def test_a_turn_compares_its_variants(pair: Pair, store: Store) -> None:
    """Whichever is read first, int8 is held against float32 of the same turn, which is held against nothing; the store
    has the same.
    """
    found = await pair.turn()
    gap = known(found.gap("accuracy"))
    evaluation = known(pair.snapshots["int8"].evaluation)
    again = known(await store.last_good(pair.watches["int8"].target.key.id))

    assert (found.against, found.reason, found.samples) == ("float32", "", 400)
    assert gap.size == pytest.approx(pair.accuracy("float32") - pair.accuracy("int8"))
    assert gap.size > 0.05
    assert gap.pvalue < 0.01
    assert known(gap.growth).size == 0
    assert found.lost - found.gained == round((evaluation.windows - evaluation.unscored) * gap.size)
    assert known(pair.snapshots["float32"].comparison).variants is None
    assert known(again.comparison).variants == found


async def test_an_unchanged_turn_says_the_same(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither has changed nothing is computed, nor read of either."""
    before = await pair.turn()

    async def nothing(*_: object) -> None:
        raise AssertionError("a result set was read")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "results", nothing)
        assert await pair.turn() is before


async def listed(store: Store, pair: Pair, kind: str) -> list[ChangedWindow]:
    """A whole list of int8's; empty where there are no lists."""
    target_id = pair.watches["int8"].target.key.id
    index = await store.changed_index(target_id, DIFFERING)
    if index is None:
        return []
    assert (index.current, index.baseline, index.against) == (*pair.found.compared[:2], "float32")
    return (await store.changed_windows(target_id, index, kind, limit=10_000))[0]


async def test_the_samples_on_which_two_differ(
    pair: Pair, store: Store, project: GeneratedProject, studio: Studio
) -> None:
    """The store lists each sample that only one of the two gets right, with what either says of it; another turn that
    changes int8 replaces the lists.
    """
    for _ in range(2):
        found = await pair.turn()
        int8, float32 = (known(studio.ground(int(project.id), None, variant)) for variant in ("int8", "float32"))
        lists = {kind: await listed(store, pair, kind) for kind in (VARIANT_LOST, VARIANT_GAINED)}
        for kind, verdicts in ((VARIANT_LOST, (False, True)), (VARIANT_GAINED, (True, False))):
            expected = {
                (sample.id, sample.filename, mine.label, mine.prediction, its.prediction)
                for sample, other in zip(int8.samples, float32.samples, strict=True)
                for mine, its in zip(sample.windows, other.windows, strict=True)
                if (mine.correct, its.correct) == verdicts
            }
            rows = {
                (row.sample_id, row.filename, row.label, row.prediction, row.prediction_before) for row in lists[kind]
            }
            assert rows == expected
        assert (len({row.sample_id for row in lists[VARIANT_LOST]}), found.lost > 0) == (found.lost, True)
        assert len({row.sample_id for row in lists[VARIANT_GAINED]}) == found.gained
        project.impulses = (Impulse(variants=(Variant("int8", quality=-3.0, jitter=1.0), FLOAT32)),)
        project.retrain()


async def test_no_samples_where_two_are_not_compared(pair: Pair, store: Store, project: GeneratedProject) -> None:
    """Lists of an earlier turn are gone once the two cannot be compared, and come back with the comparison; a turn that
    says nothing new leaves them.
    """
    await pair.turn()
    before = await listed(store, pair, VARIANT_LOST)
    await pair.turn()
    kept = await listed(store, pair, VARIANT_LOST)
    turn = pair.process.turn()
    await pair.run(turn, "float32")
    project.add(5)
    await pair.run(turn, "int8")
    apart = await listed(store, pair, VARIANT_LOST)
    await pair.turn()

    assert before == kept != []
    assert apart == []
    assert await listed(store, pair, VARIANT_LOST) != []


async def test_lists_that_were_not_written_are_written_later(
    pair: Pair, store: Store, project: GeneratedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that the store did not take leaves its lists to the next one, though that says nothing new."""

    async def full(self: Transaction, target_id: str, *_: object) -> None:
        if target_id == pair.watches["int8"].target.key.id:
            raise StoreError("no space left")

    await pair.turn()
    project.retrain(quality=-1.0)
    turn = pair.process.turn()
    await pair.run(turn, "float32")
    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "put_changed_samples", full)
        await pair.run(turn, "int8")
    index = known(await store.changed_index(pair.watches["int8"].target.key.id, DIFFERING))
    await pair.turn()

    assert index.current != pair.found.compared[0]
    assert await listed(store, pair, VARIANT_LOST) != []


async def test_growth_since_the_baseline(pair: Pair, project: GeneratedProject, studio: Studio) -> None:
    """Where the model is trained again, and only int8 is worse then, the gap has grown by what int8 lost."""
    first = known((await pair.turn()).gap("accuracy"))
    project.impulses = (Impulse(variants=(Variant("int8", quality=-4.0, jitter=1.0), FLOAT32)),)
    project.retrain()
    gap = known((await pair.turn()).gap("accuracy"))
    growth = known(gap.growth)

    assert growth.before == pytest.approx(first.size)
    assert growth.now == pytest.approx(gap.size)
    assert growth.size > 0.05
    assert known(growth.pvalue) <= 0.01


async def test_samples_that_came_between_the_two_pulls(pair: Pair, project: GeneratedProject) -> None:
    """Result sets of other samples are not compared, and it is said; the next turn compares them again."""
    turn = pair.process.turn()
    await pair.run(turn, "float32")
    project.add(5)
    await pair.run(turn, "int8")
    apart = pair.found
    together = await pair.turn()

    assert apart.gaps == ()
    assert "do not hold the same samples and windows: 5 samples differ" in apart.reason
    assert (together.reason, together.samples) == ("", 405)


async def test_a_reference_whose_pull_fails(pair: Pair, project: GeneratedProject, studio: Studio) -> None:
    """Without new results of the reference an unchanged variant keeps its gap; a changed one is not compared with what
    the reference was.
    """
    before = await pair.turn()
    turn = pair.process.turn()
    turn.ends(pair.watches["float32"].target.key.id, None)
    await pair.run(turn, "int8")
    kept = pair.found
    project.retrain(quality=-2.0)
    turn = pair.process.turn()
    turn.ends(pair.watches["float32"].target.key.id, None)
    await pair.run(turn, "int8")

    assert kept is before
    assert pair.found.gaps == ()
    assert pair.found.reason == "its pull of this turn has failed"
    assert (await pair.turn()).reason == ""


async def test_what_was_not_compared_leaves_the_alert_as_it_is(pair: Pair, project: GeneratedProject) -> None:
    """A turn in which the two cannot be compared neither confirms nor resolves the alert; the next one that compares
    them does.
    """
    await pair.turn()
    fired = pair.alerts["int8"]
    project.impulses = (Impulse(variants=(Variant("int8"), FLOAT32)),)
    project.retrain()
    turn = pair.process.turn()
    turn.ends(pair.watches["float32"].target.key.id, None)
    await pair.run(turn, "int8")
    apart = pair.alerts["int8"]
    await pair.turn()

    assert fired.phase is Phase.FIRING
    assert pair.alerts["float32"].phase is Phase.INACTIVE
    assert apart == fired
    assert pair.alerts["int8"].phase is Phase.RESOLVED


async def test_a_variant_that_is_pulled_alone(pair: Pair, project: GeneratedProject) -> None:
    """The reference's last results are taken while they are of the same training, and not once they are not."""
    before = await pair.turn()
    await pair.run(pair.process.turn(), "int8")
    alone = pair.found
    project.retrain(quality=-2.0)
    await pair.run(pair.process.turn(), "int8")

    assert alone.gaps == before.gaps
    assert pair.found.gaps == ()
    assert pair.found.reason == "its last results are of another training"


async def test_a_variant_that_is_first_and_alone(pair: Pair) -> None:
    """Before the reference has any results it is said so, and its own figures are there."""
    await pair.run(pair.process.turn(), "int8")

    assert pair.found.reason == "it has no results yet"
    assert pair.snapshots["int8"].state is PullState.OK


async def test_a_slow_reference_is_not_waited_for_long(
    pair: Pair, project: GeneratedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference that does not end holds a run up for a while only."""
    await pair.turn()
    project.retrain(quality=-2.0)
    monkeypatch.setattr("monitor.pipeline.project_turn.LONGEST_WAIT", 0.05)
    turn = pair.process.turn()
    turn.begins(pair.watches["float32"].target.key.id)
    await pair.run(turn, "int8")

    assert pair.found.reason == "its pull of this turn has not ended yet"


def test_reference_variants() -> None:
    """What Studio calls the reference is one, else float32; a variant without either beside it has none."""
    keys = {name: TargetKey(1, 2, name, "testing") for name in ("int8", "float32", "akida")}

    def found(*names: str, references: tuple[str, ...] = ()) -> Discovery:
        targets = tuple(Target(keys[name], "p", "i") for name in names)
        return Discovery(targets, references=tuple(keys[name] for name in references))

    by_name = found("float32", "int8")
    by_studio = found("akida", "float32", "int8", references=("akida",))
    elsewhere = found("int8", "float32", references=("akida",))

    assert by_name.reference_of(keys["int8"]) == keys["float32"]
    assert by_name.reference_of(keys["float32"]) is None
    assert by_studio.reference_of(keys["float32"]) == keys["akida"]
    assert by_studio.reference_of(keys["akida"]) is None
    assert elsewhere.reference_of(keys["int8"]) == keys["float32"]
    assert found("akida", "int8").reference_of(keys["int8"]) is None
    assert by_name.reference_of(TargetKey(1, 3, "int8", "testing")) is None

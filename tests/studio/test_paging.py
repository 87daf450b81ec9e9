"""Paging through servers that legally or illegally depart from what is documented, and through sets that change
meanwhile.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from monitor.errors import Inconsistent, InvalidReply, NoResults
from monitor.results import ResultSet
from monitor.studio import pull as pull_module
from monitor.studio.pull import pull
from tests.studio.odd_studio import KEY, OddStudio, served


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first page of 20 samples, then some 80."""
    monkeypatch.setattr(pull_module, "FIRST_PAGE", 20)
    monkeypatch.setattr(pull_module, "PAGE_BYTES", 16_000)


def content(results: ResultSet) -> list[tuple[int, str]]:
    """Id and label of each sample."""
    return [
        (number, results.labels[code]) for number, code in zip(results.sample_id.tolist(), results.label, strict=True)
    ]


# Readings


@pytest.mark.parametrize("known", [False, True], ids=["first", "known"])
@pytest.mark.parametrize("at", range(1, 26))
async def test_swap_while_paging(counted: Any, at: int, known: bool) -> None:
    """Half of the set deleted and as many added between any two requests: the same count, the same first page, never a
    mixture.
    """
    odd = OddStudio.of(1000)
    old = odd.expected()
    new = [*old[:500], *((5000 + place, "b" if place % 2 else "a") for place in range(500))]

    def swap(number: int) -> None:
        if number == at:
            odd.samples = new

    async with served(odd, counted) as project:
        fingerprint = (await pull(project, KEY)).fingerprint() if known else None
        odd.asked.clear()
        odd.before = swap
        results = content(await pull(project, KEY, known=fingerprint))

    assert results in (old, new)
    assert (results == old) == (len(odd.asked) <= at)  # what was there when the last page was asked for


async def test_set_that_is_swapped_in_each_reading(counted: Any) -> None:
    """A set of which another half is swapped in every reading is given up after a bounded number, and nothing comes of
    it.
    """
    odd = OddStudio.of(200)

    def swap(number: int) -> None:
        if number % 3 == 2:
            odd.samples = [*odd.samples[:100], *((10_000 * number + place, "b") for place in range(100))]

    odd.before = swap
    async with served(odd, counted) as project:
        with pytest.raises(
            Inconsistent, match=r"no two of 5 readings in a row said the same \(two readings in a row differ\)"
        ):
            await pull(project, KEY)

    assert {"changed": 4} == dict(counted.retries)


async def test_samples_that_come_in_front(counted: Any) -> None:
    """A server that lists the newest samples first shows old ones again once new ones came: a change, not a server that
    repeats itself.
    """
    odd = OddStudio.of(200)
    new = [*((5000 + place, "a") for place in range(80)), *odd.samples[:120]]

    def swap(number: int) -> None:
        if number == 2:
            odd.samples = new

    odd.before = swap
    async with served(odd, counted) as project:
        results = content(await pull(project, KEY))

    assert sorted(new) == results
    assert {"changed": 1} == dict(counted.retries)


async def test_relabelling_behind_the_first_page(counted: Any) -> None:
    """A label that changes on a page already read is found, although no count and no first page tells."""
    odd = OddStudio.of(200)

    def relabel(number: int) -> None:
        if number == 3:
            odd.samples[50] = (1050, "c")

    odd.before = relabel
    async with served(odd, counted) as project:
        results = await pull(project, KEY)

    assert (1050, "c") in content(results)


@pytest.mark.parametrize(("count", "new", "pages"), [(20, 2, 1), (12, 2, 1), (21, 3, 1), (60, 3, 1), (200, 7, 3)])
async def test_an_unchanged_set_is_read_once(counted: Any, count: int, new: int, pages: int) -> None:
    """An unchanged set costs one request per page and no more, from the size on that pages had last; one that has
    changed, twice as many.
    """
    odd = OddStudio.of(count)
    async with served(odd, counted) as project:
        fingerprint = (await pull(project, KEY)).fingerprint()
        first = len(odd.asked)
        await pull(project, KEY, known=fingerprint)
        again = len(odd.asked) - first
        odd.samples[0] = (1000, "c")
        await pull(project, KEY, known=fingerprint)
        changed = len(odd.asked) - first - again

    assert (new, pages, 2 * pages) == (first, again, changed)
    assert not counted.retries


async def test_a_set_that_returns_to_what_is_known(counted: Any) -> None:
    """A change that is taken back before the second reading leaves what the pull before took."""
    odd = OddStudio.of(20)
    async with served(odd, counted) as project:
        fingerprint = (await pull(project, KEY)).fingerprint()
        odd.asked.clear()
        odd.before = lambda number: odd.samples.__setitem__(0, (1000, "b" if number else "c"))
        results = await pull(project, KEY, known=fingerprint)

    assert fingerprint == results.fingerprint()
    assert 2 == len(odd.asked)


async def test_values_that_are_not_known_are_counted_once_a_pull(counted: Any) -> None:
    """The second reading counts nothing twice."""
    odd = OddStudio.of(20)
    result = odd._result
    odd._result = lambda number: result(number) | {"classifications": [{"learnBlock": {"id": 3, "type": "new"}}]}  # type: ignore[method-assign]
    async with served(odd, counted) as project:
        await pull(project, KEY)

    assert {"learn_block_type": 1} == dict(counted.fields)


# Servers


SERVERS: dict[str, dict[str, Any]] = {
    "documented": {},
    "no total": {"total": False},
    "no limit": {"limit": False},
    "no limit, no total": {"limit": False, "total": False},
    "no limit, no offset": {"limit": False, "offset": False},
    "no limit, no offset, no total": {"limit": False, "offset": False, "total": False},
    "capped at 7": {"cap": 7},
    "capped at 7, no total": {"cap": 7, "total": False},
    "capped at 30": {"cap": 30},
    "capped at 30, no total": {"cap": 30, "total": False},
    "refused above 30": {"maximum": 30},
    "refused above 30, no total": {"maximum": 30, "total": False},
}


@pytest.mark.parametrize("count", [2, 7, 19, 20, 21, 40, 200, 503])
@pytest.mark.parametrize("name", SERVERS)
async def test_servers(counted: Any, name: str, count: int) -> None:
    """However a server pages, the set is whole, and an unchanged one costs a bounded number of requests."""
    odd = OddStudio.of(count, **SERVERS[name])
    async with served(odd, counted) as project:
        results = await pull(project, KEY)
        odd.asked.clear()
        await pull(project, KEY, known=results.fingerprint())

    assert odd.expected() == content(results)
    assert len(odd.asked) <= 6 + count / min(20, odd.cap or 20)
    assert not counted.retries


@pytest.mark.parametrize("total", [True, False])
async def test_refused_limit_is_asked_for_once(counted: Any, total: bool) -> None:
    """After a limit was refused no larger one than has worked is asked for again in that pull."""
    odd = OddStudio.of(503, maximum=30, total=total)
    async with served(odd, counted) as project:
        await pull(project, KEY)

    refused = [place for place, (_, limit) in enumerate(odd.asked) if limit > 30]
    assert 1 <= len(refused) <= 3  # those that were under way together
    assert max(refused) < 5


@pytest.mark.parametrize("count", [20, 60, 500])
async def test_offset_that_is_ignored_without_total(counted: Any, count: int) -> None:
    """A server that keeps to `limit` and repeats itself is inconsistent at once, not after the deadline."""
    odd = OddStudio.of(count, offset=False, total=False)
    async with served(odd, counted) as project:
        with pytest.raises(Inconsistent, match="the server seems not to know `offset`"):
            await pull(project, KEY)

    assert len(odd.asked) <= 12
    assert not counted.retries


async def test_offset_that_is_ignored(counted: Any) -> None:
    """With a total, too, what comes again and again is never taken for the whole set."""
    odd = OddStudio.of(200, offset=False)
    async with served(odd, counted) as project:
        with pytest.raises(Inconsistent):
            await pull(project, KEY)

    assert len(odd.asked) <= 20


@pytest.mark.parametrize("counts_left_out", [True, False], ids=["total of all", "total of those with results"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(4))
async def test_short_pages(counted: Any, seed: int, share: float, counts_left_out: bool) -> None:
    """Where pages leave out the samples without results, all others arrive, each once."""
    chance = random.Random(seed)
    left_out = frozenset(place for place in range(400) if chance.random() < share)
    odd = OddStudio.of(400, left_out=left_out, counts_left_out=counts_left_out)
    async with served(odd, counted) as project:
        results = await pull(project, KEY)
        odd.asked.clear()
        await pull(project, KEY, known=results.fingerprint())

    assert odd.expected() == content(results)
    assert len(odd.asked) <= 400 / 20 + 3
    assert not counted.retries


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
async def test_short_pages_without_total(counted: Any, share: float) -> None:
    """Without a total, too, what pages leave out hides nothing else, as long as no page is empty."""
    chance = random.Random(1)
    odd = OddStudio.of(400, left_out=frozenset(place for place in range(400) if chance.random() < share), total=False)
    async with served(odd, counted) as project:
        assert odd.expected() == content(await pull(project, KEY))


@pytest.mark.parametrize(
    "left_out", [range(20), range(15, 130), range(350, 400), range(0, 400, 2), range(1, 400), range(399)], ids=repr
)
async def test_long_gaps(counted: Any, left_out: range) -> None:
    """Pages that are empty because all of their samples lack results do not end a reading that knows the total."""
    odd = OddStudio.of(400, left_out=frozenset(left_out))
    async with served(odd, counted) as project:
        results = await pull(project, KEY)

    assert odd.expected() == content(results)


@pytest.mark.parametrize("beyond", [10**6, 2**62])
async def test_total_far_beyond_the_set(counted: Any, beyond: int) -> None:
    """A total that no page ever reaches costs a bounded number of requests, not as many as a pull has time for."""
    odd = OddStudio.of(100, beyond=beyond)
    async with served(odd, counted) as project:
        with pytest.raises(
            Inconsistent,
            match=f"100 samples came where totalCount says {100 + beyond}, and 300 pages in a row were empty",
        ):
            await pull(project, KEY)
        assert len(odd.asked) < 320

        odd.left_out = frozenset(range(100))
        odd.asked.clear()
        with pytest.raises(NoResults):
            await pull(project, KEY)
    assert len(odd.asked) < 320


async def test_a_hole_in_full_pages(counted: Any) -> None:
    """Fewer samples than the total are no whole set where no page came short."""
    odd = OddStudio.of(100)
    odd.samples[70] = odd.samples[10]
    async with served(odd, counted) as project:
        with pytest.raises(Inconsistent, match="99 samples came where totalCount says 100"):
            await pull(project, KEY)


# What is no result set of the target


@pytest.mark.parametrize("total", [True, False])
async def test_no_prediction_at_all(counted: Any, total: bool) -> None:
    """Samples without a single prediction are no results, not a good pull without figures."""
    odd = OddStudio.of(30, predictions=False, total=total)
    async with served(odd, counted) as project:
        with pytest.raises(NoResults, match="no prediction"):
            await pull(project, KEY)
        assert not await project.has_results(1, "int8", "testing")


async def test_no_sample_with_results(counted: Any) -> None:
    """A set of which pages leave out every sample is empty."""
    odd = OddStudio.of(30, left_out=frozenset(range(30)))
    async with served(odd, counted) as project:
        with pytest.raises(NoResults):
            await pull(project, KEY)
        assert not await project.has_results(1, "int8", "testing")


async def test_results_behind_a_gap(counted: Any) -> None:
    """A first sample without results does not mean that there are none, which would cost a job at each pull."""
    odd = OddStudio.of(30, left_out=frozenset(range(5)))
    async with served(odd, counted) as project:
        assert await project.has_results(1, "int8", "testing")


async def test_another_category(counted: Any) -> None:
    """Samples of another category than was asked for end the pull at once, and both are named."""
    odd = OddStudio.of(30, category="training")
    async with served(odd, counted) as project:
        with pytest.raises(InvalidReply, match="'training' came where 'testing' was asked for"):
            await pull(project, KEY)

    assert 1 == len({offset for offset, _ in odd.asked})


async def test_no_category(counted: Any) -> None:
    """Samples that name no category pass: older servers send none."""
    odd = OddStudio.of(30, category=None)
    async with served(odd, counted) as project:
        assert 30 == (await pull(project, KEY)).samples

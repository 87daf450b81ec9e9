"""No test depends on being scheduled in time: none sleeps for a while, hoping that something has happened, or not, by
its end, and none asserts that something takes only so many seconds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST_POLL = 0.2
"""Seconds that a loop which waits for a condition may sleep between two looks."""

EXCEPTIONS = {
    "benchmarks/alert_kill.py:one_round": "kills a process at a moment that is drawn, and looks after what it waited "
    "for for more",
    "benchmarks/cost/_pull_service.py:_measure": "measures a program for as long as it is told",
    "benchmarks/cost/_pull_sides.py:lag": "measures by how much it sleeps longer than it asked for",
    "benchmarks/cost/_probed_service.py:probe": "measures by how much it sleeps longer than it asked for",
    "benchmarks/cost/fleet.py:pulled": "measures programs for as long as it is told",
    "benchmarks/cost/fleet.py:queue_turns": "measures turns for as long as it is told",
    "benchmarks/cost/process.py:run": "measures a program for as long as it is told",
    "benchmarks/cost/store.py:_held": "measures by how much it sleeps longer than it asked for",
    "benchmarks/store_kill.py:killed": "kills a process at a moment that is drawn",
    "benchmarks/page_times.py:measure": "measures a service that has been up for a while: any longer is as good",
    "benchmarks/page_times.py:timed": "measures by how much the loop is held",
    "chaos/kills.py:one_round": "kills a process at a moment that is drawn, and looks after what it waited for for "
    "more",
    "chaos/members.py:Trial": "keeps processes frozen, and servers stopped, for as long as it is told",
    "chaos/members_studio.py:change": "lets models change now and then: any other moment is as good",
    "fleet/test_fleet_session.py:test_a_project_that_comes_back": "lets a second pass by the server's clock: any more "
    "is as good",
    "service_process.py:Service": "a rendered page is kept for a second: any later is as good",
    "store/fixtures/make_store.py:until": "makes a fixture by hand: no test runs it",
    "store/test_store_cancellation.py:test_cancelled_at_any_moment": "cancels at moments that are drawn",
    "store/test_store_cancellation.py:test_cancelled_while_it_waits_for_a_lock": "the lock is held as long as it takes",
    "store/test_store_failures.py:test_closes_without_an_answer": "the server is stopped: any later is as good",
    "store/test_store_failures.py:test_locked_for_a_moment": "the lock is held as long as it takes",
    "store/test_store_lock.py:test_one_at_a_time": "makes transactions overlap that must wait for each other: any "
    "longer is as good",
    "web/test_web_connections.py:read_slowly": "is a client that reads too slowly: any slower is as good",
    "waiting.py:until": "what others poll with",
    "waiting.py:wait_until": "what others poll with",
}
"""Sleeps in real time that are meant, by file and function, each with why a busy machine does it no harm."""


HANGING = 60.0
"""Seconds from which a limit only ends what hangs."""
MEASURING = ("benchmarks", "chaos")
"""Folders whose programs measure, and print what they intended beside it."""
CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "default_timer")
"""The names of what tells seconds, as a function or a method; each may end in `_ns`."""
LOOKED_AT = re.compile(rf"\b({'|'.join(CLOCKS)})(_ns)?\(\)")
"""A clock that is looked at: modules without it need not be parsed."""


def _is_scheduled(tree: ast.Module) -> bool:
    """Whether all tests of a module run in scheduled time."""
    return any(
        isinstance(node, ast.Assign) and "usefixtures" in ast.dump(node) and "'clock'" in ast.dump(node)
        for node in tree.body
    )


def _runs_scheduled(node: ast.FunctionDef | ast.AsyncFunctionDef, around: bool) -> bool:
    """Whether a function runs in scheduled time, given whether what it is in does."""
    takes = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    marked = any("real_time" in ast.dump(decorator) for decorator in node.decorator_list)
    return (around or "clock" in takes) and not marked


def _sleeps(tree: ast.Module) -> Iterator[tuple[str, bool, float | None, bool]]:
    """Each sleep: the function it is in, whether that runs in scheduled time, its seconds where they are constant, and
    whether it is in a loop of that function."""

    def walk(node: ast.AST, name: str, in_time: bool, in_loop: bool) -> Iterator[tuple[str, bool, float | None, bool]]:
        for child in ast.iter_child_nodes(node):
            inside = (name, in_time, in_loop or isinstance(child, ast.While))
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = (name or child.name, _runs_scheduled(child, in_time), False)
            elif isinstance(child, ast.ClassDef):
                inside = (name or child.name, in_time, False)
            elif isinstance(child, ast.Call) and "sleep" in (
                getattr(child.func, "attr", ""),
                getattr(child.func, "id", ""),
            ):
                yield name, in_time, _constant(child.args[0]), in_loop
            yield from walk(child, *inside)

    yield from walk(tree, "", _is_scheduled(tree), False)


def _constant(node: ast.expr) -> float | None:
    """The value of a number; None where it is computed."""
    return float(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, int | float) else None


def offences(text: str) -> list[tuple[str, float | None]]:
    """The sleeps in real time that neither poll nor only let others go first: the function of each, and its seconds."""
    if "sleep" not in text:
        return []
    return [
        (name, seconds)
        for name, in_time, seconds, in_loop in _sleeps(ast.parse(text))
        if not in_time and seconds != 0 and not (in_loop and seconds is not None and seconds <= LONGEST_POLL)
    ]


@pytest.mark.slow
def test_nobody_sleeps() -> None:
    """What sleeps in real time polls a condition, or is an exception with its reason; no exception is left over."""
    found = {
        f"{path.relative_to(TESTS)}:{name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name, _ in offences(path.read_text(encoding="utf-8"))
    }

    assert found == EXCEPTIONS.keys()
    assert all(EXCEPTIONS.values())


MARK = "pytestmark = pytest.mark.usefixtures('clock')\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("async def f():\n    await asyncio.sleep(0.1)", [("f", 0.1)]),
        ("async def f():\n    while not x:\n        await asyncio.sleep(0.5)", [("f", 0.5)]),
        ("async def f():\n    while not x:\n        await asyncio.sleep(0.1)\n    await sleep(n)", [("f", None)]),
        ("async def f():\n    while not x:\n        async def g():\n            await sleep(0.1)", [("f", 0.1)]),
        ("def f():\n    time.sleep(1)", [("f", 1.0)]),
        ("def f():\n    for _ in range(3):\n        time.sleep(0.1)", [("f", 0.1)]),
        ("async def f(clock):\n    await asyncio.sleep(60)", []),
        (f"{MARK}async def f():\n    await asyncio.sleep(60)", []),
        (f"{MARK}@pytest.mark.real_time\nasync def f():\n    await asyncio.sleep(60)", [("f", 60.0)]),
        ("async def f():\n    await asyncio.sleep(0)", []),
    ],
)
def test_what_counts_as_sleeping(text: str, found: list[tuple[str, float | None]]) -> None:
    """A pause, a long poll and a time that is not written as a number count; polls, turns and scheduled time do not."""
    assert found == offences(text)


def limits(text: str) -> list[str]:
    """The functions that compare seconds which they measured in real time with what they did not measure, to see
    whether they are at most that, or about that.
    """
    if not LOOKED_AT.search(text):
        return []
    tree = ast.parse(text)
    scheduled = _is_scheduled(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _runs_scheduled(node, scheduled):
            names = _measured_names(node)
            compared = (child for child in ast.walk(node) if isinstance(child, ast.Compare))
            found += [node.name] * any(_limits(comparison, names) for comparison in compared)
    return found


def _limits(comparison: ast.Compare, names: set[str]) -> bool:
    """Whether measured seconds are to be at most, or about, what is neither measured nor long."""
    sides = [comparison.left, *comparison.comparators]
    for left, operator, right in zip(sides, comparison.ops, sides[1:], strict=False):
        pairs = [(left, right), (right, left)]
        if isinstance(operator, ast.Lt | ast.LtE):
            pairs = pairs[:1]
        elif isinstance(operator, ast.Gt | ast.GtE):
            pairs = pairs[1:]
        for seconds, most in pairs:
            if _is_measured(seconds, names) and not _is_measured(most, names) and (_constant(most) or 0) < HANGING:
                return True
    return False


def _measured_names(function: ast.AST) -> set[str]:
    """The variables of a function that hold measured seconds, or lists of them."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _is_measured(node.value, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
            holder = node.func.value
            if isinstance(holder, ast.Name) and _is_measured(node.args[0], names):
                names.add(holder.id)
    return names


def _is_measured(node: ast.AST, names: set[str]) -> bool:
    """Whether a value is made of a clock's difference to an earlier time; a moment some seconds ago is no such."""
    return any(
        (isinstance(child, ast.Name) and child.id in names)
        or (
            isinstance(child, ast.BinOp)
            and isinstance(child.op, ast.Sub)
            and _constant(child.right) is None
            and any(map(_tells_time, (child.left, child.right)))
        )
        for child in ast.walk(node)
    )


def _tells_time(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or node.args:
        return False
    name = str(getattr(node.func, "attr", getattr(node.func, "id", "")))
    return name.removesuffix("_ns") in CLOCKS


def test_nobody_asserts_seconds() -> None:
    """What things cost is asserted as a ratio (`tests/growth.py`), and measured in seconds by benchmarks alone."""
    paths = (path.relative_to(TESTS) for path in sorted(TESTS.rglob("*.py")))
    tested = [path for path in paths if path.parts[0] not in MEASURING]
    found = [f"{path}:{name}" for path in tested for name in limits((TESTS / path).read_text(encoding="utf-8"))]

    assert [] == found


BEGAN = "    began = time.process_time()\n    work()\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"def f():\n{BEGAN}    assert time.process_time() - began < 1", ["f"]),
        (f"async def f():\n{BEGAN}    took = perf_counter() - began\n    assert took <= SECONDS", ["f"]),
        (f"def f():\n{BEGAN}    took.append(time.monotonic() - began)\n    assert 0.3 > min(took)", ["f"]),
        (f"def f():\n{BEGAN}    assert time.monotonic_ns() - began == pytest.approx(2, abs=1)", ["f"]),
        (f"def f():\n{BEGAN}    took = loop.time() - began\n    assert 0 < took < 5", ["f"]),
        (f"def f():\n{BEGAN}    assert time.monotonic() - began < 60", []),
        (f"def f():\n{BEGAN}    assert time.monotonic() - began >= 0.2", []),
        (f"def f():\n{BEGAN}    spent = time.process_time() - began\n    assert spent < 30 * (clock() - x)", ["f"]),
        (f"def f():\n{BEGAN}    a.append(time.time() - began)\n    assert a[1] < 8 * a[0]", []),
        ("def f():\n    before = time.time() - 300\n    assert alert.began < before", []),
        ("def f():\n    end = time.monotonic() + 10\n    while time.monotonic() < end:\n        pass", []),
        (f"async def f(clock):\n{BEGAN}    assert time.monotonic() - began < 1", []),
        (f"{MARK}async def f():\n{BEGAN}    assert time.monotonic() - began < 1", []),
        (f"{MARK}@pytest.mark.real_time\nasync def f():\n{BEGAN}    assert time.monotonic() - began < 1", ["f"]),
    ],
)
def test_what_counts_as_asserting_seconds(text: str, found: list[str]) -> None:
    """Limits and expected times count, by a number or a name; ratios, lower bounds, scheduled time, and limits that
    only end what hangs do not.
    """
    assert found == limits(text)

"""Sharding: the published algorithm, and targets that move only where they must."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from monitor.engine.sharding import WHOLE, Shard, jump, stable_hash
from monitor.targets import TargetKey

pytestmark = pytest.mark.usefixtures("clock")

KEYS = [
    TargetKey(project, impulse, variant, category)
    for project in range(1000, 2000)
    for impulse in (1, 4)
    for variant in ("int8", "float32")
    for category in ("testing", "training")
]


def owner(key: TargetKey, total: int) -> int:
    """The one shard that owns the target."""
    (index,) = [index for index in range(total) if Shard(index, total).owns(key)]
    return index


@pytest.mark.parametrize(
    ("key", "buckets", "expected"),
    [
        (0, 60, 0),
        (1, 1, 0),
        (1, 60, 55),
        (2, 60, 46),
        (42, 57, 43),
        (256, 1024, 520),
        (0xDEAD10CC, 1, 0),
        (0xDEAD10CC, 666, 361),
        (16045690984833335023, 255, 237),
    ],
)
def test_published_vectors(key: int, buckets: int, expected: int) -> None:
    """Other implementations' test vectors come out."""
    actual = jump(key, buckets)

    assert expected == actual


def test_every_target_has_one_owner() -> None:
    """Each target belongs to exactly one shard, whatever their number."""
    for total in range(1, 12):
        for key in KEYS[:200]:
            owners = [index for index in range(total) if Shard(index, total).owns(key)]

            assert 1 == len(owners)


@pytest.mark.slow
@pytest.mark.parametrize("total", [2, 3, 5, 8, 13])
def test_one_more_shard_moves_its_own_share(total: int) -> None:
    """Going from n - 1 to n shards moves 1/n of the targets, and all of them to the new shard."""
    moved = [owner(key, total) for key in KEYS if owner(key, total) != owner(key, total - 1)]

    assert {total - 1} == set(moved)
    assert len(KEYS) / total == pytest.approx(len(moved), rel=0.15)


@pytest.mark.parametrize("total", [2, 3, 5, 8, 13])
def test_shards_are_balanced(total: int) -> None:
    """The shards' numbers of targets differ by no more than chance makes them (chi-squared under its 99.9 % point)."""
    counts = [0] * total
    for key in KEYS:
        counts[owner(key, total)] += 1
    even = len(KEYS) / total

    assert (
        sum((count - even) ** 2 / even for count in counts) < {1: 10.8, 2: 13.8, 4: 18.5, 7: 24.3, 12: 32.9}[total - 1]
    )


def test_golden_owners() -> None:
    """The owner of a target stays the same over versions: a change here moves every user's targets."""
    keys = [
        TargetKey(101, 1, "int8", "testing"),
        TargetKey(101, 1, "float32", "testing"),
        TargetKey(12345, 4, "akida", "training"),
    ]
    expected = [
        (16450374102719807145, 0, 0, 0),  # from sha256sum and the paper's C code
        (11280921771208310109, 1, 2, 3),
        (15655250643030705083, 1, 1, 1),
    ]

    actual = [(stable_hash(key), owner(key, 2), owner(key, 3), owner(key, 5)) for key in keys]

    assert expected == actual


def test_same_in_every_process() -> None:
    """Another process with another hash seed finds the same owners."""
    script = (
        "import json;from monitor.engine.sharding import Shard;from monitor.targets import TargetKey;"
        "print([i for i in range(100) if Shard(2, 7).owns(TargetKey(i, 1, 'int8', 'testing'))])"
    )
    expected = [number for number in range(100) if Shard(2, 7).owns(TargetKey(number, 1, "int8", "testing"))]

    seed = str(random.randrange(1, 2**32))
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )

    assert str(expected) == run.stdout.strip()


@pytest.mark.parametrize(
    ("index", "total", "message"),
    [
        (0, 0, "there cannot be 0 shards; the total must be at least 1"),
        (0, -2, "there cannot be -2 shards; the total must be at least 1"),
        (3, 3, "there is no shard 3 of 3; the index must be from 0 to 2"),
        (-1, 3, "there is no shard -1 of 3; the index must be from 0 to 2"),
        (1, 1, "there is no shard 1 of 1; the index must be 0"),
    ],
)
def test_impossible_shards(index: int, total: int, message: str) -> None:
    """A shard that cannot be says so, and what may be written."""
    with pytest.raises(ValueError) as error:  # noqa: PT011  the whole message is compared
        Shard(index, total)

    assert message == str(error.value)


def test_alone_by_default() -> None:
    """One shard of one owns everything."""
    assert Shard() == WHOLE
    assert all(WHOLE.owns(key) for key in KEYS)

"""A store read without changing it."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from monitor.store import StoreError
from monitor.store.survey import Survey, survey
from tests.store.quiet_runs import DAY, KNOWN, record


async def test_survey(tmp_path: Path) -> None:
    """A store is read as it is: nothing of one that is not there, the last year of one that is, whether its groups are
    too few, and why one cannot be read.
    """
    file = tmp_path / "store.db"
    url, now = f"sqlite:///{file}", time.time()
    missing = await survey(url, now, servers=False)
    await record(url, [400, 100, 50, 0])
    await record(url, [0], target="9-2-int8-testing", groups=3)
    found, few = (await survey(url, now, servers=False)).targets
    connection = sqlite3.connect(file)
    connection.execute("UPDATE figures SET comparison = '{}', evaluation = '{}'")
    connection.commit()
    connection.close()
    damaged, also = (await survey(url, now, servers=False)).targets
    file.write_bytes(b"no database" * 1000)

    assert Survey() == missing
    assert (3, 1, pytest.approx(100 * DAY, abs=60)) == (found.changed, found.trainings, found.seconds)
    assert KNOWN.powers == (found.comparison.powers if found.comparison else None)
    assert (False, True, False) == (found.undecided, few.undecided, also.undecided)
    assert damaged.comparison is None
    with pytest.raises(StoreError):
        await survey(url, now, servers=False)


async def test_survey_of_a_server(postgresql: str) -> None:
    """A database server is asked only where that is wanted."""
    await record(postgresql, [400, 100, 50, 0])
    now = time.time()
    (found,) = (await survey(postgresql, now, servers=True)).targets

    assert Survey() == await survey(postgresql, now, servers=False)
    assert (3, 1, pytest.approx(100 * DAY, abs=60)) == (found.changed, found.trainings, found.seconds)
    assert KNOWN.powers == (found.comparison.powers if found.comparison else None)

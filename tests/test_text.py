"""Names of any length, as series and pages have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.simulator import Studio, projects, serve
from monitor.simulator.kinds import Classification
from monitor.text import LONGEST_NAME, printable, shown, spreadsheet
from tests.service_process import Service

LONG = "n" * 100_000


@given(st.text(max_size=LONGEST_NAME))
def test_short_names_stay(name: str) -> None:
    """A name of at most 256 characters is what it is."""
    assert name == shown(name)


@pytest.mark.parametrize(
    ("text", "legible"),
    [
        ("Größe 蛇 👩\u200d🔬 نام\u200cها", "Größe 蛇 👩\u200d🔬 نام\u200cها"),
        ("\x1b[2J\x9b\x07\x7f", "\ufffd[2J\ufffd\ufffd\ufffd"),
        ("a\r\n\t\u2028b", "a\ufffd\ufffd\ufffd\ufffdb"),
        ("\u202egpj.exe\u2066\u200f\u061c", "\ufffdgpj.exe\ufffd\ufffd\ufffd"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_eyes_see_what_there_is(text: str, legible: str) -> None:
    """Letters of any script stay with what joins them; what commands a terminal or turns the writing is marked."""
    assert legible == printable(text)


FORMULAS = [
    *("=1", "+1+1", "-1+1", "@SUM(A1)", "--1", "+", "-1;2", "-1\n=2"),
    *("\t=1", "\r=1", "\n=1", "\x00=1", "\n", "\x1b[2J"),
    *(" =1", "\u00a0+1", "\ufeff=1", "\u200b@x"),
    *("\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"),
]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text: str) -> None:
    """What a spreadsheet would take for a formula has an apostrophe before it."""
    assert f"'{text}" == spreadsheet(text)


@pytest.mark.parametrize("text", ["", "idle", "1=1", "-3.5", "+2", "-1e-3", "'=1", " 1=1", "\u202egpj.exe", "\u2014a"])
def test_other_fields_stay(text: str) -> None:
    """Names and plain numbers stay as they are."""
    assert text == spreadsheet(text)


@given(st.text(min_size=LONGEST_NAME + 1, max_size=2 * LONGEST_NAME), st.text(min_size=1, max_size=5))
def test_long_names_stay_apart(name: str, end: str) -> None:
    """A longer one is cut to 256 characters, also a second time; two that differ beyond them stay two."""
    assert LONGEST_NAME == len(shown(name))
    assert shown(name) == shown(shown(name))
    assert shown(name)[:200] == name[:200]
    assert shown(name) != shown(name + end)


def test_lone_surrogates_are_cut() -> None:
    """What cannot be encoded can be cut."""
    assert LONGEST_NAME == len(shown("\ud83d" * 1000))


async def test_series_and_pages_stay_small(tmp_path: Path) -> None:
    """Project, impulse and classes of 100 kB each: series and pages have them cut, each class its own series."""
    project = projects.classification(101, f"{LONG}p", sizes={"testing": 40})
    project.kind = Classification(labels=tuple(f"{LONG}{place}" for place in range(3)))
    async with serve(Studio([project])) as url:
        service = Service(tmp_path / "monitor.yaml", Studio([project]), url)
        service.content["schedule"] = {"every": "1h"}
        service.write()
        await service.app.start()
        try:
            await service.pulled("101-1-int8-testing")
            _, series = await service.get("/metrics")
            pages = [(await service.get(path))[1] for path in ("/", "/targets/101-1-int8-testing")]
        finally:
            await service.app.stop()

    classes = {line for line in series.splitlines() if line.startswith("edge_impulse_class_windows{")}
    assert 3 == len(classes)
    assert all("n" * 300 not in text for text in (series, *pages))
    assert all("n" * 200 in text for text in (series, *pages))

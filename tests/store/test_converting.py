"""What msgspec reads, it has looked up while the modules were imported, before there are threads."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from monitor.alerts.states import AlertState, Phase, Transition
from monitor.converting import converter
from monitor.live.discoveries import as_discovery
from monitor.store.documents import dump_comparison, dump_evaluation
from monitor.store.state_documents import dump_alert_state, dump_drift_state, dump_transition
from monitor.studio.discovery import Discovery
from monitor.targets import Target, TargetKey
from tests.store.store_sets import COMPARISON, EVALUATION, drift_state

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "monitor"

FOUND = Discovery(
    (Target(TargetKey(7, 1, "int8", "testing"), "Bottles", "Small", {"team": "edge"}),), 1e9, frozenset(["bad"])
)


@pytest.mark.slow
def test_first_reads_at_once(tmp_path: Path) -> None:
    """No process ends by a signal in which eight threads read their first documents of every kind at the same time."""
    transition = Transition(
        "id", "firing", "AccuracyDropped", "warning", "7-1-int8-testing", {"a": "b"}, {"c": "d"}, 1.0
    )
    documents = {
        "pull": (TESTS / "data" / "studio-api-page.json").read_bytes(),
        "rows": b'[[{"idle": 0.25, "wave": 0.75}]]',
        "page": (TESTS / "data" / "studio-api-page.json").read_bytes(),
        "evaluation": dump_evaluation(EVALUATION),
        "comparison": dump_comparison(COMPARISON),
        "memory": dump_drift_state(drift_state()),
        "state": dump_alert_state(AlertState("AccuracyDropped", "7-1-int8-testing", "digest", Phase.FIRING)),
        "transition": dump_transition(transition),
        "discovery": msgspec.json.encode(FOUND),
    }
    (tmp_path / "documents").write_bytes(pickle.dumps(documents))
    command = [sys.executable, str(TESTS / "store" / "first_reads.py"), str(tmp_path / "documents"), "50", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def late(path: Path) -> Iterator[str]:
    """Places of a module where msgspec meets a type while the module is used."""
    tree = ast.parse(path.read_text("utf-8"))
    within = {
        id(node)
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(each)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        names_a_type = any(keyword.arg == "type" for keyword in node.keywords) and called.endswith("decode")
        made_late = (
            id(node) in within
            and called.rpartition(".")[2] in ("Decoder", "converter", "convert")
            and called != "convert"
        )
        if names_a_type or made_late:
            yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.slow
def test_nothing_is_looked_up_late() -> None:
    """No function hands msgspec a type, or makes a decoder: they stand at the top of their modules."""
    found = [place for path in sorted(PACKAGE.rglob("*.py")) if path.name != "converting.py" for place in late(path)]

    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "msgspec.json.decode(b, type=X)",
        "msgspec.convert(b, X)",
        "msgspec.msgpack.Decoder(X).decode(b)",
        "converter(X)(b)",
    ],
)
def test_late_is_seen(line: str, tmp_path: Path) -> None:
    """The look above sees each of the ways to hand msgspec a type."""
    (tmp_path / "module.py").write_text(f"def load(b):\n    return {line}\n", encoding="utf-8")

    assert len(list(late(tmp_path / "module.py"))) == 1


def test_discovery() -> None:
    """A discovery comes back from its JSON; anything else is a ValueError."""
    assert as_discovery(msgspec.json.decode(msgspec.json.encode(FOUND))) == FOUND
    with pytest.raises(ValueError, match=r"Expected `(array|object)`"):
        as_discovery({"targets": 1})


def test_strict() -> None:
    """Texts are numbers only where that was asked for."""
    assert converter(float, strict=False)("NaN") != 0.0
    with pytest.raises(ValueError, match="Expected `float`"):
        converter(float)("1.0")

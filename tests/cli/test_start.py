"""What a start loads, and what it says where an optional package is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "aiohttp", "alembic", "apprise", "apscheduler", "asyncpg", "bcrypt", "cryptography", "jinja2", "msgspec",
    "numpy", "prometheus_client", "pydantic", "rich", "sqlalchemy", "stamina", "structlog", "uvloop", "yaml",
}  # fmt: skip
LISTED = """
import sys
try:
    from monitor.__main__ import main
    main()
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
WITHOUT = """
import sys
sys.modules[sys.argv.pop(1)] = None
from monitor.__main__ import main
main()
"""
CONFIG = """
projects: [{id: 1, api_key: ei_0123456789}]
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["run", "--help"], ["samples", "--help"], ["metrics"]]
)
def test_nothing_heavy_is_loaded(arguments: list[str]) -> None:
    """What only says what there is loads no library but click; a command that computes loads what it needs."""
    ended = python(LISTED, *arguments)

    assert ended.returncode == 0, ended.stderr
    loaded = set(ended.stdout.rpartition("loaded:")[2].split())
    assert {"click", "monitor"} <= loaded
    assert loaded & HEAVY if arguments == ["metrics"] else not loaded & HEAVY


@pytest.mark.parametrize(
    ("module", "written", "place", "said"),
    [
        (
            "asyncpg",
            "store: postgresql://user@127.0.0.1/database\n",
            "store",
            "needs PostgreSQL's driver asyncpg, which is not installed; install it with: "
            "pip install 'impulse-monitor[postgresql]'",
        ),
        (
            "apprise",
            "notify: [{apprise: {url: 'json://127.0.0.1'}}]\n",
            "notify",
            "needs the package apprise, which is not installed; install it with: "
            "pip install 'impulse-monitor[apprise]'",
        ),
    ],
)
def test_a_missing_extra_is_named(tmp_path: Path, module: str, written: str, place: str, said: str) -> None:
    """A configuration that needs an optional package which is missing says which, at its line, and how to install it;
    one that does not need it is valid.
    """
    file = tmp_path / "monitor.yaml"
    file.write_text(CONFIG + written, encoding="utf-8")
    missing = python(WITHOUT, module, "check", "--config", str(file))
    file.write_text(CONFIG, encoding="utf-8")
    needless = python(WITHOUT, module, "check", "--config", str(file))

    assert (missing.returncode, missing.stderr) == (1, "")
    assert any(place in line and line.endswith(said) for line in missing.stdout.splitlines()), missing.stdout
    assert needless.returncode == 0, needless.stdout + needless.stderr

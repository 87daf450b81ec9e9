"""Wrong usage of each command: one line that says what to do, on stderr; and what is on stdout and what is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.commands import run

TARGET = "101-1-int8-testing"
WRONG = {
    "sample x": "impulse-monitor: No such command 'sample', did you mean samples?",
    "nonsense": "impulse-monitor: No such command 'nonsense'",
    "--nonsense": "impulse-monitor: No such option '--nonsense'",
    "alerts --format csv": "Invalid value for '--format': 'csv' is not one of 'table', 'json'",
    "baseline nonsense": "impulse-monitor baseline: No such command 'nonsense'",
    "baseline clear": "Missing argument 'TARGET'",
    "baseline pin": "Missing argument 'TARGET'",
    "baseline pin x --run y": "'y' is not a valid integer",
    "baseline show --format csv": "'csv' is not one of 'table', 'json'",
    "check extra": "Got unexpected extra argument (extra)",
    "check --shard.total 0": "0 is not in the range x>=1",
    "demo --listen nowhere": "'--listen': write HOST:PORT",
    "history --since soon": "'--since': is not a duration; write a number and a unit",
    "init --project 0": "0 is not in the range x>=1",
    "metrics extra": "Got unexpected extra argument (extra)",
    "notify test a b": "impulse-monitor notify test: Got unexpected extra argument (b)",
    "pull --project abc": "'abc' is not a valid integer",
    "rules extra": "Got unexpected extra argument (extra)",
    "run --log.level loud": "'loud' is not one of 'debug', 'info', 'warning', 'error'",
    "run --shard.index 3": "there is no shard 3 of 1; the index must be 0",
    "samples": "impulse-monitor samples: Missing argument 'TARGET'",
    "samples x --kind worse": "'worse' is not one of 'newly-wrong', 'fixed', 'relabelled'",
    "simulate --load nowhere": "Path 'nowhere' does not exist",
    "simulate --fault nonsense": "nonsense: no such name; there are ",
    "store copy": "impulse-monitor store copy: Missing argument 'FROM'",
    "store copy mysql://a sqlite:///b.db": "write one of the two",
}


@pytest.mark.parametrize("command", WRONG)
def test_wrong_usage_is_one_line(command: str) -> None:
    """It names the command, what is wrong and where to look, and is exit code 2."""
    result = run(*command.split())
    name = result.stderr.partition(":")[0]

    assert (2, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n")), result.stderr
    assert WRONG[command] in result.stderr
    assert result.stderr.endswith(f"; see {name} --help\n")
    assert command.startswith("-") or name.startswith("impulse-monitor")


@pytest.mark.parametrize("group", [(), ("baseline",), ("notify",), ("store",)])
def test_a_group_alone_prints_its_help(group: tuple[str, ...]) -> None:
    """What may follow is the answer to a group without a command, and exit code 2."""
    result = run(*group)

    assert (2, "") == (result.exit_code, result.stdout)
    assert run(*group, "--help").stdout == result.stderr


NEED_CONFIG = [
    ("alerts",),
    ("baseline", "show"),
    ("baseline", "pin", TARGET),
    ("baseline", "clear", TARGET),
    ("history",),
    ("notify", "test"),
    ("pull",),
    ("rules",),
    ("run",),
    ("samples", TARGET),
]


@pytest.mark.parametrize("command", NEED_CONFIG, ids=" ".join)
def test_no_configuration(command: tuple[str, ...], tmp_path: Path) -> None:
    """A file that is not there is a line on stderr that names the option, and exit code 1; so nothing that reads the
    output takes it for a result.
    """
    result = run(*command, "--config", tmp_path / "none.yaml")

    assert (1, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n"))
    assert result.stderr.endswith("name a file that exists with --config\n")


def test_check_prints_problems_as_its_result(tmp_path: Path) -> None:
    """To `check` they are what was asked for: on stdout, exit code 1."""
    result = run("check", "--config", tmp_path / "none.yaml")

    assert (1, "") == (result.exit_code, result.stderr)
    assert result.stdout.endswith("name a file that exists with --config\n")


def test_a_new_store_holds_nothing(tmp_path: Path) -> None:
    """A table without rows is a sentence, JSON is an empty list; an unknown target is exit code 1 and a line."""
    path = tmp_path / "monitor.yaml"
    path.write_text(yaml.safe_dump({"projects": [], "store": f"sqlite:///{tmp_path}/x.db"}), encoding="utf-8")
    for command, said in (
        (("alerts",), "no alert is pending, fires, or has resolved\n"),
        (("history",), "no run is stored yet\n"),
        (("history", "--since", "7d"), "no run was seen since then\n"),
        (("baseline", "show"), "no target has a baseline yet; its first good run becomes one\n"),
    ):
        result = run(*command, "--config", path)
        assert (0, said, "") == (result.exit_code, result.stdout, result.stderr)
        assert "[]\n" == run(*command, "--format", "json", "--config", path).stdout
    for command in (("history",), ("samples",), ("baseline", "show"), ("baseline", "pin"), ("baseline", "clear")):
        unknown = run(*command, TARGET, "--config", path)
        assert (1, "", 1) == (unknown.exit_code, unknown.stdout, unknown.stderr.count("\n")), command
        assert TARGET in unknown.stderr


@pytest.mark.parametrize(
    ("shell", "said"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_completion(shell: str, said: str) -> None:
    """As operation.md says, the variable makes the command print what the shell needs; it then completes the names of
    commands and the values of options.
    """
    program = [sys.executable, "-c", "from monitor.cli import main; main(prog_name='impulse-monitor')"]
    environ = {"PATH": "/usr/bin:/bin"}

    def asked(**more: str) -> str:
        return subprocess.run(program, env=environ | more, capture_output=True, text=True, check=True).stdout

    variable = "_IMPULSE_MONITOR_COMPLETE"
    assert said in asked(**{variable: f"{shell}_source"})
    if shell == "bash":
        words = asked(**{variable: "bash_complete", "COMP_WORDS": "impulse-monitor sam", "COMP_CWORD": "1"})
        kinds = "impulse-monitor samples x --kind variant"
        values = asked(**{variable: "bash_complete", "COMP_WORDS": kinds, "COMP_CWORD": "4"})
        assert ("plain,samples\n", "plain,variant-lost\nplain,variant-gained\n") == (words, values)

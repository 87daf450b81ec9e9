"""The commands that ask Studio and the store, within the tests' own process."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
import yaml

from tests.cli.commands import run


def test_check_reports_every_problem(tmp_path: Path) -> None:
    """Every problem is a line of its own, with path, line and key; exit code 1."""
    path = tmp_path / "monitor.yaml"
    path.write_text(
        "schedule: {every: 1x}\nprojects:\n  - id: 1\n    api_key: ${NOT_SET_ANYWHERE}\n    color: red\n",
        encoding="utf-8",
    )
    result = run("check", "--config", str(path))

    assert 1 == result.exit_code
    assert [f"{path}:1: schedule.every", f"{path}:4: projects[0].api_key", f"{path}:5: projects[0].color"] == sorted(
        ":".join(line.split(":")[:3]) for line in result.stdout.splitlines()
    )


def test_check_says_which_key_files_are_missing(tmp_path: Path) -> None:
    """A key file that is missing is a problem for `check`, although the service starts without it."""
    path = tmp_path / "monitor.yaml"
    path.write_text("projects:\n  - {id: 1, api_key: k}\n  - {id: 2, api_key_file: none}\n", encoding="utf-8")
    result = run("check", "--config", str(path))

    assert 1 == result.exit_code
    assert f"{path}:3: projects[1].api_key_file: cannot be read" in result.stdout
    assert "valid" not in result.stdout


def test_check_online(config: Path) -> None:
    """Each key is asked about: its role, its expiry, its targets; one that does not work is exit code 1, without being
    shown.
    """
    good = run("check", "--online", "--config", str(config))
    wrong = run("check", "--online", "--config", str(config), TANK_KEY="ei_wrong")

    assert 0 == good.exit_code, good.stdout + good.stderr
    assert "project 101: ok, key: readonly" in good.stdout
    assert 1 == wrong.exit_code
    assert "project 108: auth" in wrong.stdout
    for text in (good.stdout, good.stderr, wrong.stdout, wrong.stderr):
        assert "ei_" not in text


def test_pull(config: Path) -> None:
    """`pull` prints a row per target; as JSON the whole evaluation; a failing one is exit code 1 with its reason on
    stderr.
    """
    table = run("pull", "--config", str(config))
    rows = json.loads(run("pull", "--config", str(config), "--format", "json", "--project", "107").stdout)
    failed = run("pull", "--config", str(config), TANK_KEY="ei_wrong")
    nothing = run("pull", "--config", str(config), "--impulse", "99")

    assert 0 == table.exit_code, table.stderr
    assert "gesture-wristband" in table.stdout
    assert ["107-1-int8-testing"] == [row["target"]["id"] for row in rows]
    assert 0 < rows[0]["evaluation"]["detection"]["map"]["0.50:0.95"] < 1
    assert rows[0]["evaluation"]["quality"] is None
    assert 1 == failed.exit_code
    assert "project 108: auth:" in failed.stderr
    assert "gesture-wristband" in failed.stdout
    assert 1 == nothing.exit_code
    assert "nothing to pull" in nothing.stderr


def test_pull_changes_nothing_in_the_store(config: Path) -> None:
    """Without --save nothing is written, not even an empty store."""
    assert 0 == run("pull", "--config", str(config), "--project", "101").exit_code

    assert [config.name] == [path.name for path in config.parent.iterdir()]


def test_saved_pulls_are_history(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of `pull --save` are compared with the first one and come back as table, JSON and CSV; those that say
    nothing new are counted.
    """
    saved = [
        run("pull", "--config", str(config), "--save", "--format", "json", "--project", "101", "--impulse", "1")
        for _ in range(2)
    ]
    failed = run("pull", "--config", str(config), "--save", TANK_KEY="ei_wrong")
    assert ([0, 0], 1) == ([each.exit_code for each in saved], failed.exit_code), failed.stderr
    (row,) = json.loads(saved[1].stdout)
    target = row["target"]["id"]
    assert 0 == row["comparison"]["changes"][0]["causes"]["total"]

    monkeypatch.delenv("TANK_KEY")  # from here on nothing needs a key
    (as_json,) = json.loads(run("history", target, "--config", str(config), "--format", "json").stdout)
    assert (row["evaluation"], "ok", 3) == (as_json["evaluation"], as_json["state"], as_json["times"])
    assert as_json["started"] <= as_json["finished"] <= as_json["last_seen"]
    lines = run("history", target, "--config", str(config), "--format", "csv").stdout.splitlines()
    rows = list(csv.DictReader(lines))
    assert [(repr(row["evaluation"]["quality"]["accuracy"]), as_json["last_seen"], "3")] == [
        (each["accuracy"], each["last_seen"], each["times"]) for each in rows
    ]
    assert {""} == {each["map"] for each in rows}
    table = run("history", "--config", str(config), "--since", "1h").stdout
    assert "107-1-int8-testing" in table
    assert f"{row['evaluation']['quality']['accuracy']:.4g}" in table
    newest = run("history", target, "--config", str(config), "--limit", "1", "--format", "json").stdout
    assert [as_json["run"]] == [each["run"] for each in json.loads(newest)]
    assert "[]" == run("history", target, "--config", str(config), "--since", "1ms", "--format", "json").stdout.strip()


def test_history_of_nothing(config: Path) -> None:
    """A target that the store does not know is said, with those it knows; a duration that is none is wrong usage."""
    unknown = run("history", "1-1-int8-testing", "--config", str(config))
    wrong = run("history", "--since", "yesterday", "--config", str(config))

    assert (1, 2) == (unknown.exit_code, wrong.exit_code)
    assert "the store has no run of target 1-1-int8-testing; it knows the targets: none" in unknown.stderr
    assert "is not a duration" in wrong.stderr


def test_baseline_is_shown_pinned_and_cleared(config: Path) -> None:
    """The first run is the baseline until another is pinned; cleared, the next good run becomes it."""
    target = "101-1-int8-testing"
    for _ in range(2):
        assert 0 == run("pull", "--config", str(config), "--save", "--project", "101", "--impulse", "1").exit_code
    (first,) = json.loads(run("baseline", "show", target, "--config", str(config), "--format", "json").stdout)
    pinned = run("baseline", "pin", target, "--config", str(config))
    (second,) = json.loads(run("baseline", "show", "--config", str(config), "--format", "json").stdout)
    back = run("baseline", "pin", target, "--run", str(first["run"]), "--config", str(config))
    shown = run("baseline", "show", "--config", str(config)).stdout
    cleared = run("baseline", "clear", target, "--config", str(config))
    again = run("baseline", "clear", target, "--config", str(config))
    none = run("baseline", "show", target, "--config", str(config))

    assert ("pinned", "first run here: nothing to compare with") == (first["mode"], first["why"])
    assert 0 < first["values"]["accuracy"] < 1
    assert 0 == pinned.exit_code, pinned.stderr
    assert (first["run"], "pinned by command") == (second["run"], second["why"])  # the second pull said nothing new
    assert 0 == back.exit_code
    assert "pinned by command" in shown
    assert (0, 1, 1) == (cleared.exit_code, again.exit_code, none.exit_code)
    assert "has no baseline; its next good run becomes one" in none.stderr


@pytest.mark.parametrize(
    "arguments", [("101-1-int8-testing",), ("101-1-int8-testing", "--run", "7"), ("9-9-int8-testing", "--run", "1")]
)
def test_pinning_what_is_not_there(config: Path, arguments: tuple[str, ...]) -> None:
    """A run that is not in the store, or is another target's, cannot be pinned; the answer names the known targets."""
    assert 0 == run("pull", "--config", str(config), "--save", "--project", "107").exit_code
    result = run("baseline", "pin", *arguments, "--config", str(config))

    assert (1, "") == (result.exit_code, result.stdout)
    assert "it knows the targets: 107-1-int8-testing" in result.stderr


def test_alerts(config: Path) -> None:
    """`alerts` prints what the store remembers of alerts; where nothing was ever the matter, it says so."""
    assert 0 == run("pull", "--config", str(config), "--save", "--project", "107").exit_code
    table = run("alerts", "--config", str(config))
    as_json = run("alerts", "--config", str(config), "--format", "json")

    assert (0, 0, []) == (table.exit_code, as_json.exit_code, json.loads(as_json.stdout))
    assert "no alert is pending, fires, or has resolved\n" == table.stdout


def test_rules(config: Path, program: Callable[[str], str], tmp_path: Path) -> None:
    """`rules` prints the alerts as a rule file that Prometheus takes."""
    result = run("rules", "--config", str(config))
    (tmp_path / "rules.yml").write_text(result.stdout, encoding="utf-8")
    checked = subprocess.run(
        [program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml"],
        capture_output=True,
        text=True,
    )

    assert 0 == result.exit_code, result.stderr
    assert {"EdgeImpulseAccuracyRegressed", "EdgeImpulsePullFailing"} <= {
        rule["alert"] for rule in yaml.safe_load(result.stdout)["groups"][0]["rules"]
    }
    assert 0 == checked.returncode, checked.stdout + checked.stderr


def test_web_configuration_and_shards(config: Path, tmp_path: Path) -> None:
    """A shard that there is not is wrong usage; a web configuration that is wrong ends the start, and `check` finds it
    too.
    """
    (tmp_path / "web.yml").write_text("basic_auth_users: {alice: not-a-hash}\n", encoding="utf-8")
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    content["http"] = {"web_config_file": "web.yml"}
    shard = run("run", "--config", str(config), "--shard.index", "3", "--shard.total", "3")
    named = run("run", "--config", str(config), "--web.config.file", str(tmp_path / "web.yml"))
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    checked = run("check", "--config", str(config))

    assert (2, 1, 1) == (shard.exit_code, named.exit_code, checked.exit_code)
    assert "there is no shard 3 of 3" in shard.stderr
    assert f"{tmp_path / 'web.yml'}:1: basic_auth_users.alice" in named.stderr
    assert f"{tmp_path / 'web.yml'}:1: basic_auth_users.alice" in checked.stdout


def test_check_takes_the_web_configuration_of_run(config: Path, tmp_path: Path) -> None:
    """What `run` would refuse of the file that `--web.config.file` names, `check` says; one that protects nothing is a
    warning.
    """
    web, other = tmp_path / "web.yml", tmp_path / "other.yml"
    authority = trustme.CA()
    for name in ("one", "two"):
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.crt"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    expired = authority.issue_cert(
        "localhost", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2020, 2, 1, tzinfo=UTC)
    )
    expired.cert_chain_pems[0].write_to_path(str(tmp_path / "old.crt"))
    expired.private_key_pem.write_to_path(str(tmp_path / "old.key"))
    said = {}
    for pair in ("one one", "one two", "old old"):
        certificate, key = pair.split()
        web.write_text(f"tls_server_config: {{cert_file: {certificate}.crt, key_file: {key}.key}}\n", encoding="utf-8")
        said[pair] = run("check", "--config", str(config), "--web.config.file", str(web))
    for name, text in (("empty", ""), ("cut off", "basic_auth_users: {alice: '$2y$10$X0h1")):
        web.write_text(text, encoding="utf-8")
        said[name] = run("check", "--config", str(config), "--web.config.file", str(web))
    said["none"] = run("check", "--config", str(config), "--web.config.file", str(other))

    wrong = {
        "one two": "is not the key of",
        "old old": "expired at 2020-02-01",
        "cut off": "web.yml:1",
        "none": "No such file",
    }
    assert {name: int(name in wrong) for name in said} == {name: result.exit_code for name, result in said.items()}
    assert [] == [name for name, text in wrong.items() if text not in said[name].stdout]
    assert f"{web}:1: names neither users nor TLS" in said["empty"].stdout
    assert str(web) not in said["one one"].stdout


def test_store_that_cannot_be_used(config: Path) -> None:
    """Commands on a damaged store say so, and what to do, with exit code 1."""
    (config.parent / "impulse-monitor.db").write_bytes(b"no database " * 100)
    for arguments in (["history"], ["baseline", "show"], ["baseline", "clear", "x"], ["pull", "--save"]):
        result = run(*arguments, "--config", str(config))

        assert (1, "") == (result.exit_code, result.stdout)
        assert (
            "is not a SQLite database, or is damaged; move the file away to go on with an empty store" in result.stderr
        )
        assert "Traceback" not in result.stderr

"""`init`: a configuration that works once a key is in it; and errors at a start that say what to do."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from monitor.config import load
from monitor.simulator import Studio
from tests.cli.commands import run


def test_works_once_a_key_is_in_it(tmp_path: Path, studio: tuple[str, Studio], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is valid with nothing but a key, watches the project, and pulls it."""
    path = tmp_path / "new" / "monitor.yaml"
    result = run("init", "--config", path, "--project", "101")
    url, served = studio
    missing = run("check", "--config", path)
    monkeypatch.setenv("EI_API_KEY", served.projects[101].api_key)
    valid = run("check", "--config", path)
    loaded = load(path)
    path.write_text(f"studio: {{url: '{url}'}}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    pulled = run("pull", "--config", path)

    assert (0, True) == (result.exit_code, result.stdout.startswith(f"{path} is written; next: set EI_API_KEY"))
    assert (1, True) == (missing.exit_code, "the environment variable EI_API_KEY is not set" in missing.stdout)
    assert (0, [101]) == (valid.exit_code, [project.id for project in loaded.config.projects])
    assert f"{path}: valid, 1 project\n" in valid.stdout
    assert (0, True) == (pulled.exit_code, "gesture-wristband" in pulled.stdout)
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 120


def test_its_comments_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key that is commented out may be taken in."""
    path = tmp_path / "monitor.yaml"
    assert 0 == run("init", "--config", path).exit_code
    monkeypatch.setenv("EI_API_KEY", "ei_0123456789")
    for name, content in (("admin-token", "0123456789"), ("mail-url", "mailto://a:b@example.com")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    text = path.read_text(encoding="utf-8").replace("notify: []", "notify:")
    lines = [
        line.replace("# ", "", 1) if line.lstrip().startswith(("# - ", *TAKEN)) else line for line in text.split("\n")
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    config = load(path).config

    assert (("int8", "float32"), {"team": "edge"}) == (config.projects[0].variants, config.projects[0].labels)
    assert ["alertmanager", "apprise"] == [each.kind for each in config.notify]
    assert config.http.admin_token_file == tmp_path / "admin-token"


TAKEN = ("# variants", "# labels", "# admin_token_file")


def test_never_overwrites(tmp_path: Path) -> None:
    """A file that is there stays as it is."""
    path = tmp_path / "monitor.yaml"
    path.write_text("mine", encoding="utf-8")
    result = run("init", "--config", path)
    folder = run("init", "--config", path / "monitor.yaml")

    assert (1, f"{path} exists and stays as it is; name another file with --config\n") == (
        result.exit_code,
        result.stderr,
    )
    assert "mine" == path.read_text(encoding="utf-8")
    assert (1, 1) == (folder.exit_code, folder.stderr.count("\n"))


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """It is one line, which names the option that says where to listen."""
    path = tmp_path / "monitor.yaml"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "{}:{}".format(*taken.getsockname())
        path.write_text(f"http: {{listen: '{address}'}}\nstore: sqlite:///x.db\n", encoding="utf-8")
        quiet = ("--log.level", "error")
        commands = {
            f"http.listen in {path}": run("run", "--config", path, *quiet),
            "--listen": run("demo", "--listen", address, *quiet),
            "--port": run("simulate", "--port", str(taken.getsockname()[1]), *quiet),
        }

    for option, result in commands.items():
        assert (1, "", 1) == (result.exit_code, result.stdout, result.stderr.count("\n")), result.stderr
        assert result.stderr.endswith(f"end it, or choose another port with {option}\n")

"""The steps of why-did-it-alert.md, walked with a model that was trained again and got worse."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from monitor.cli import main
from tests.cli.commands import run_beside
from tests.service_process import Service
from tests.web.web_service import ONE, pull, start

pytestmark = pytest.mark.usefixtures("clock")

PAGE = Path(__file__).parents[2] / "docs" / "why-did-it-alert.md"
EXAMPLE = "12345-1-int8-testing"


async def test_each_step_answers(service: Service) -> None:
    """Each command of the page answers beside the running service, with the alert's name and samples of the target."""
    lines = [
        shlex.split(line.replace(EXAMPLE, ONE))
        for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
        if line.strip()
    ]
    await start(service, ONE)
    await pull(service, ONE, step=1)
    answers = {}
    for program, *arguments in lines:
        if program == "curl":
            url = urlsplit(arguments[-1])
            status, text = await service.get(f"{url.path}?{url.query}")
            assert 200 == status, text
        else:
            result = await run_beside(*arguments, IMPULSE_MONITOR_CONFIG=str(service.path))
            assert 0 == result.exit_code, result.stderr
            text = result.stdout
        answers[" ".join([program, *arguments])] = text

    assert "EdgeImpulseAccuracyRegressed" in answers["impulse-monitor alerts"]
    newly_wrong = answers[f"impulse-monitor samples {ONE}"]
    assert re.match(r"[1-9]\d* samples newly wrong", newly_wrong)
    worst = re.findall(r"^\d+", newly_wrong, re.MULTILINE)[1]
    for command, text in answers.items():
        assert ("newly_wrong" in command or "--format csv" in command) == (
            f"\n{worst}," in text or f'"id": {worst}' in text
        )
    assert 6 == len(re.findall(r"^\d\. \*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_each_kind_has_its_cause() -> None:
    """The table of the page names kinds that the command has."""
    named = set(re.findall(r"--kind ([a-z-]+)", PAGE.read_text(encoding="utf-8")))
    (kind,) = (option for option in main.commands["samples"].params if option.name == "kind")
    assert named == set(kind.type.choices)  # type: ignore[attr-defined]

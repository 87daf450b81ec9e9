"""The OpenAPI document: it has every route, answers are what it says, and no request that it allows is an error of the
service.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.simulator import projects
from monitor.web import routes
from monitor.web.api.openapi import described
from monitor.web.security import Security
from monitor.web.service import Service as WebService
from tests.service_process import TOKEN, Service
from tests.web.web_client import allow
from tests.web.web_service import ONE, THREE, pull, start

pytestmark = pytest.mark.usefixtures("clock")


async def document(service: Service) -> dict[str, Any]:
    """The document of a running service."""
    status, text = await service.get("/api/v1/openapi.json")
    assert 200 == status, text
    found: dict[str, Any] = json.loads(text)
    return found


async def test_every_route_is_in_it(service: Service) -> None:
    """Each route of the application is in the document, and each of the document is a route; pages, too."""
    await start(service)
    found = await document(service)
    unused: dict[str, Any] = dict.fromkeys((each.name for each in fields(WebService)), lambda: 0.0)
    app = routes.application(WebService(**unused), await Security.open(None))
    known = {(path, method): entry for method, path, entry in described(app)}

    assert [] == [route for route, entry in known.items() if entry is None]
    assert set(known) == {(path, method) for path, methods in found["paths"].items() for method in methods}
    assert len(known) > 20


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """All objects within a schema."""
    if isinstance(schema, dict):
        yield schema
        schema = list(schema.values())
    for each in schema if isinstance(schema, list) else ():
        yield from parts(each)


async def test_answers_are_as_it_says(service: Service) -> None:
    """Every field of the answers about all kinds of models is in the document, with its type; none is missing."""
    allow(service)
    for project in (projects.box_detector(), projects.regression(), projects.gmm(), projects.fomo()):
        service.studio.add(project)
    service.content["projects"] = [
        service.entry(number, slices=["device_name"], variants=["int8"]) for number in service.studio.projects
    ]
    service.content["notify"] = [{"webhook": {"url": "http://127.0.0.1:9/"}}]
    await start(service)
    ids = sorted(service.app.live.watched)
    for target_id in ids:
        await pull(service, target_id)
    for target_id in ids:
        await pull(service, target_id, step=1)
    service.path.write_text(service.path.read_text() + "nonsense: 1\n")
    assert not await service.app.reload()
    found = await document(service)
    closed = json.loads(json.dumps(found))
    for each in parts(closed):
        if "properties" in each:
            each["additionalProperties"] = False
    paths = ["status", "targets", "alerts", "config", "events"]
    paths += [f"targets/{target_id}/{kind}" for target_id in ids for kind in KINDS]
    for path in paths:
        _, text = await service.get(f"/api/v1/{path}")
        template = path if "/" not in path else "targets/{id}/" + path.rpartition("/")[2]
        answer = closed["paths"][f"/api/v1/{template}"]["get"]["responses"]["200"]["content"]["application/json"]
        jsonschema.validate(json.loads(text), answer["schema"] | {"components": closed["components"]})
    jsonschema.Draft202012Validator.check_schema({"$defs": found["components"]["schemas"]})

    assert len(ids) >= 6
    assert "firing" in (await service.get("/api/v1/alerts"))[1]


KINDS = ("runs", "samples", "history", "scores", "confusion")
"""What the API says of each target."""

# The form of a cursor or a time cannot be said by a schema.
CONFIG = """
generation.allow-extra-parameters = false
[[operations]]
include-path-regex = "/(samples|runs|events|alerts)$|^/targets/{id}$"
checks.positive_data_acceptance.expected-statuses = [200, 400, 404, 409]
"""


@pytest.mark.real_time
async def test_what_schemathesis_finds(service: Service, tmp_path: Path) -> None:
    """Generated requests, right and wrong, are no error of the service, and answered as the document says.

    They are the same each time: what another seed finds is to be mended and tested, not to stop a change that it has
    nothing to do with.
    """
    allow(service)
    await start(service, ONE, THREE)
    (tmp_path / "schemathesis.toml").write_text(CONFIG, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("st")), "--no-color", "--config-file", "schemathesis.toml", "run"]
    command += [f"http://{service.app.address}/api/v1/openapi.json", "--header", f"Authorization: Bearer {TOKEN}"]
    command += [
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "10",
        "--generation-database",
        "none",
        "--seed",
        "20",
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=PIPE, stderr=STDOUT)
    output, _ = await process.communicate()

    assert 0 == process.returncode, output.decode()
    tested = re.search(r"Tested: (\d+)", output.decode())
    assert tested is not None and int(tested[1]) > 20

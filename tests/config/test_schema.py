"""The JSON schema, the example and the documentation agree with what the loader accepts."""

import re
import runpy
import sys
from pathlib import Path

import jsonschema
import pytest
import trustme
import yaml

from monitor.config import ConfigError, load, schema
from tests.config.conftest import Folder

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(schema())

GOOD = [
    {},
    {"retention": "1h30m", "shutdown_grace": 0, "stale_after": "1 interval", "http": {"listen": ":0"}},
    {"stale_after": "90m", "studio": {"proxy": None, "ca_file": None, "url": "http://127.0.0.1:80/v1"}},
    {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "limits": {"classes": "${PORT}"}},
    {"projects": [{"id": "${PORT}", "api_key": "${EI_API_KEY}", "schedule": None, "filters": None}]},
    {"projects": [{"id": 1, "api_key": "k", "impulses": "all", "variants": "enabled"}]},
    {"projects": [{"id": 1, "api_key": "k", "impulses": [1], "variants": ["akida"], "labels": {"team": "edge"}}]},
    {"projects": [{"id": 1, "api_key": "k", "slices": ["metadata.a b", "device_name"]}]},
    {"projects": [{"id": 1, "api_key": "k", "refresh": "never"}, {"id": 2, "api_key": "k", "refresh": "when_stale"}]},
    {"projects": [{"id": 1, "api_key": "k", "refresh": "always"}]},
    *({"projects": [{"id": 1, "api_key": "k", "group_by": text}]} for text in ("auto", "none", "metadata.a b")),
    {
        "projects": [
            {"id": 1, "api_key": "k", "category": name}
            for name in ("testing", "training", "validation", "post-processing")
        ]
    },
    {"defaults": "off", "alerts": [{"alert": "EdgeImpulseKeyExpiring", "for": "1h", "enabled": False}]},
    {
        "alerts": [
            {"alert": "EdgeImpulseMapRegressed", "significance": "off", "severity": None, "match": {"variant": "int*"}}
        ]
    },
    {
        "alerts": [
            {"alert": "Own", "metric": "mae", "rise": 0.5, "significance": "off", "for": "2 pulls", "recover": 0.1}
        ]
    },
    {
        "alerts": [
            {"alert": "Own", "metric": "accuracy", "below": "${SHARE}", "for": 0},
            {"alert": "Two", "metric": "map", "drop": 0.1},
        ]
    },
    {
        "notify": [
            {"alertmanager": {"url": "http://u:p@h:9093/x"}},
            {"webhook": {"url": "https://h/?t=1"}},
            {"apprise": {"url": "mailto://a"}},
        ]
    },
    {"notify": [{"webhook": {"url": "https://h"}}, {"webhook": {"url": "https://h"}, "name": "other"}]},
    {
        "projects": [
            {
                "id": 1,
                "api_key": "k",
                "filters": {"metadata": [{"key": "a"}, {"key": "b", "op": "neq", "values": ["c"]}]},
            }
        ]
    },
    {
        "projects": [
            {
                "id": 1,
                "api_key": "k",
                "filters": {"metadata": [{"no_metadata": True}, {"key": "a"}, {"filters_combinator": "or"}]},
            }
        ]
    },
    {
        "projects": [
            {"id": 1, "api_key": "k", "filters": {"min_date": "2026-01-31", "max_date": "2026-01-31T12:00:00.5+01:00"}}
        ]
    },
    {
        "projects": [
            {
                "id": 1,
                "api_key": "k",
                "filters": {"min_id": 0, "max_id": 9, "min_label": -1.5, "max_label": 2, "search": "x"},
            }
        ]
    },
    {
        "projects": [
            {
                "id": 1,
                "api_key": "k",
                "filters": {"min_length": 1, "max_length": 2, "min_frequency": 0, "max_frequency": 62.5},
            }
        ]
    },
    {
        "projects": [
            {"id": 1, "api_key": "k", "filters": {"signature_validity": "both", "filename": "a", "max_id": "${PORT}"}}
        ]
    },
]
BAD = [
    {"colour": 1},
    {"alerts": {}},
    {"alerts": [{}]},
    {"alerts": [{"alert": "lower"}]},
    {"alerts": [{"alert": "Own"}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy"}]},
    {"alerts": [{"alert": "Own", "drop": 0.1}]},
    {"alerts": [{"alert": "Own", "metric": "f1", "drop": 0.1}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy", "drop": 0.1, "above": 0.5}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy", "drop": None}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy", "drop": "much"}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy", "drop": 0.1, "significance": 0}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy", "drop": 0.1, "for": "2 days"}]},
    {"alerts": [{"alert": "Own", "metric": "accuracy", "drop": 0.1, "recover": -1}]},
    {"alerts": [{"alert": "EdgeImpulseKeyExpiring", "severity": "page"}]},
    {"alerts": [{"alert": "EdgeImpulseKeyExpiring", "labels": {"project": "x"}}]},
    {"alerts": [{"alert": "EdgeImpulseKeyExpiring", "annotations": {"summary": "x"}}]},
    {"alerts": [{"alert": "EdgeImpulseKeyExpiring", "match": {"project_id": 5}}]},
    {"defaults": "none"},
    {"notify": [{}]},
    {"notify": [{"webhook": {}}]},
    {"notify": [{"webhook": {"url": "ftp://h"}}]},
    {"notify": [{"webhook": {"url": "http://h", "url_file": "f"}}]},
    {"notify": [{"webhook": {"url": "http://h"}, "apprise": {"url": "x://"}}]},
    {"retention": 90},
    {"retention": 0},
    {"retention": "1.5h"},
    {"retention": ""},
    {"stale_after": "0 intervals"},
    {"schedule": {}},
    {"schedule": {"every": "1m", "cron": "0 * * * *"}},
    {"schedule": {"every": "1m", "timezone": "UTC"}},
    {"schedule": {"every": None}},
    {"limits": {"classes": -1}},
    {"limits": {"classes": 1.5}},
    {"limits": None},
    {"store": "runs.db"},
    {"studio": {"url": "ftp://host"}},
    {"http": {"listen": "9890"}},
    {"include": "a.yaml"},
    {"projects": None},
    {"projects": [{"id": 1}]},
    {"projects": [{"api_key": "k"}]},
    {"projects": [{"id": 0, "api_key": "k"}]},
    {"projects": [{"id": 1, "api_key": None}]},
    {"projects": [{"id": 1, "api_key": ""}]},
    {"projects": [{"id": 1, "api_key": "k", "api_key_file": "f"}]},
    {"projects": [{"id": 1, "api_key": "k", "impulses": "some"}]},
    {"projects": [{"id": 1, "api_key": "k", "impulses": []}]},
    {"projects": [{"id": 1, "api_key": "k", "variants": ["int4"]}]},
    {"projects": [{"id": 1, "api_key": "k", "category": "test"}]},
    {"projects": [{"id": 1, "api_key": "k", "labels": {"job": "x"}}]},
    {"projects": [{"id": 1, "api_key": "k", "labels": {"__x": "x"}}]},
    {"projects": [{"id": 1, "api_key": "k", "labels": {"a": 5}}]},
    {"projects": [{"id": 1, "api_key": "k", "slices": ["site"]}]},
    *(
        {"projects": [{"id": 1, "api_key": "k", "group_by": text}]}
        for text in ("device", "metadata.site ", "metadata. ")
    ),
    {"projects": [{"id": 1, "api_key": "k", "refresh": "sometimes"}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"metadata": [{"op": "eq"}]}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"metadata": [{"no_metadata": True, "key": "a"}]}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"metadata": [{"key": "a"}, {"filters_combinator": "xor"}]}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"min_date": "yesterday"}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"min_id": -1}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"min_length": 1.5}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"max_frequency": -1}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"signature_validity": "maybe"}}]},
    {"projects": [{"id": 1, "api_key": "k", "filters": {"search": ""}}]},
]


def test_committed_schema(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The schema in `config/` is what `python -m monitor.config` prints."""
    monkeypatch.setattr(sys, "argv", ["monitor.config"])
    runpy.run_module("monitor.config", run_name="__main__")

    assert (ROOT / "config" / "monitor.schema.json").read_text("utf-8") == capsys.readouterr().out


def test_is_a_schema() -> None:
    """It is a valid draft 2020-12 schema, and each of its defaults is valid by it."""
    jsonschema.Draft202012Validator.check_schema(schema())
    for name, part in schema()["properties"].items():
        if "default" in part:
            VALIDATOR.validate({name: part["default"]})


@pytest.mark.parametrize("data", GOOD, ids=repr)
def test_both_accept(folder: Folder, data: object) -> None:
    """What the schema accepts here, the loader does too."""
    VALIDATOR.validate(data)
    folder.load(yaml.safe_dump(data))


@pytest.mark.parametrize("data", BAD, ids=repr)
def test_both_refuse(folder: Folder, data: object) -> None:
    """Mistakes that a schema can see are refused by both."""
    assert not VALIDATOR.is_valid(data)
    with pytest.raises(ConfigError):
        folder.load(yaml.safe_dump(data))


def test_example_is_valid() -> None:
    """The example validates against the schema it names in its first line."""
    text = (ROOT / "config" / "monitor.yaml").read_text("utf-8")

    assert text.startswith("# yaml-language-server: $schema=monitor.schema.json\n")
    VALIDATOR.validate(yaml.safe_load(text))


def test_example_uncommented(tmp_path: Path) -> None:
    """The keys that the example only shows in comments are valid too, in place of those they replace."""
    text = (ROOT / "config" / "monitor.yaml").read_text("utf-8")
    replaced = {"every:": "cron:", "api_key:": "api_key_file:"}
    lines = [line for line in text.splitlines() if not line.strip().startswith(tuple(replaced))]
    file = tmp_path / "monitor.yaml"
    for name in ("ei_key", "hook", "hook_token", "apprise_url"):
        (tmp_path / name).write_text("k")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "internal-ca.pem"))
    uncommented = [
        line.replace("# ", "", 1) if line.startswith("  ") and line.strip().startswith("# ") else line for line in lines
    ]
    file.write_text(
        "\n".join(uncommented)
        .replace("/run/secrets/", "")
        .replace("notify: []", "notify:")
        .replace("alerts: []", "alerts:")
    )

    config = load(file, {}).config

    assert config.schedule.cron == "0 * * * *"
    assert config.schedule_of(config.projects[0]).interval == 3600.0
    assert config.projects[0].filters is not None
    assert config.projects[0].filters.metadata
    assert ["alertmanager-127.0.0.1:9093", "webhook-hooks.example.com:443", "internal", "chat"] == [
        each.receiver_name for each in config.notify
    ]
    assert ["EdgeImpulseF1Fell", "EdgeImpulseFlaggedOften"] == [rule.name for rule in config.rules()][-2:]


@pytest.mark.parametrize("file", ["config/monitor.yaml", "docs/configuration.md"])
def test_every_key_is_shown(file: str) -> None:
    """The example and the reference know every key."""
    text = (ROOT / file).read_text("utf-8")
    keys = {key for part in [schema(), *schema()["$defs"].values()] for key in part.get("properties", ())}

    assert set() == {key for key in keys if not re.search(rf"\b{key}\b", text)}

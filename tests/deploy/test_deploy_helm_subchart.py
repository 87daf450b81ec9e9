"""The Helm chart as a dependency of another one, and the documented examples, rendered whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml
from helm_python import Chart

from tests.deploy.helm_chart import (
    CHART,
    Object,
    Values,
    config_map,
    container,
    documented,
    of_kind,
    pod,
    render,
    validate,
    workload,
)

Parent = Callable[..., Chart]
NAME = "impulse-monitor"


@pytest.fixture
def parent(tmp_path: Path) -> Parent:
    """A chart that has this one in its `charts` folder, as `helm dependency build` puts it there."""

    def make(values: Values, *dependencies: dict[str, Any]) -> Chart:
        folder = tmp_path / "edge"
        (folder / "charts").mkdir(parents=True)
        (folder / "templates").mkdir()
        (description,) = documented("dependencies").values()
        if dependencies:
            description["dependencies"] = [description["dependencies"][0] | dependency for dependency in dependencies]
        for dependency in description["dependencies"]:
            dependency["repository"] = CHART.as_uri()
        (folder / "Chart.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
        (folder / "values.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        helm_python.package(CHART, destination=folder / "charts")
        assert ["ok"] * len(description["dependencies"]) == [
            found["status"] for found in helm_python.dependency_list(folder)
        ]
        return Chart.load(folder)

    return make


def names(objects: list[Object]) -> set[tuple[str, str]]:
    """What Kubernetes knows the objects by."""
    return {(found["kind"], found["metadata"]["name"]) for found in objects}


def test_documented(parent: Parent) -> None:
    """The documented parent chart renders to valid objects, with the image and pull secrets of its global values."""
    (values,) = documented(NAME).values()
    objects = render(parent(values), {})
    validate(objects)
    config = yaml.safe_load(config_map(objects))

    assert container(objects)["image"].startswith("registry.example.com/impulse-monitor:")
    assert [{"name": "registry"}] == pod(objects)["imagePullSecrets"]
    assert [12345] == [project["id"] for project in config["projects"]]
    assert {"rel-impulse-monitor", "rel-impulse-monitor-store"} == {name for _, name in names(objects)}


@pytest.mark.parametrize(("enabled", "kinds"), [(True, 6), (False, 0)], ids=["on", "off"])
def test_condition(parent: Parent, enabled: bool, kinds: int) -> None:
    """The documented condition switches everything on and off."""
    assert kinds == len(render(parent({}), {NAME: {"enabled": enabled}}))


def test_same_as_alone(parent: Parent, chart: Chart) -> None:
    """As a dependency it makes what it makes alone with the same values."""
    values: Values = {
        "serviceMonitor": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "config": {"projects": [{"id": 7}]},
    }
    alone, within = render(chart, values), render(parent({}), {NAME: values})

    assert alone == within


def test_twice(parent: Parent) -> None:
    """Under two aliases no name is taken twice, and no selector takes the other's pods."""
    dependencies = [{"alias": alias, "condition": f"{alias}.enabled"} for alias in ("east", "west")]
    switched_on = {
        alias: {"dashboards": {"enabled": True}, "networkPolicy": {"enabled": True}} for alias in ("east", "west")
    }
    objects = render(parent({}, *dependencies), switched_on)
    validate(objects)
    labels = {
        found["metadata"]["name"]: found["spec"]["template"]["metadata"]["labels"]
        for found in of_kind(objects, "Deployment")
    }
    selectors = {found["metadata"]["name"]: found["spec"]["selector"] for found in of_kind(objects, "Service")}
    taken = {
        name: [each for each in labels if selector.items() <= labels[each].items()]
        for name, selector in selectors.items()
    }

    assert len(objects) == len(names(objects))
    assert {"rel-east": ["rel-east"], "rel-west": ["rel-west"]} == taken


@pytest.mark.parametrize(
    ("nothing", "in_file"),
    [
        pytest.param("", True, id="parent's file"),
        pytest.param("", False, id="installed with"),
        pytest.param(None, False, id="null"),
    ],
)
def test_left_out(parent: Parent, nothing: str | None, in_file: bool) -> None:
    """A default can be left out by the parent's values.yaml, where Helm drops nulls, and by what it
    is installed with.
    """
    values: Values = {
        NAME: {"podSecurityContext": {"runAsUser": nothing, "fsGroup": nothing}, "livenessProbe": {"enabled": False}}
    }
    objects = render(parent(values), {}) if in_file else render(parent({}), values)
    validate(objects)

    assert not {"runAsUser", "fsGroup"} & pod(objects)["securityContext"].keys()
    assert 65532 == pod(objects)["securityContext"]["runAsGroup"]
    assert "livenessProbe" not in container(objects)


@pytest.mark.parametrize("release", ["other", "prod-impulse-monitor", "x" * 53])
def test_no_name_is_fixed(chart: Chart, release: str) -> None:
    """Every object is called after its release, whatever that is called, and no name is too long."""
    values: Values = {
        "ingress": {"enabled": True, "hosts": ["monitor.example.com"]},
        **{
            section: {"enabled": True}
            for section in ("networkPolicy", "serviceMonitor", "prometheusRule", "dashboards")
        },
    }
    found = {name for _, name in names(render(chart, values, name=release))}
    sharded = workload(render(chart, values | {"ingress": {}, "shards": 1000}, name=release))["metadata"]["name"]

    assert all(name.startswith(release[:52]) and len(name) <= 63 for name in found)
    assert len(f"{sharded}-999") <= 63


@pytest.mark.parametrize("heading", documented())
def test_example(chart: Chart, heading: str) -> None:
    """Every documented example passes Helm's strict lint and renders to valid objects that differ
    from the defaults'.
    """
    values = documented()[heading]
    objects = render(chart, values)
    validate(objects)

    assert [] == helm_python.lint(CHART, values, strict=True)["errors"]
    assert objects != render(chart, {})


def test_there_are_examples() -> None:
    """The page is read as it is meant to be: an example under each of these headings."""
    expected = {
        "Kubernetes",
        "What the network policy lets out",
        "OpenShift",
        "With an ingress",
        "More containers",
        "A fleet",
    }

    assert expected == documented().keys()

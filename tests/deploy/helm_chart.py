"""The Helm chart, rendered by Helm's own engine, and what the tests look for in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from helm_python import Chart

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "impulse-monitor"
KUBERNETES = "1.34.0"
OPERATOR = "monitoring.coreos.com/"

Values = dict[str, Any]
Object = dict[str, Any]


class _OnceOnly(yaml.SafeLoader):
    """Refuses a key that is there twice: Kubernetes does, PyYAML and Helm do not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key twice: {keys} {node.start_mark}"
        return super().construct_mapping(node, deep)


def render(chart: Chart, values: Values, name: str = "rel") -> list[Object]:
    """All objects of a release."""
    manifests = chart.render(values, name=name, namespace="ns")
    documents = [text for path, text in manifests.items() if path.endswith(".yaml")]
    return [document for text in documents for document in yaml.load_all(text, _OnceOnly) if document]


def validate(objects: list[Object]) -> None:
    """Every object of Kubernetes's own holds only what it knows, in the right shape; raises where one does not."""
    for found in objects:
        if not found["apiVersion"].startswith(OPERATOR):
            kubernetes_validate.validate(found, KUBERNETES, strict=True)


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """The objects of a kind."""
    return [found for found in objects if found["kind"] == kind]


def only(objects: list[Object], kind: str) -> Object:
    """The one object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def role_of(found: Object) -> str:
    """What the processes of a fleet that an object is about do; empty for the one process and for shards."""
    return str(found["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def workload(objects: list[Object], role: str = "") -> Object:
    """The Deployment or StatefulSet of a role, of which there is one."""
    workloads = of_kind(objects, "Deployment") + of_kind(objects, "StatefulSet")
    (found,) = [each for each in workloads if role_of(each) == role]
    return found


def pod(objects: list[Object], role: str = "") -> Object:
    """The specification of a role's pods."""
    return dict(workload(objects, role)["spec"]["template"]["spec"])


def container(objects: list[Object], role: str = "") -> Object:
    """The service's container."""
    return dict(pod(objects, role)["containers"][0])


def config_map(objects: list[Object]) -> str:
    """The configuration file."""
    (text,) = [
        found["data"]["monitor.yaml"] for found in of_kind(objects, "ConfigMap") if "monitor.yaml" in found["data"]
    ]
    return str(text)


def documented(*keys: str) -> dict[str, Values]:
    """The examples in docs/deployment.md, by the heading they are under, whose top level has one of `keys`; all values
    without keys.
    """
    found: dict[str, Values] = {}
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    section = re.split(r"^## (?=\w)", text, flags=re.MULTILINE)
    (kubernetes,) = [part for part in section if part.startswith("Kubernetes\n")]
    for part in re.split(r"^### (?=\w)", kubernetes, flags=re.MULTILINE):
        for block in re.findall(r"^```yaml\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL):
            content = yaml.safe_load(block)
            of_parent = bool({"dependencies", "impulse-monitor"} & content.keys())
            if set(keys) & content.keys() or not (keys or of_parent):
                found[part.partition("\n")[0]] = content
    return found

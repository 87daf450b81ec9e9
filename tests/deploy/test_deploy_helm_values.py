"""The Helm chart's values, one by one: what each puts into which object, that nothing is there without it, and what is
refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmError

from tests.deploy.helm_chart import (
    Object,
    Values,
    config_map,
    container,
    of_kind,
    only,
    pod,
    render,
    validate,
    workload,
)

Look = Callable[[list[Object]], Any]

PROBES = {"startupProbe": "/-/healthy", "livenessProbe": "/-/healthy", "readinessProbe": "/-/ready"}
SIDECAR = {
    "name": "beside",
    "image": "busybox:1",
    "volumeMounts": [{"name": "store", "mountPath": "/store", "readOnly": True}],
}
ALIAS = {"ip": "192.0.2.1", "hostnames": ["studio.example.com"]}
RESOLVER = {"nameservers": ["192.0.2.53"], "searches": ["example.com"], "options": [{"name": "ndots", "value": "1"}]}
DROP = {"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}
CLUSTER = {"targetLabel": "cluster", "replacement": "east"}
SCRAPED: Values = {"enabled": True}


def of_pod(key: str) -> Look:
    """What the pod's specification has under a key."""
    return lambda objects: pod(objects).get(key)


def of_metadata(kind: str, key: str) -> Look:
    """What an object's metadata have under a key."""
    return lambda objects: only(objects, kind)["metadata"].get(key)


def endpoint(key: str) -> Look:
    """What the ServiceMonitor's endpoint has under a key."""
    return lambda objects: only(objects, "ServiceMonitor")["spec"]["endpoints"][0].get(key)


def volume(objects: list[Object]) -> Any:
    """The pod's own volume of the store."""
    return {found["name"]: found for found in pod(objects)["volumes"]}.get("store")


ONE_BY_ONE = [
    pytest.param({"initContainers": [SIDECAR]}, of_pod("initContainers"), None, [SIDECAR], id="initContainers"),
    pytest.param(
        {"extraContainers": [SIDECAR]},
        lambda objects: pod(objects)["containers"][1:],
        [],
        [SIDECAR],
        id="extraContainers",
    ),
    pytest.param({"hostAliases": [ALIAS]}, of_pod("hostAliases"), None, [ALIAS], id="hostAliases"),
    pytest.param({"dnsConfig": RESOLVER}, of_pod("dnsConfig"), None, RESOLVER, id="dnsConfig"),
    pytest.param({"dnsPolicy": "Default"}, of_pod("dnsPolicy"), None, "Default", id="dnsPolicy"),
    pytest.param(
        {"extraArgs": ["--log.level=debug"]},
        lambda objects: container(objects)["args"][-1],
        "--log.format=json",
        "--log.level=debug",
        id="extraArgs",
    ),
    pytest.param(
        {"livenessProbe": {"periodSeconds": 7, "initialDelaySeconds": 3}},
        lambda objects: {key: value for key, value in container(objects)["livenessProbe"].items() if key != "httpGet"},
        {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        {"periodSeconds": 7, "timeoutSeconds": 5, "failureThreshold": 6, "initialDelaySeconds": 3},
        id="livenessProbe",
    ),
    pytest.param(
        {"startupProbe": {"failureThreshold": 200}},
        lambda objects: container(objects)["startupProbe"]["failureThreshold"],
        60,
        200,
        id="startupProbe",
    ),
    pytest.param(
        {"readinessProbe": {"exec": {"command": ["true"]}}},
        lambda objects: [container(objects)["readinessProbe"].get(key) for key in ("exec", "httpGet")],
        [None, {"path": "/-/ready", "port": "http"}],
        [{"command": ["true"]}, None],
        id="another question",
    ),
    pytest.param(
        {"store": {"sqlite": {"volume": "emptyDir", "size": "2Gi"}}},
        lambda objects: (volume(objects), len(of_kind(objects, "PersistentVolumeClaim"))),
        ({"name": "store", "persistentVolumeClaim": {"claimName": "rel-impulse-monitor-store"}}, 1),
        ({"name": "store", "emptyDir": {"sizeLimit": "2Gi"}}, 0),
        id="emptyDir",
    ),
    pytest.param(
        {"securityContext": {"readOnlyRootFilesystem": False, "allowPrivilegeEscalation": None}},
        lambda objects: container(objects)["securityContext"],
        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        {"readOnlyRootFilesystem": False, "capabilities": {"drop": ["ALL"]}},
        id="securityContext",
    ),
    pytest.param(
        {"image": {"registry": "registry.example.com/"}},
        lambda objects: container(objects)["image"].rpartition(":")[0],
        "impulse-monitor",
        "registry.example.com/impulse-monitor",
        id="registry",
    ),
    pytest.param(
        {"image": {"registry": "registry.example.com"}, "global": {"imageRegistry": "mirror.example.com"}},
        lambda objects: container(objects)["image"].rpartition(":")[0],
        "impulse-monitor",
        "mirror.example.com/impulse-monitor",
        id="global registry",
    ),
    pytest.param(
        {
            "imagePullSecrets": [{"name": "own"}, {"name": "both"}],
            "global": {"imagePullSecrets": ["shared", {"name": "both"}]},
        },
        of_pod("imagePullSecrets"),
        None,
        [{"name": "shared"}, {"name": "both"}, {"name": "own"}],
        id="global pull secrets",
    ),
    pytest.param(
        {"nameOverride": "watch"}, of_metadata("Service", "name"), "rel-impulse-monitor", "rel-watch", id="nameOverride"
    ),
    pytest.param(
        {"fullnameOverride": "watch"},
        of_metadata("Service", "name"),
        "rel-impulse-monitor",
        "watch",
        id="fullnameOverride",
    ),
    pytest.param(
        {"extraObjects": ["{apiVersion: v1, kind: Secret, metadata: {name: '{{ .Release.Name }}-extra'}}"]},
        lambda objects: [found["metadata"]["name"] for found in of_kind(objects, "Secret")],
        [],
        ["rel-extra"],
        id="extraObjects as text",
    ),
    pytest.param(
        {
            "extraObjects": [
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": '{{ include "impulse-monitor.fullname" . }}'},
                }
            ]
            * 2
        },
        lambda objects: [found["metadata"]["name"] for found in of_kind(objects, "Secret")],
        [],
        ["rel-impulse-monitor"] * 2,
        id="extraObjects as objects",
    ),
]


@pytest.mark.parametrize(("values", "look", "without", "expected"), ONE_BY_ONE)
def test_value(chart: Chart, values: Values, look: Look, without: object, expected: object) -> None:
    """A value is in the object it is about, which is valid with it, and the default is as it says."""
    objects = render(chart, values)
    validate(objects)

    assert expected == look(objects)
    assert without == look(render(chart, {}))


@pytest.mark.parametrize(
    ("kind", "section", "values", "look", "expected"),
    [
        pytest.param(
            "ServiceMonitor",
            "serviceMonitor",
            {"metricRelabelings": [DROP]},
            endpoint("metricRelabelings"),
            [DROP],
            id="dropped",
        ),
        pytest.param(
            "ServiceMonitor",
            "serviceMonitor",
            {"relabelings": [CLUSTER]},
            lambda objects: endpoint("relabelings")(objects)[1:] or None,
            [CLUSTER],
            id="relabelled",
        ),
        pytest.param(
            "ServiceMonitor",
            "serviceMonitor",
            {"namespace": "monitoring"},
            lambda objects: only(objects, "ServiceMonitor")["spec"].get("namespaceSelector"),
            {"matchNames": ["ns"]},
            id="looks into the release's namespace",
        ),
        *(
            pytest.param(kind, section, {key: value}, of_metadata(kind, key), value, id=f"{section}.{key}")
            for kind, section in (("ServiceMonitor", "serviceMonitor"), ("PrometheusRule", "prometheusRule"))
            for key, value in (("namespace", "monitoring"), ("annotations", {"a": "b"}))
        ),
    ],
)
def test_operated(chart: Chart, kind: str, section: str, values: Values, look: Look, expected: object) -> None:
    """A value of the operator's objects is in the one that it is about, and only where it is set."""
    assert [] == of_kind(render(chart, {section: values}), kind)
    assert expected == look(render(chart, {section: SCRAPED | values}))
    assert look(render(chart, {section: SCRAPED})) is None


@pytest.mark.parametrize("off", [None, {"enabled": False}], ids=["null", "enabled"])
@pytest.mark.parametrize("name", PROBES)
def test_probe_switched_off(chart: Chart, name: str, off: Values | None) -> None:
    """A probe that is switched off is not there, and the others still are."""
    found = container(render(chart, {name: off}))

    assert PROBES.keys() - {name} == found.keys() & PROBES.keys()


@pytest.mark.parametrize(
    ("web_config", "port", "ports"),
    [
        pytest.param({}, "http", {"http": 9890}, id="open"),
        pytest.param({"secret": "web"}, "health", {"http": 9890, "health": 9891}, id="password"),
        pytest.param({"secret": "web", "scheme": "HTTPS"}, "health", {"http": 9890, "health": 9891}, id="certificates"),
    ],
)
def test_probes_get_an_answer(chart: Chart, web_config: Values, port: str, ports: dict[str, int]) -> None:
    """The kubelet, which has neither password nor certificate, asks in plain HTTP where the service answers it."""
    objects = render(chart, {"webConfig": web_config})
    found, http = container(objects), yaml.safe_load(config_map(objects))["http"]

    assert {name: {"path": path, "port": port} for name, path in PROBES.items()} == {
        name: found[name]["httpGet"] for name in PROBES
    }
    assert ports == {each["name"]: each["containerPort"] for each in found["ports"]}
    assert [f":{number}" for number in ports.values()] == [
        http[key] for key in ("listen", "health_listen") if key in http
    ]


@pytest.mark.parametrize("nothing", [None, ""], ids=["null", "empty"])
@pytest.mark.parametrize(
    "left_out", [("runAsUser", "runAsGroup", "fsGroup"), ("fsGroup",)], ids=["user and groups", "group of files"]
)
def test_users_that_the_cluster_assigns(chart: Chart, left_out: tuple[str, ...], nothing: str | None) -> None:
    """Users and groups without a number are left out, so that OpenShift can assign its own; all other confinement
    stays.
    """
    before = pod(render(chart, {}))["securityContext"]
    after = pod(render(chart, {"podSecurityContext": dict.fromkeys(left_out, nothing)}))["securityContext"]

    assert {key: value for key, value in before.items() if key not in left_out} == after
    assert after["runAsNonRoot"] is True
    assert set(left_out) <= before.keys()


def test_no_security_context(chart: Chart) -> None:
    """Both contexts can be left out whole."""
    objects = render(chart, {"podSecurityContext": None, "securityContext": None})
    validate(objects)

    assert "securityContext" not in pod(objects)
    assert "securityContext" not in container(objects)


def test_empty_dir_of_shards(chart: Chart) -> None:
    """Shards on emptyDir claim nothing."""
    objects = render(chart, {"shards": 2, "store": {"sqlite": {"volume": "emptyDir"}}})

    assert {"sizeLimit": "1Gi"} == volume(objects)["emptyDir"]
    assert "volumeClaimTemplates" not in workload(objects)["spec"]


EVERY_KIND: Values = {
    "ingress": {
        "enabled": True,
        "hosts": ["monitor.example.com"],
        "labels": {"team": "ingress"},
        "annotations": {"owner": "ingress"},
    },
    "networkPolicy": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True},
}


def test_common_labels_and_annotations(chart: Chart) -> None:
    """What is common is on every object and the pod, an object's own goes before it, and no selector changes."""
    common: Values = {
        "commonLabels": {"team": "edge", "app.kubernetes.io/name": "other"},
        "commonAnnotations": {"owner": "edge", "helm.sh/resource-policy": "delete"},
    }
    objects, before = render(chart, EVERY_KIND | common), render(chart, EVERY_KIND)
    validate(objects)
    labels = {
        found["kind"]: found["metadata"]["labels"]
        for found in [*objects, workload(objects)["spec"]["template"] | {"kind": "Pod"}]
    }
    annotations = {found["kind"]: found["metadata"]["annotations"] for found in objects}

    assert {kind: "ingress" if kind == "Ingress" else "edge" for kind in labels} == {
        kind: found["team"] for kind, found in labels.items()
    }
    assert {"impulse-monitor"} == {found["app.kubernetes.io/name"] for found in labels.values()}
    assert "ingress" == annotations.pop("Ingress")["owner"]
    assert "keep" == annotations["PersistentVolumeClaim"]["helm.sh/resource-policy"]
    assert {"edge"} == {found["owner"] for found in annotations.values()}
    assert workload(before)["spec"]["selector"] == workload(objects)["spec"]["selector"]
    assert 10 < len(labels)
    assert [] == [
        found
        for found in before
        if {"team", "owner"} & found["metadata"]["labels"].keys() and found["kind"] != "Ingress"
    ]


def ingress(**values: Any) -> Values:
    """Values with an ingress."""
    return {"ingress": {"enabled": True, "hosts": ["monitor.example.com", "other.example.com"], **values}}


def test_ingress(chart: Chart) -> None:
    """The ingress leads each host to the Service's port, and without it there is none."""
    tls = [{"secretName": "monitor-tls", "hosts": ["monitor.example.com"]}]
    objects = render(chart, ingress(className="nginx", annotations={"a": "b"}, tls=tls))
    validate(objects)
    found, service = only(objects, "Ingress"), only(objects, "Service")
    backends = {rule["host"]: rule["http"]["paths"][0]["backend"]["service"] for rule in found["spec"]["rules"]}
    (port,) = service["spec"]["ports"]

    assert ("nginx", tls, {"a": "b"}) == (
        found["spec"]["ingressClassName"],
        found["spec"]["tls"],
        found["metadata"]["annotations"],
    )
    assert {"monitor.example.com", "other.example.com"} == backends.keys()
    assert all(
        backend == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
        for backend in backends.values()
    )
    assert [] == of_kind(render(chart, {}), "Ingress")


@pytest.mark.parametrize(
    ("values", "url"),
    [
        pytest.param(ingress(), "http://monitor.example.com", id="plain"),
        pytest.param(ingress(tls=[{"hosts": ["monitor.example.com"]}]), "https://monitor.example.com", id="TLS"),
        pytest.param(
            ingress() | {"config": {"http": {"external_url": "https://proxy.example.com"}}},
            "https://proxy.example.com",
            id="configured",
        ),
        pytest.param({}, None, id="no ingress"),
    ],
)
def test_links_lead_to_the_ingress(chart: Chart, values: Values, url: str | None) -> None:
    """Links in alerts and pages have the ingress's host, unless the configuration knows better."""
    assert url == yaml.safe_load(config_map(render(chart, values)))["http"].get("external_url")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({}, "port-forward deployment/rel-impulse-monitor 9890:9890", id="defaults"),
        pytest.param({"shards": 2}, "port-forward pod/rel-impulse-monitor-0 9890:9890", id="shards"),
        pytest.param({"store": {"sqlite": {"volume": "emptyDir"}}}, "are lost with each pod", id="emptyDir"),
        pytest.param(ingress(), "lets everyone in unless", id="open ingress"),
        pytest.param(
            ingress() | {"webConfig": {"secret": "web"}}, "status page: http://monitor.example.com/", id="ingress"
        ),
    ],
)
def test_notes(chart: Chart, values: Values, says: str) -> None:
    """What Helm prints at the end says where the pages are and what the chosen values cost."""
    manifests = chart.render(values, name="rel", namespace="ns")
    (notes,) = [text for path, text in manifests.items() if path.endswith("NOTES.txt")]

    assert says in notes
    assert ("lets everyone in" in notes) == (says == "lets everyone in unless")
    assert ("are lost" in notes) == (says == "are lost with each pod")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"enabled": False}, "for a parent chart's condition", id="switched off alone"),
        pytest.param({"enabled": "yes"}, "enabled", id="enabled is a text"),
        pytest.param({"global": {"imageRegistry": 5}}, "imageRegistry", id="registry is a number"),
        pytest.param({"global": {"imagePullSecrets": [{}]}}, "imagePullSecrets", id="pull secret without a name"),
        pytest.param({"image": {"registri": "x"}}, "registri", id="misspelt registry"),
        pytest.param({"commonLabels": {"a": 1}}, "commonLabels", id="label is a number"),
        pytest.param({"commonAnnotations": ["a"]}, "commonAnnotations", id="annotations are a list"),
        pytest.param({"store": {"sqlite": {"volume": "hostPath"}}}, "volume", id="unknown volume"),
        pytest.param(
            {"store": {"sqlite": {"volume": "emptyDir", "existingClaim": "mine"}}},
            "existingClaim: is not used",
            id="unused claim",
        ),
        pytest.param({"extraArgs": "--log.level=debug"}, "extraArgs", id="arguments are a text"),
        pytest.param({"extraArgs": [1]}, "extraArgs", id="argument is a number"),
        pytest.param({"env": [{"value": "x"}]}, "env", id="variable without a name"),
        pytest.param({"extraVolumes": [{"emptyDir": {}}]}, "extraVolumes", id="volume without a name"),
        pytest.param({"extraVolumeMounts": [{"name": "x"}]}, "extraVolumeMounts", id="mount without a path"),
        pytest.param({"initContainers": {"name": "x"}}, "initContainers", id="init container is no list"),
        pytest.param({"extraContainers": [{"image": "x"}]}, "extraContainers", id="container without a name"),
        pytest.param({"livenessProbe": {"period": 5}}, "period", id="misspelt probe"),
        pytest.param({"startupProbe": {"timeoutSeconds": 0}}, "timeoutSeconds", id="no time"),
        pytest.param({"readinessProbe": {"httpGet": {"path": "/"}}}, "httpGet", id="question without a port"),
        pytest.param({"podSecurityContext": {"runAsUser": "root"}}, "runAsUser", id="user is a name"),
        pytest.param({"podSecurityContext": {"fsGroup": -1}}, "fsGroup", id="no group"),
        pytest.param({"livenessProbe": {"enabled": "no"}}, "enabled", id="probe switched off by a word"),
        pytest.param(
            {"securityContext": {"readOnlyRootFilesystem": "no"}}, "readOnlyRootFilesystem", id="a word for false"
        ),
        pytest.param({"ingress": {"enabled": True}}, "ingress.hosts", id="no host"),
        pytest.param({"ingress": {"hosts": [{"host": "a"}]}}, "hosts", id="host is an object"),
        pytest.param({"ingress": {"hosts": ["https://monitor.example.com"]}}, "hosts", id="host is a URL"),
        pytest.param(ingress() | {"shards": 2}, "each shard has pages of its own", id="ingress to shards"),
        pytest.param({"hostAliases": [{"ip": "192.0.2.1"}]}, "hostAliases", id="alias without names"),
        pytest.param({"dnsPolicy": "clusterFirst"}, "dnsPolicy", id="misspelt policy"),
        pytest.param({"dnsConfig": {"nameserver": ["192.0.2.53"]}}, "nameserver", id="misspelt resolver"),
        pytest.param(
            {"serviceMonitor": {"metricRelabelings": {"action": "drop"}}},
            "metricRelabelings",
            id="relabelling is no list",
        ),
        pytest.param({"serviceMonitor": {"namespace": "Monitoring"}}, "namespace", id="no namespace"),
        pytest.param({"prometheusRule": {"annotation": {}}}, "annotation", id="misspelt annotations"),
        pytest.param({"networkPolicy": {"studio": {"ports": ["https"]}}}, "ports", id="port is a name"),
        pytest.param({"networkPolicy": {"alertmanager": {"ports": [70000]}}}, "ports", id="no such port"),
        pytest.param({"networkPolicy": {"mail": {}}}, "mail", id="unknown rule"),
        pytest.param({"networkPolicy": {"dns": {"to": [{}]}}}, "to", id="empty peer"),
        pytest.param({"extraObjects": [{"kind": "Secret"}]}, "extraObjects", id="object without a version"),
        pytest.param({"config": {"http": {"health_listen": ":1"}}}, "leave it out", id="another port for probes"),
    ],
)
def test_refused(chart: Chart, values: Values, says: str) -> None:
    """Nonsense is refused with the key it is about, before anything is installed."""
    with pytest.raises(HelmError, match=re.escape(says)):
        chart.render(values, name="rel", namespace="ns")

"""The Helm chart: rendered by Helm's own engine in several sets of values, validated against the
schemas of Kubernetes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import helm_python
import pytest
import yaml
from helm_python import Chart, HelmError

from monitor import __version__
from monitor.config import load
from tests.cli.commands import run
from tests.deploy.helm_chart import (
    CHART,
    OPERATOR,
    ROOT,
    Object,
    Values,
    config_map,
    container,
    of_kind,
    only,
    pod,
    render,
    role_of,
    validate,
    workload,
)

PROJECTS: Values = {
    "config": {"projects": [{"id": 1234567, "api_key_file": "/run/secrets/edge-impulse/key"}]},
    "secretMounts": ["edge-impulse"],
}
POSTGRESQL: Values = {"store": {"type": "postgresql", "postgresql": {"secret": "database"}}}
OPERATED: Values = {
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Edge Impulse"}},
}
PROTECTED: Values = {"webConfig": {"secret": "web", "scheme": "HTTPS", "basicAuth": {"secret": "scraper"}}}
EVERYTHING: Values = {
    **PROJECTS,
    **OPERATED,
    **PROTECTED,
    "image": {"digest": "sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "shards": 3,
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "envFrom": [{"secretRef": {"name": "variables"}}],
    "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
    "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority", "readOnly": True}],
    "service": {"annotations": {"a": "b"}, "labels": {"c": "d"}},
    "serviceAccount": {"annotations": {"e": "f"}},
    "podAnnotations": {"g": "h"},
    "podLabels": {"i": "j"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "high",
    "store": {"sqlite": {"storageClassName": "fast"}},
    "networkPolicy": {
        "enabled": True,
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "egress": [{"ports": [{"port": 5432}]}],
    },
    "global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["mirror"]},
    "commonLabels": {"team": "edge"},
    "commonAnnotations": {"owner": "edge@example.com"},
    "extraArgs": ["--log.level=debug"],
    "initContainers": [{"name": "first", "image": "busybox:1"}],
    "extraContainers": [{"name": "beside", "image": "busybox:1"}],
    "startupProbe": {"failureThreshold": 100},
    "livenessProbe": None,
    "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
    "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["studio.example.com"]}],
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["192.0.2.53"]},
    "extraObjects": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "extra"}}],
}
FLEET: Values = {
    **PROJECTS,
    **POSTGRESQL,
    **OPERATED,
    **PROTECTED,
    "workers": {"replicas": 3},
    "web": {"replicas": 2, "resources": {"limits": {"memory": "2Gi"}}},
}
BESIDE_RELEASE: Values = {
    **PROJECTS,
    "store": {"sqlite": {"volume": "emptyDir"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": ["monitor.example.com"],
        "tls": [{"hosts": ["monitor.example.com"]}],
    },
    "serviceMonitor": {
        "enabled": True,
        "namespace": "monitoring",
        "annotations": {"a": "b"},
        "relabelings": [{"targetLabel": "cluster", "replacement": "east"}],
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}],
    },
    "prometheusRule": {"enabled": True, "namespace": "monitoring", "annotations": {"c": "d"}},
}
SETS = {
    "defaults": {},
    "projects": PROJECTS,
    "postgresql": {**PROJECTS, **POSTGRESQL},
    "shards": {**PROJECTS, "shards": 3},
    "shards on postgresql": {**PROJECTS, **POSTGRESQL, "shards": 3},
    "operator": {**PROJECTS, **OPERATED},
    "protected": {**PROJECTS, **OPERATED, **PROTECTED},
    "everything": EVERYTHING,
    "fleet": FLEET,
    "beside the release": BESIDE_RELEASE,
}

every_set = pytest.mark.parametrize("values", [pytest.param(values, id=name) for name, values in SETS.items()])
ROLES = ("worker", "web")


def of_sets(*names: str) -> pytest.MarkDecorator:
    """A test of each workload of the sets of that name."""
    workloads = [(name, role) for name in names for role in (ROLES if name == "fleet" else ("",))]
    return pytest.mark.parametrize(
        ("values", "role"), [pytest.param(SETS[name], role, id=f"{name} {role}".strip()) for name, role in workloads]
    )


every_workload = of_sets(*SETS)
every_way_to_run = of_sets("projects", "postgresql", "shards", "fleet")


@every_set
def test_lint(values: Values) -> None:
    """Helm's strict lint finds nothing but the missing icon."""
    report = helm_python.lint(CHART, values, strict=True)

    assert [] == report["errors"]
    assert {"icon is recommended"} == {message["error"] for message in report["messages"]}


@every_set
def test_schemas(chart: Chart, values: Values) -> None:
    """Every object holds only what Kubernetes knows, in the right shape."""
    objects = render(chart, values)
    validate(objects)

    assert {"ConfigMap", "Service"} <= {found["kind"] for found in objects}


@pytest.fixture(scope="session")
def operator_validator(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[list[Object]], list[str]]:
    """The problems that the operator's schemas find; the package that carries them is kept in the
    user's cache folder.
    """
    node, npm = program("node"), program("npm")
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "impulse-monitor-tests" / "node"
    folder.mkdir(parents=True, exist_ok=True)
    script = shutil.copy(Path(__file__).with_name("validate_operator_objects.mjs"), folder)
    if not (folder / "node_modules" / "@kubernetes-models" / "prometheus-operator").exists():
        quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
        install = [npm, "install", *quiet, "@kubernetes-models/prometheus-operator@6.0.0"]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0 and os.environ.get("CI") != "true":
            pytest.skip("npm cannot install @kubernetes-models/prometheus-operator")
        assert done.returncode == 0, done.stderr

    def problems(objects: list[Object]) -> list[str]:
        done = subprocess.run([node, script], input=json.dumps(objects), capture_output=True, text=True, check=True)
        return list(json.loads(done.stdout))

    return problems


def test_operator_schemas(chart: Chart, operator_validator: Callable[[list[Object]], list[str]]) -> None:
    """The operator's objects are in the shape that its own definitions want, and a wrong one would be seen."""
    objects = [found for values in SETS.values() for found in render(chart, values) if OPERATOR in found["apiVersion"]]
    specification = {"endpoints": [{"port": 1}], "selector": {}}
    wrong = {"apiVersion": f"{OPERATOR}v1", "kind": "ServiceMonitor", "metadata": {"name": "x"}, "spec": specification}

    assert {"ServiceMonitor", "ScrapeConfig", "PrometheusRule"} == {found["kind"] for found in objects}
    assert [] == operator_validator(objects)
    assert 1 == len(operator_validator([wrong]))


@every_way_to_run
def test_confined(chart: Chart, values: Values, role: str) -> None:
    """The pod runs as a user that is not root, without capabilities, token or writable root."""
    objects = render(chart, values)
    spec = pod(objects, role)
    rights = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}

    assert rights == container(objects, role)["securityContext"]
    assert (True, 65532, 65532) == tuple(
        spec["securityContext"][name] for name in ("runAsNonRoot", "runAsUser", "fsGroup")
    )
    assert {"type": "RuntimeDefault"} == spec["securityContext"]["seccompProfile"]
    assert spec["automountServiceAccountToken"] is False
    assert only(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert "memory" in container(objects, role)["resources"]["limits"]


@every_way_to_run
def test_grace(chart: Chart, values: Values, role: str) -> None:
    """Kubernetes waits for longer than the service lets pulls in flight end, whatever is configured."""
    objects = render(chart, values | {"shutdownGraceSeconds": 90})
    config = yaml.safe_load(config_map(objects))

    assert "90s" == config["shutdown_grace"]
    assert 110 == pod(objects, role)["terminationGracePeriodSeconds"]


@every_workload
def test_command_line(chart: Chart, values: Values, role: str, tmp_path: Path) -> None:
    """What the pod runs is what the command takes: only the configuration is missing here."""
    arguments = [
        argument.replace("/etc/impulse-monitor/", f"{tmp_path}/")
        for argument in container(render(chart, values), role)["args"]
    ]
    arguments = [argument.replace("$(SHARD_INDEX)", "2") for argument in arguments]
    done = run(*arguments)

    assert 1 == done.exit_code, done.stderr
    assert f"{tmp_path}/monitor.yaml:1: cannot be read" in done.stderr


def test_never_two(chart: Chart) -> None:
    """One service is one replica that is recreated: two at a time would pull twice and double the series."""
    found = only(render(chart, PROJECTS), "Deployment")["spec"]

    assert (1, {"type": "Recreate"}) == (found["replicas"], found["strategy"])


def test_shards(chart: Chart) -> None:
    """Shards are pods of a StatefulSet that take their index from their ordinal, with a volume each."""
    objects = render(chart, SETS["shards"])
    found = only(objects, "StatefulSet")["spec"]
    (variable,) = container(objects)["env"]

    assert (3, "Parallel", "rel-impulse-monitor") == (
        found["replicas"],
        found["podManagementPolicy"],
        found["serviceName"],
    )
    assert "metadata.labels['apps.kubernetes.io/pod-index']" == variable["valueFrom"]["fieldRef"]["fieldPath"]
    assert [f"--shard.index=$({variable['name']})", "--shard.total=3"] == container(objects)["args"][-2:]
    assert ["store"] == [claim["metadata"]["name"] for claim in found["volumeClaimTemplates"]]
    assert [] == of_kind(objects, "PersistentVolumeClaim")


def test_one_service_is_no_shard(chart: Chart) -> None:
    """Without shards and a fleet nothing of them is said on the command line."""
    arguments = container(render(chart, {**PROJECTS, **POSTGRESQL}))["args"]

    assert [] == [argument for argument in arguments if "shard" in argument or "role" in argument]


def test_fleet(chart: Chart) -> None:
    """Each role is a Deployment of its own that rolls, with its number of pods, its budget of disruptions and its
    resources; pages and the ingress lead to the web replicas.
    """
    ingress: Values = {"ingress": {"enabled": True, "hosts": ["monitor.example.com"]}}
    objects = render(chart, FLEET | ingress)
    service = only(objects, "Service")
    (path,) = only(objects, "Ingress")["spec"]["rules"][0]["http"]["paths"]
    budgets = {
        role_of(found): found["spec"]["selector"]["matchLabels"] for found in of_kind(objects, "PodDisruptionBudget")
    }
    labels = {role: workload(objects, role)["spec"]["template"]["metadata"]["labels"] for role in ROLES}
    memory = {role: container(objects, role)["resources"]["limits"]["memory"] for role in ROLES}

    assert {"worker": 3, "web": 2} == {role: workload(objects, role)["spec"]["replicas"] for role in ROLES}
    assert {"worker": "--role=worker", "web": "--role=web"} == {
        role: container(objects, role)["args"][-1] for role in ROLES
    }
    assert not any("strategy" in workload(objects, role)["spec"] for role in ROLES)
    assert {"worker": ["worker"], "web": ["web"]} == {
        role: [other for other in ROLES if selector.items() <= labels[other].items()]
        for role, selector in budgets.items()
    }
    assert ("clusterIP" not in service["spec"], service["metadata"]["name"]) == (
        True,
        path["backend"]["service"]["name"],
    )
    assert service["spec"]["selector"].items() <= labels["web"].items()
    assert not service["spec"]["selector"].items() <= labels["worker"].items()
    assert {"worker": "512Mi", "web": "2Gi"} == memory


@every_workload
def test_volumes_exist(chart: Chart, values: Values, role: str) -> None:
    """Every mount has its volume, every volume of the chart's own its object, and /tmp is writable."""
    objects = render(chart, values)
    templates = workload(objects, role)["spec"].get("volumeClaimTemplates", [])
    volumes = {volume["name"]: volume for volume in pod(objects, role)["volumes"]}
    claims = {
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
    }
    mounts = {mount["name"]: mount["mountPath"] for mount in container(objects, role)["volumeMounts"]}

    assert mounts.keys() == volumes.keys() | {template["metadata"]["name"] for template in templates}
    assert claims == {found["metadata"]["name"] for found in of_kind(objects, "PersistentVolumeClaim")}
    assert volumes["config"]["configMap"]["name"] in {
        found["metadata"]["name"] for found in of_kind(objects, "ConfigMap")
    }
    assert ("/tmp", True) == (mounts["tmp"], "emptyDir" in volumes["tmp"])


def test_postgresql(chart: Chart) -> None:
    """With PostgreSQL the URL comes from the Secret by a variable, and there is no claim."""
    objects = render(chart, SETS["postgresql"])
    (variable,) = container(objects)["env"]

    assert "${" + variable["name"] + "}" == yaml.safe_load(config_map(objects))["store"]
    assert {"name": "database", "key": "url"} == variable["valueFrom"]["secretKeyRef"]
    assert [] == of_kind(objects, "PersistentVolumeClaim")


def test_secrets_are_files(chart: Chart) -> None:
    """A named Secret is mounted whole, so that a changed key gets to the service, and no secret is in the chart's
    objects.
    """
    objects = render(chart, PROJECTS)
    (mount,) = [
        mount for mount in container(objects)["volumeMounts"] if mount["mountPath"] == "/run/secrets/edge-impulse"
    ]
    (volume,) = [volume for volume in pod(objects)["volumes"] if volume["name"] == mount["name"]]

    assert {"secretName": "edge-impulse", "defaultMode": 0o440} == volume["secret"]
    assert "subPath" not in mount
    assert [] == of_kind(objects, "Secret")


def test_configuration_is_valid(chart: Chart, tmp_path: Path) -> None:
    """The service accepts the rendered configuration, every number unharmed."""
    projects = [{"id": 1234567, "api_key": "${EI_API_KEY}", "labels": {"team": "edge"}}]
    objects = render(chart, {**POSTGRESQL, "config": {"projects": projects, "limits": {"classes": 12}}})
    (tmp_path / "monitor.yaml").write_text(config_map(objects), encoding="utf-8")
    config = load(
        tmp_path / "monitor.yaml", {"EI_API_KEY": "ei_1", "IMPULSE_MONITOR_STORE": "postgresql://user@host/db"}
    ).config

    assert [1234567] == [project.id for project in config.projects]
    assert ("", 9890) == tuple(config.http.listen)[:2]
    assert (10.0, 12) == (config.shutdown_grace, config.limits.classes)


def test_probes_port_is_configured(chart: Chart, tmp_path: Path) -> None:
    """Where the web configuration keeps the kubelet out, the service reads from its configuration
    where to answer it.
    """
    objects = render(chart, {"webConfig": {"secret": "web"}})
    store = f"sqlite:///{tmp_path}/store.db"
    text = config_map(objects).replace("sqlite:////var/lib/impulse-monitor/impulse-monitor.db", store)
    (tmp_path / "monitor.yaml").write_text(text, encoding="utf-8")
    listen = load(tmp_path / "monitor.yaml", {}).config.http.health_listen
    ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}

    assert ("", ports["health"]) == listen


def test_restarts_only_where_needed(chart: Chart) -> None:
    """What the service takes over by itself restarts no pod; what it reads at its start does."""

    def checksum(config: Values) -> str:
        annotations = workload(render(chart, {"config": config}))["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["checksum/restart"])

    before = checksum({"schedule": {"every": "15m"}})

    assert before == checksum({"schedule": {"every": "1h"}})
    assert before != checksum({"schedule": {"every": "15m"}, "http": {"external_url": "https://example.com"}})
    assert before != checksum({"schedule": {"every": "15m"}, "limits": {"classes": 3}})


def test_scraped_by_the_operator(chart: Chart) -> None:
    """The ServiceMonitor finds the release's Service and port, and gives the job the name that rules and dashboards
    know.
    """
    objects = render(chart, SETS["protected"], name="other")
    found, service = only(objects, "ServiceMonitor")["spec"], only(objects, "Service")
    (endpoint,) = found["endpoints"]
    # The operator's schema lets unknown keys pass, and Kubernetes drops them without a word.
    keys = {"port", "path", "scheme", "interval", "scrapeTimeout", "basicAuth", "relabelings"}

    assert (keys, {"selector", "endpoints"}) == (endpoint.keys(), found.keys())
    assert ("/metrics", "30s", "10s") == (endpoint["path"], endpoint["interval"], endpoint["scrapeTimeout"])
    assert found["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert [{"targetLabel": "job", "replacement": "impulse-monitor"}] == endpoint["relabelings"]
    assert ("https", "scraper") == (endpoint["scheme"], endpoint["basicAuth"]["password"]["name"])
    assert "prometheus" == only(objects, "ServiceMonitor")["metadata"]["labels"]["release"]


def test_a_fleet_is_scraped_by_its_list(chart: Chart) -> None:
    """Prometheus asks a web replica what to scrape, once a replica or as often as is asked for, with the password; a
    shard's series keep their instance.
    """
    objects = render(chart, FLEET, name="other")
    found, service = only(objects, "ScrapeConfig"), only(objects, "Service")
    (asked,) = found["spec"]["httpSDConfigs"]
    more = only(render(chart, {**FLEET, "web": {"replicas": 2, "scrapes": 8}}), "ScrapeConfig")["spec"]["httpSDConfigs"]
    labels = {rule["targetLabel"]: rule["replacement"] for rule in found["spec"]["relabelings"]}
    (address,) = [f"{service['metadata']['name']}.ns.svc:{port['port']}" for port in service["spec"]["ports"]]

    assert f"https://{address}/-/targets?of=2" == asked["url"]
    assert more[0]["url"].endswith("/-/targets?of=8")
    assert ["scraper", "scraper"] == [each["basicAuth"]["password"]["name"] for each in (asked, found["spec"])]
    assert {"job": "impulse-monitor", "namespace": "ns", "instance": "shard-$1"} == labels
    assert [] == of_kind(objects, "ServiceMonitor")
    assert "prometheus" == found["metadata"]["labels"]["release"]


@every_workload
def test_selectors(chart: Chart, values: Values, role: str) -> None:
    """Service, policies and the workload select the pods of this release and of no other."""
    objects, others = render(chart, values), render(chart, values, name="other")
    labels = workload(objects, role)["spec"]["template"]["metadata"]["labels"]
    foreign = workload(others, role)["spec"]["template"]["metadata"]["labels"]
    services = [only(objects, "Service")["spec"]["selector"]] if role in ("", "web") else []
    selectors = [*services, workload(objects, role)["spec"]["selector"]["matchLabels"]]
    budgets = [found for found in of_kind(objects, "PodDisruptionBudget") if role_of(found) == role]
    selectors += [found["spec"]["selector"]["matchLabels"] for found in budgets]
    selectors += [found["spec"]["podSelector"]["matchLabels"] for found in of_kind(objects, "NetworkPolicy")]

    assert all(selector.items() <= labels.items() for selector in selectors)
    assert not any(selector.items() <= foreign.items() for selector in selectors)


def test_rules_are_deployed(chart: Chart) -> None:
    """The PrometheusRule holds exactly the groups of the chart's rules, templates of alerts untouched."""
    files = sorted((CHART / "rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]

    assert groups == only(render(chart, OPERATED), "PrometheusRule")["spec"]["groups"]
    assert groups


LINKED = [
    pytest.param("rules", "prometheus/rules", "*.yaml", id="rules"),
    pytest.param("dashboards", "grafana/dashboards", "*.json", id="dashboards"),
]


@pytest.mark.parametrize(("linked", "original", "pattern"), LINKED)
def test_links(linked: str, original: str, pattern: str) -> None:
    """The chart's rules and dashboards are links to all the files that Prometheus and Grafana are given elsewhere."""
    originals = {file.name: file.resolve() for file in (ROOT / "deploy" / original).glob(pattern)}
    links = {file.name: file.resolve() for file in (CHART / linked).iterdir() if file.is_symlink()}
    command = f"ln -s ../../../{original}/NAME deploy/helm/impulse-monitor/{linked}/"

    assert originals
    assert originals == links, command


@pytest.mark.parametrize(("linked", "original", "pattern"), LINKED)
def test_a_packaged_chart_holds_what_it_links_to(tmp_path: Path, linked: str, original: str, pattern: str) -> None:
    """`helm package` puts files in place of the links, so that the archive installs anywhere."""
    archive = helm_python.package(CHART, destination=tmp_path)
    originals = {
        f"{linked}/{file.name}": file.read_text("utf-8") for file in (ROOT / "deploy" / original).glob(pattern)
    }
    packaged = {file["name"]: file["data"] for file in Chart.load(archive).files}

    assert originals.items() <= packaged.items()


def test_dashboards_are_deployed(chart: Chart) -> None:
    """Each dashboard is a ConfigMap that Grafana's sidecar looks for, its JSON unharmed and small enough."""
    originals = {
        file.name: json.loads(file.read_text(encoding="utf-8")) for file in (CHART / "dashboards").glob("*.json")
    }
    maps = [found for found in of_kind(render(chart, OPERATED), "ConfigMap") if "monitor.yaml" not in found["data"]]

    assert originals == {name: json.loads(text) for found in maps for name, text in found["data"].items()}
    assert all(found["metadata"]["labels"]["grafana_dashboard"] == "1" for found in maps)
    assert all(len(json.dumps(found)) < 2**20 for found in maps)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param({"shard": 3}, "shard", id="unknown key"),
        pytest.param({"shards": 0}, "shards", id="no shard"),
        pytest.param({"store": {"type": "mysql"}}, "type", id="unknown store"),
        pytest.param({"webConfig": {"scheme": "https"}}, "scheme", id="lower case"),
        pytest.param({"secretMounts": ["a", "a"]}, "secretMounts", id="mounted twice"),
        pytest.param({"serviceMonitor": {"interval": 30}}, "interval", id="no unit"),
        pytest.param({"store": {"type": "postgresql"}}, "store.postgresql.secret", id="no URL"),
        pytest.param(
            {"config": {"store": "sqlite:///x.db"}}, "set store.type instead", id="store in the configuration"
        ),
        pytest.param({"config": {"http": {"listen": ":80"}}}, "port 9890", id="another port"),
        pytest.param(
            {"config": {"shutdown_grace": "1m"}}, "set shutdownGraceSeconds instead", id="grace in the configuration"
        ),
        pytest.param(
            {"shards": 2, "store": {"sqlite": {"existingClaim": "mine"}}}, "shards cannot share", id="one claim for two"
        ),
        pytest.param(
            {"workers": {"replicas": 2}, "web": {"replicas": 1}}, "set store.type postgresql", id="a fleet on SQLite"
        ),
        pytest.param({**POSTGRESQL, "workers": {"replicas": 2}}, "web.replicas", id="no page"),
        pytest.param({**POSTGRESQL, "web": {"replicas": 2}}, "workers.replicas", id="no worker"),
        pytest.param({**FLEET, "shards": 2}, "divides the targets by itself", id="a fleet in shards"),
        pytest.param({"workers": {"replicas": "2"}}, "replicas", id="no number"),
    ],
)
def test_refused(chart: Chart, values: Values, says: str) -> None:
    """What cannot work is refused with the key it is about, before anything is installed."""
    with pytest.raises(HelmError, match=says):
        chart.render(values, name="rel", namespace="ns")


def test_versions(chart: Chart) -> None:
    """The chart deploys the version it is published with, by the image's name and tag or by its digest."""
    assert __version__ == chart.metadata["appVersion"]
    assert f"impulse-monitor:{__version__}" == container(render(chart, {}))["image"]
    assert "mirror.example.com/impulse-monitor@sha256:" + "0" * 64 == container(render(chart, EVERYTHING))["image"]

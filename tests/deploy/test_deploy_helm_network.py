"""The Helm chart's network policy, judged as Kubernetes does: who gets in, and which addresses of the configuration are
let out to.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from helm_python import Chart, HelmError

from tests.deploy.helm_chart import Values, config_map, container, documented, of_kind, only, render, validate

STUDIO = "203.0.113.9"
"""Somewhere on the internet."""
DATABASE = "10.20.3.4"


def peer(namespace: str) -> dict[str, Any]:
    """All pods of a namespace, as a policy names them."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def matches(selector: dict[str, Any], where: str) -> bool:
    """Whether a peer of a policy is `where`: an IP address outside, or a namespace's name."""
    try:
        address = ipaddress.ip_address(where)
    except ValueError:
        return bool(
            selector.get("namespaceSelector", {}).get("matchLabels", {}) == {"kubernetes.io/metadata.name": where}
        )
    return "ipBlock" in selector and address in ipaddress.ip_network(selector["ipBlock"]["cidr"])


def lets_out(policy: dict[str, Any], where: str, port: int, protocol: str = "TCP") -> bool:
    """Whether a pod under the policy reaches a pod in a namespace, or an address outside."""
    return any(
        any(each["port"] == port and each.get("protocol", "TCP") == protocol for each in rule["ports"])
        and (not rule.get("to") or any(matches(each, where) for each in rule["to"]))
        for rule in policy["egress"]
    )


def policy_of(chart: Chart, values: Values) -> dict[str, Any]:
    """The policy's specification, valid in itself."""
    objects = render(chart, values)
    validate(objects)
    return dict(only(objects, "NetworkPolicy")["spec"])


def notify(*receivers: dict[str, Any], **rules: Any) -> Values:
    """Values with receivers and a network policy."""
    return {"config": {"notify": list(receivers)}, "networkPolicy": {"enabled": True, **rules}}


def alertmanager(url: str) -> dict[str, Any]:
    """A receiver."""
    return {"alertmanager": {"url": url}}


def addresses(config: dict[str, Any]) -> list[tuple[str, int]]:
    """Namespace (the second part of a host's name) or address, and port, of each receiver and of Studio."""
    urls = [entry["alertmanager"]["url"] for entry in config["notify"]]
    parts = [urlsplit(url) for url in urls]
    return [((part.hostname or "").split(".")[1], part.port or 80) for part in parts] + [(STUDIO, 443)]


def test_example_lets_its_own_alerts_out(chart: Chart) -> None:
    """The documented example reaches each address that its own configuration names, and DNS; nothing beside that."""
    values = documented()["Kubernetes"]
    config = yaml.safe_load(config_map(render(chart, values)))
    policy = policy_of(chart, values)

    assert [("monitoring", 9093), (STUDIO, 443)] == addresses(config)
    assert [] == [address for address in addresses(config) if not lets_out(policy, *address)]
    assert lets_out(policy, "kube-system", 53, "UDP")
    assert lets_out(policy, "kube-system", 53, "TCP")
    assert [] == [
        each
        for each in (("other", 9093), (STUDIO, 80), (DATABASE, 5432), ("kube-system", 6443))
        if lets_out(policy, *each)
    ]
    assert [peer("monitoring")] == policy["ingress"][0]["from"]


def test_example_with_everything_elsewhere(chart: Chart) -> None:
    """The documented example with a proxy, a pooler and pods' own ports reaches those, and Studio only through the
    proxy.
    """
    values = documented()["What the network policy lets out"]
    policy = policy_of(chart, values)
    (proxy,) = [urlsplit(each["value"]) for each in values["env"] if each["name"] == "HTTPS_PROXY"]
    out = [("egress", proxy.port or 0), ("monitoring", 9093), (DATABASE, 6432), (STUDIO, 443)]

    assert [True] * 4 == [lets_out(policy, *each) for each in out]
    assert [False] * 4 == [
        lets_out(policy, *each) for each in (("other", 3128), ("monitoring", 80), (DATABASE, 5432), (STUDIO, 3128))
    ]
    assert lets_out(policy, "kube-system", 53, "UDP")
    assert not lets_out(policy, "other", 53, "UDP")


def test_openshift(chart: Chart) -> None:
    """OpenShift's example asks DNS where it listens."""
    policy = policy_of(chart, documented()["OpenShift"])

    assert [True, False] == [lets_out(policy, "openshift-dns", port, "UDP") for port in (5353, 53)]


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        pytest.param(notify(), {443}, id="Studio alone"),
        pytest.param(
            notify() | {"config": {"studio": {"url": "http://studio.example.com/v1"}}}, {80}, id="Studio on 80"
        ),
        pytest.param(
            notify() | {"config": {"studio": {"url": "https://[2001:db8::1]:8443/v1"}}}, {8443}, id="Studio on IPv6"
        ),
        pytest.param(
            notify() | {"config": {"studio": {"url": "https://[2001:db8::1]/v1"}}}, {443}, id="IPv6 without a port"
        ),
        pytest.param(
            notify() | {"config": {"studio": {"proxy": "http://proxy.example.com:3128"}}}, {443, 3128}, id="proxy"
        ),
        pytest.param(
            notify() | {"env": [{"name": "https_proxy", "value": "http://proxy:8080/"}]},
            {443, 8080},
            id="proxy by a variable",
        ),
        pytest.param(
            notify(studio={"enabled": False}) | {"config": {"studio": {"proxy": "http://p:3128"}}},
            {3128},
            id="only the proxy",
        ),
        pytest.param(
            notify(alertmanager("http://am:9093"), alertmanager("https://user:word@am/x")),
            {443, 9093},
            id="Alertmanagers",
        ),
        pytest.param(notify(alertmanager("http://am:9093"), alertmanager={"enabled": False}), {443}, id="switched off"),
        pytest.param(
            notify(alertmanager("http://am"), alertmanager={"ports": [9093]}), {443, 9093}, id="a pod's own port"
        ),
        pytest.param(notify({"webhook": {"url": "http://hook:8000/x"}}), {443, 8000}, id="webhook"),
        pytest.param(
            notify({"webhook": {"url": "${HOOK}"}}, webhook={"ports": [8000]}), {443, 8000}, id="secret webhook"
        ),
        pytest.param(
            notify({"apprise": {"url_file": "/run/x"}}, egress=[{"ports": [{"port": 587}]}]), {443, 587}, id="mail"
        ),
        pytest.param(
            notify() | {"store": {"type": "postgresql", "postgresql": {"secret": "db"}}}, {443, 5432}, id="PostgreSQL"
        ),
        pytest.param(notify(postgresql={"ports": [6432]}), {443}, id="no PostgreSQL"),
    ],
)
def test_ports(chart: Chart, values: Values, ports: set[int]) -> None:
    """The ports beside DNS are those of the addresses in the values, unless they are listed."""
    policy = policy_of(chart, values)

    assert {port for port in range(65536) if lets_out(policy, STUDIO, port)} - {53} == ports


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param(notify({"webhook": {"url_file": "/run/x"}}), "networkPolicy.webhook.ports", id="file"),
        pytest.param(notify(alertmanager("${ALERTMANAGER}")), "networkPolicy.alertmanager.ports", id="variable"),
        pytest.param(
            notify() | {"env": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "p", "key": "p"}}}]},
            "networkPolicy.proxy.ports",
            id="proxy in a Secret",
        ),
    ],
)
def test_unknown_address(chart: Chart, values: Values, says: str) -> None:
    """An address that the chart cannot know is not shut out silently: its port has to be listed."""
    with pytest.raises(HelmError, match=says):
        chart.render(values, name="rel", namespace="ns")


def test_off(chart: Chart) -> None:
    """Without `enabled` there is no policy, and no address needs to be known."""
    values = notify({"webhook": {"url_file": "/run/x"}}, enabled=False)

    assert [] == of_kind(render(chart, values), "NetworkPolicy")


def test_in(chart: Chart) -> None:
    """Only the main port is open to others, and the port for probes to none: the kubelet is on the pod's own node."""
    values: Values = {"webConfig": {"secret": "web"}, "networkPolicy": {"enabled": True, "from": [peer("monitoring")]}}
    (rule,) = policy_of(chart, values)["ingress"]
    names = {port["name"]: port["containerPort"] for port in container(render(chart, values))["ports"]}

    assert ([{"port": "http", "protocol": "TCP"}], [peer("monitoring")]) == (rule["ports"], rule["from"])
    assert {"http": 9890, "health": 9891} == names

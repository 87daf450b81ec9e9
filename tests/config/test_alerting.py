"""Alerts and receivers: what is written, which rules follow from it, and every mistake in it at its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from pydantic import SecretStr

from monitor.alerts.rule_file import WatchedProject
from monitor.alerts.rules import Above, AnomalyDrift, Below, Condition, Drop, QuantizationLoss, Rise, built_in
from monitor.config import schema
from monitor.config.receivers import NotifyConfig
from monitor.figures.headline import METRICS
from tests.config.conftest import Folder

BUILT_IN = {rule.name: rule for rule in built_in()}
OWN = "alerts:\n  - alert: Own\n    metric: accuracy\n"  # three lines, to go on with four blanks
LOSS = "alerts:\n  - alert: EdgeImpulseQuantizationLoss\n"
DRIFT = "alerts:\n  - alert: EdgeImpulseAnomalyDrift\n"
EXPIRING = "alerts:\n  - alert: EdgeImpulseKeyExpiring\n"
SMALL = "is smaller than a p-value by re-sampling can be; write {} or more"
UNTESTED = "has no test for a change (only accuracy, mean_f1, map have); write `significance: off`"
NEVER = "can never be met, or always is; write "

MISTAKES = [
    (
        "alerts:\n  - alert: lower",
        "2: alerts[0].alert: is not an alert's name; write CamelCase letters and digits, such as "
        "EdgeImpulseAccuracyLow",
    ),
    (OWN + "    drop: 0.1\n    raise: 1", "5: alerts[0].raise: unknown key; did you mean rise?"),
    (
        "alerts:\n  - alert: Own\n    metric: accuracy\n    drop: 0.1\n    fur: 1h",
        "5: alerts[0].fur: unknown key; did you mean for?",
    ),
    (OWN + "    drop: .nan", "4: alerts[0].drop: must be a number; write for example 0.03"),
    ("alerts:\n  - severity: info", "2: alerts[0]: has no alert; write `alert: ...` below it"),
    ("alerts:\n  - 5", "2: alerts[0]: must be a mapping; write `key: value` lines below it"),
    (
        "alerts:\n  - alert: Own",
        "2: alerts[0]: needs metric, and drop, rise, above or below; only a built-in alert does without them",
    ),
    (OWN, "3: alerts[0].metric: means nothing without drop, rise, above or below; write one of them beside it"),
    (
        "alerts:\n  - alert: Own\n    drop: 0.1",
        "3: alerts[0].drop: needs a metric; write `metric: accuracy`, or another, beside it",
    ),
    (OWN + "    drop: 0.1\n    above: 0.5", "5: alerts[0].above: cannot stand beside drop; remove one of them"),
    (OWN + "    drop:", "4: alerts[0].drop: is empty; write a value, or remove the key"),
    (OWN + "    drop: much", "4: alerts[0].drop: must be a number; write for example 0.03"),
    (OWN + "    drop: true", "4: alerts[0].drop: must be a number; write for example 0.03"),
    (OWN + "    drop: .inf", "4: alerts[0].drop: must be a number; write for example 0.03"),
    (OWN + "    drop: 3", "4: alerts[0].drop: must be between 0 and 1: a share, 0.03 for 3 points"),
    (OWN + "    rise: 0", "4: alerts[0].rise: must be between 0 and 1: a share, 0.03 for 3 points"),
    (OWN.replace("accuracy", "mae") + "    rise: 0\n    significance: off", "4: alerts[0].rise: must be above 0"),
    (OWN + "    above: 1", f"4: alerts[0].above: {NEVER}a share between 0 and 1"),
    (OWN + "    below: 0", f"4: alerts[0].below: {NEVER}a share between 0 and 1"),
    (OWN.replace("accuracy", "r2") + "    above: 1", f"4: alerts[0].above: {NEVER}at most 1"),
    (OWN.replace("accuracy", "mae") + "    below: 0", f"4: alerts[0].below: {NEVER}a number above 0"),
    (
        OWN.replace("accuracy", "f1") + "    drop: 0.1",
        f"3: alerts[0].metric: write {', '.join(list(METRICS)[:-1])} or {list(METRICS)[-1]}",
    ),
    # significance
    (
        OWN + "    drop: 0.1\n    significance: 1",
        "5: alerts[0].significance: must be a number above 0 and below 1, or off; write for example 0.01",
    ),
    (
        OWN + "    drop: 0.1\n    significance: none",
        "5: alerts[0].significance: must be a number above 0 and below 1, or off; write for example 0.01",
    ),
    (
        OWN + "    above: 0.1\n    significance: 0.01",
        "5: alerts[0].significance: means nothing beside above, which waits for the whole interval; remove it",
    ),
    (
        OWN.replace("accuracy", "map") + "    drop: 0.1\n    significance: 0.0029",
        f"5: alerts[0].significance: {SMALL.format(0.003)}",
    ),
    (
        OWN.replace("accuracy", "mean_f1") + "    rise: 0.1\n    significance: 0.001",
        f"5: alerts[0].significance: {SMALL.format(0.003)}",
    ),
    (
        "alerts:\n  - alert: EdgeImpulseMapRegressed\n    significance: 0.001",
        f"3: alerts[0].significance: {SMALL.format(0.003)}",
    ),
    (DRIFT + "    significance: 0.0009", f"3: alerts[0].significance: {SMALL.format(0.001)}"),
    (
        DRIFT + "    significance: off",
        "3: alerts[0].significance: cannot be off for this alert; write a number, or `enabled: false`",
    ),
    (LOSS + "    significance: 0.0009", f"3: alerts[0].significance: {SMALL.format(0.001)}"),
    (
        LOSS + "    recover: 0.03",
        "3: alerts[0].recover: is not below the margin of 0.03, so that the alert could never resolve; write a smaller "
        "one",
    ),
    (OWN.replace("accuracy", "uncertain") + "    rise: 0.1", f"3: alerts[0].metric: {UNTESTED}"),
    (OWN.replace("accuracy", "mse") + "    rise: 2\n    significance: 0.01", f"5: alerts[0].significance: {UNTESTED}"),
    (EXPIRING + "    significance: 0.1", "3: alerts[0].significance: means nothing for this alert; remove it"),
    # for and recover
    (
        OWN + "    drop: 0.1\n    for: 2 days",
        "5: alerts[0].for: write `N pulls`, such as `2 pulls`, or a duration such as 1h",
    ),
    (
        OWN + "    drop: 0.1\n    for: 0 pulls",
        "5: alerts[0].for: write `N pulls`, such as `2 pulls`, or a duration such as 1h",
    ),
    (
        EXPIRING + "    for: 1 pull",
        "3: alerts[0].for: counts result sets, which this alert does not look at; write a duration such as 1h",
    ),
    (EXPIRING + "    recover: 1", "3: alerts[0].recover: means nothing for this alert; remove it"),
    (DRIFT + "    recover: 1", "3: alerts[0].recover: means nothing for this alert; remove it"),
    (
        OWN + "    drop: 0.02\n    recover: 0.02",
        "5: alerts[0].recover: is not below the margin of 0.02, so that the alert could never resolve; write a "
        "smaller one",
    ),
    (
        "alerts:\n  - alert: EdgeImpulseAccuracyRegressed\n    recover: 0.03",
        "3: alerts[0].recover: is not below the margin of 0.03, so that the alert could never resolve; write a "
        "smaller one",
    ),
    (OWN + "    above: 0.5\n    recover: -0.1", "5: alerts[0].recover: must be at least 0"),
    # names, labels, patterns
    (
        EXPIRING + "  - alert: EdgeImpulseKeyExpiring",
        "3: alerts[1].alert: is the name of entry 1 too; choose another, or remove one of them",
    ),
    (EXPIRING + "    severity: page", "3: alerts[0].severity: write critical, warning or info"),
    (
        EXPIRING + "    labels: {severity: x}",
        "3: alerts[0].labels.severity: is a label that the monitor or Prometheus sets itself; write another name",
    ),
    (EXPIRING + "    labels: {a: ''}", "3: alerts[0].labels.a: must not be empty; write a value, or remove the key"),
    (
        EXPIRING + "    annotations: {a-b: x}",
        "3: alerts[0].annotations.a-b: is not an annotation's name; write letters, digits and underscores, with no "
        "digit first",
    ),
    *(
        (
            EXPIRING + f"    annotations: {{{name}: x}}",
            f"3: alerts[0].annotations.{name}: is written by the monitor itself, with the figures and the cause; "
            "choose another name",
        )
        for name in ("summary", "description")
    ),
    (
        EXPIRING + "    match: {a b: x}",
        "3: alerts[0].match.a b: is not a label name; write letters, digits and underscores, with no digit first",
    ),
    (EXPIRING + "    match: {project_id: 5}", "3: alerts[0].match.project_id: must be text; put it into quotes"),
    ("defaults: none", "1: defaults: write on or off"),
    # receivers
    ("notify:\n  - {}", f"2: notify[0]: needs {' or '.join(NotifyConfig.exactly_one)}; write one of them"),
    (
        "notify:\n  - apprise: {url: ops-channel}",
        "2: notify[0].apprise.url: is not an Apprise URL; write for example mailto://user:password@example.com",
    ),
    ("notify:\n  - webhook: {}", "2: notify[0].webhook: needs url or url_file; write one of them"),
    (
        "notify:\n  - webhook: {url: http://h}\n    apprise: {url: 'x://'}",
        "3: notify[0].apprise: cannot stand beside webhook; remove one of them",
    ),
    *(
        (
            f"notify:\n  - webhook: {{url: '{url}'}}",
            f"2: notify[0].webhook.url: {text}; write for example https://hooks.example.com/alerts",
        )
        for url, text in (
            ("ftp://h", "is not a URL that can be used here"),
            ("http://h:port", "is not a URL that can be used here"),
            ("http://", "names no host"),
            ("http://h#x", "must not hold a fragment (#...)"),
        )
    ),
    (
        "notify:\n  - apprise: {url: 'a://'}\n  - apprise: {url: 'b://'}",
        "3: notify[1]: is called the same as entry 1; write `name: ...` with a name of its own",
    ),
    (
        "notify:\n  - alertmanager: {url: http://a:80/x}\n  - alertmanager: {url: http://a}",
        "3: notify[1]: is called the same as entry 1; write `name: ...` with a name of its own",
    ),
    (
        "notify:\n  - name: webhook-a:80\n    apprise: {url: 'x://'}\n  - webhook: {url: http://a/b}",
        "4: notify[1]: is called the same as entry 1; write `name: ...` with a name of its own",
    ),
    (
        "notify:\n  - apprise: {url: 'x://'}\n    name: ''",
        "3: notify[0].name: must not be empty; write a value, or remove the key",
    ),
]

OWN_RULE = {
    "alert": "Own",
    "metric": "accuracy",
    "drop": 0.05,
    "significance": 0.001,
    "for": "2 pulls",
    "recover": 0.01,
    "match": {"project": "vibration-*"},
    "severity": "critical",
    "labels": {"team": "edge"},
    "annotations": {"runbook_url": "https://wiki.example.com"},
}


def rules(folder: Any, **data: Any) -> dict[str, Any]:
    """The rules by name that follow from a file with these keys."""
    return {rule.name: rule for rule in folder.load(yaml.safe_dump(data)).config.rules()}


@pytest.mark.parametrize(("text", "problem"), MISTAKES)
def test_alerting_mistake(folder: Folder, text: str, problem: str) -> None:
    """Each mistake about alerts and receivers is reported once, at its line."""
    problems = folder.problems(text)

    assert [f"monitor.yaml:{problem}"] == problems


def test_all_alerting_mistakes_at_once(folder: Folder) -> None:
    """Mistakes in several alerts, and several in one, are reported together."""
    problems = folder.problems(
        OWN + "    drop: 3\n    severity: page\n    labels: {job: x}\n  - alert: lower\nnotify:\n  - webhook: {}\n"
    )

    assert [
        "4: alerts[0].drop",
        "5: alerts[0].severity",
        "6: alerts[0].labels.job",
        "7: alerts[1].alert",
        "9: notify[0].webhook",
    ] == [":".join(problem.split(":")[1:3]).strip() for problem in problems]


def test_metrics_are_the_headline_figures() -> None:
    """A rule may be about every headline figure, and about nothing else."""
    enums = [
        shape["properties"]["metric"]["anyOf"][0]["enum"]
        for shape in schema()["$defs"].values()
        if "metric" in shape.get("properties", ())
    ]

    assert [list(METRICS)] * 4 == enums


def test_without_alerts_the_built_in_ones(folder: Folder) -> None:
    """A file without alerts has the built-in ones, in their order."""
    assert list(built_in()) == list(rules(folder).values())


def test_defaults_off(folder: Folder) -> None:
    """`defaults: off` leaves what is written, built-in ones by their name included."""
    found = rules(
        folder,
        defaults="off",
        alerts=[{"alert": "EdgeImpulsePullFailing"}, {"alert": "Own", "metric": "map", "below": 0.5}],
    )

    assert ["EdgeImpulsePullFailing", "Own"] == list(found)
    assert BUILT_IN["EdgeImpulsePullFailing"] == found["EdgeImpulsePullFailing"]


def test_built_in_changed(folder: Folder) -> None:
    """A built-in alert without a condition keeps what is not written."""
    change = {"alert": "EdgeImpulseResultsVanished", "severity": "critical", "labels": {"team": "edge"}}
    found = rules(folder, alerts=[change])["EdgeImpulseResultsVanished"]

    assert ("critical", {"team": "edge"}, 3600.0) == (found.severity, found.labels, found.for_seconds)
    assert BUILT_IN["EdgeImpulseResultsVanished"].condition == found.condition


def test_built_in_significance_changed(folder: Folder) -> None:
    """Significance alone changes that of a built-in condition."""
    written = [
        {"alert": "EdgeImpulseAccuracyRegressed", "significance": 0.001},
        {"alert": "EdgeImpulseMapRegressed", "significance": "off"},
        {"alert": "EdgeImpulseAnomalyDrift", "significance": 0.001},
        {"alert": "EdgeImpulseMeanF1Regressed", "significance": 0.003},
        {"alert": "EdgeImpulseQuantizationLoss", "significance": 0.002, "recover": 0.01},
    ]
    found = rules(folder, alerts=written)

    assert Drop("accuracy", 0.03, 0.001) == found["EdgeImpulseAccuracyRegressed"].condition
    assert Drop("map", 0.03, None) == found["EdgeImpulseMapRegressed"].condition
    assert AnomalyDrift(0.001) == found["EdgeImpulseAnomalyDrift"].condition
    assert Drop("mean_f1", 0.03, 0.003) == found["EdgeImpulseMeanF1Regressed"].condition
    loss = found["EdgeImpulseQuantizationLoss"]
    assert (QuantizationLoss(0.03, 0.002), 0.01) == (loss.condition, loss.recover)


def test_built_in_replaced(folder: Folder) -> None:
    """A built-in alert with a condition is replaced as a whole, in its place."""
    found = rules(folder, alerts=[{"alert": "EdgeImpulseResultsVanished", "metric": "mae", "above": 2}])

    assert list(BUILT_IN) == list(found)
    assert Above("mae", 2.0) == found["EdgeImpulseResultsVanished"].condition
    assert 0.0 == found["EdgeImpulseResultsVanished"].for_seconds


def test_switched_off(folder: Folder) -> None:
    """`enabled: false` drops an alert, built in or not."""
    off = [
        {"alert": "EdgeImpulseKeyExpiring", "enabled": False},
        {"alert": "Own", "metric": "map", "below": 0.5, "enabled": False},
    ]

    assert [name for name in BUILT_IN if name != "EdgeImpulseKeyExpiring"] == list(rules(folder, alerts=off))


def test_everything_written(folder: Folder) -> None:
    """All that is written about an alert is in its rule."""
    rule = rules(folder, alerts=[OWN_RULE])["Own"]

    assert Drop("accuracy", 0.05, 0.001) == rule.condition
    assert (2, 0.0, 0.01, "critical") == (rule.for_results, rule.for_seconds, rule.recover, rule.severity)
    assert ({"project": "vibration-*"}, {"team": "edge"}) == (rule.match, rule.labels)
    assert {"runbook_url": "https://wiki.example.com"} == rule.annotations


@pytest.mark.parametrize(
    ("bound", "condition"),
    [
        ({"drop": 0.1}, Drop("accuracy", 0.1, 0.01)),
        ({"rise": "${SHARE}", "significance": "off"}, Rise("accuracy", 0.9, None)),
        ({"above": 0.5}, Above("accuracy", 0.5)),
        ({"below": 1}, Below("accuracy", 1.0)),
    ],
)
def test_conditions(folder: Folder, bound: dict[str, object], condition: Condition) -> None:
    """Each of the four bounds gives its condition; drop and rise want a p-value of 0.01 unless told otherwise."""
    assert condition == rules(folder, alerts=[{"alert": "Own", "metric": "accuracy"} | bound])["Own"].condition


def test_digests_of_built_in_rules_never_change() -> None:
    """A rule with another digest is another rule: what fires by it would resolve, and start anew, at an upgrade."""
    assert {
        "EdgeImpulseAccuracyRegressed": "ced0891bf1304764ffb502da041f55fa4361fc2e8fda6081936a8b99bb481cdc",
        "EdgeImpulseMeanF1Regressed": "d0a18b44bc24d55c023cf8dd3a2edd841e8ad8854908f4dea84a3adde584ddb5",
        "EdgeImpulseMapRegressed": "ceb8e09a272b9f07f1fa02c48cc4d9d8097f215194b17ac4b4bbf39cd214eb16",
        "EdgeImpulseAnomalyDrift": "ae167062fdb8c7083cb54c7c7d0fdd8065acae1ed53113e306587e1934d5bc76",
        "EdgeImpulseQuantizationLoss": "0ba5edfe7ad7e3e4243c5f26ad2cab1c94bfb074ec10c11f67b7f191e87988d5",
        "EdgeImpulsePullFailing": "6145fbd590c44e2229b45f77a51957ddff30fac9c0ba5fcb2caf0719c9901a3d",
        "EdgeImpulseResultsVanished": "0e7cb9ea04a9da6005c7595a8db8d4ce5ce1218767f0d527c0aee4235e4ca01a",
        "EdgeImpulseKeyExpiring": "5be2473110b5c9f46f470f38bca513199643dab0f5697b06ae7bbe81bb9ec1e3",
    } == {name: rule.digest for name, rule in BUILT_IN.items()}


def test_digest_of_an_own_rule_never_changes(folder: Folder) -> None:
    """The same holds for a rule that an operator wrote, with all that can be written."""
    digests = rules(folder, alerts=[OWN_RULE, {"alert": "EdgeImpulseMapRegressed", "significance": "off"}])

    assert "175b1001a31a5c24b3325c5f6921a51494723064024243e87948525da33d27aa" == digests["Own"].digest
    assert (
        "54867e629dea6e3075d6172e0d379542d87b7c6241e983ed5d7d41cf11191dac" == digests["EdgeImpulseMapRegressed"].digest
    )


def test_digest_tells_rules_apart(folder: Folder) -> None:
    """A rule's digest is the same for the same text, and another for any change."""
    base = {"alert": "Own", "metric": "accuracy", "drop": 0.05}
    changes: list[dict[str, Any]] = [
        {},
        {"drop": 0.06},
        {"significance": 0.02},
        {"for": "1h"},
        {"for": "2 pulls"},
        {"recover": 0.01},
        {"match": {"variant": "int8"}},
        {"severity": "info"},
        {"labels": {"a": "b"}},
        {"annotations": {"a": "b"}},
    ]
    digests = [rules(folder, alerts=[base | change])["Own"].digest for change in changes]

    assert len(changes) == len(set(digests))
    assert digests == [rules(folder, alerts=[base | change])["Own"].digest for change in changes]
    assert Rise("map", 0.1) != Drop("map", 0.1)
    rise = {"alert": "Own", "metric": "accuracy", "rise": 0.05}
    assert rules(folder, alerts=[rise])["Own"].digest not in digests


def test_pattern_about_an_unknown_label(folder: Folder) -> None:
    """A pattern for a label that no project has is allowed, and warned of."""
    text = "projects:\n  - {id: 1, api_key: k, labels: {team: edge}}\n"
    alert = "alerts:\n  - alert: EdgeImpulseKeyExpiring\n    match:\n      team: e*\n      taem: e*\n"

    assert ["alerts[0].match.taem", "notify"] == [warning.key for warning in folder.load(text + alert).warnings]


def test_receivers(folder: Folder) -> None:
    """Each receiver has its address, or the file that holds it, and a name that holds no secret."""
    folder.write("x", "hook")
    text = """
        notify:
          - alertmanager: {url: "https://user:pass@am.example.com/x"}
          - alertmanager: {url: "http://[::1]:9093"}
          - webhook: {url: "https://hooks.example.com/?token=1", secret_file: hook}
          - apprise: {url_file: hook}
          - apprise: {url: "mailto://user:pass@example.com"}
            name: mail
        """
    notify = folder.load(text).config.notify

    assert [
        "alertmanager-am.example.com:443",
        "alertmanager-[::1]:9093",
        "webhook-hooks.example.com:443",
        "apprise-hook",
        "mail",
    ] == [each.receiver_name for each in notify]
    assert ["alertmanager", "alertmanager", "webhook", "apprise", "apprise"] == [each.kind for each in notify]
    assert notify[2].webhook is not None
    assert notify[3].apprise is not None
    assert folder.path / "hook" == notify[2].webhook.secret_file == notify[3].apprise.address
    address = notify[2].webhook.address
    assert isinstance(address, SecretStr)
    assert "https://hooks.example.com/?token=1" == address.get_secret_value()


@pytest.mark.parametrize("kind", ["alertmanager", "webhook"])
def test_authority_and_token_of_a_receiver(folder: Folder, kind: str) -> None:
    """An Alertmanager and a webhook take a private authority and a bearer token; a token beside a user in the URL is
    refused.
    """
    trustme.CA().cert_pem.write_to_path(str(folder.path / "ca.pem"))
    folder.write("token", "token")
    entry = (
        "notify:\n  - {}:\n      url: https://{}am.example.com/x?y=a@b\n      ca_file: ca.pem\n      "
        "bearer_token_file: token\n"
    )
    (written,) = folder.load(entry.format(kind, "")).config.notify

    receiver = written.alertmanager or written.webhook
    assert receiver is not None
    assert (kind, folder.path / "ca.pem", folder.path / "token") == (
        written.kind,
        receiver.ca_file,
        receiver.bearer_token_file,
    )
    assert [
        f"monitor.yaml:5: notify[0].{kind}.bearer_token_file: cannot stand beside a user in the URL, both being sent "
        "as Authorization; "
        "remove one"
    ] == folder.problems(entry.format(kind, "user:word@"))


def test_receivers_show_no_secret(folder: Folder) -> None:
    """Neither a receiver's text nor an error about it repeats a URL."""
    shown = repr(
        folder.load("notify:\n  - webhook: {url: 'https://h/sEcReT'}\n  - apprise: {url: 'x://sEcReT'}").config
    )
    problems = folder.problems("notify:\n  - webhook: {url: 'gopher://h/sEcReT'}\n  - apprise: {url: 'x:// sEcReT'}")

    assert "sEcReT" not in shown
    assert "sEcReT" not in "".join(problems)
    assert 2 == len(problems)


def test_projects_of_a_rule_file(folder: Folder) -> None:
    """A rule file for Prometheus knows each project's interval and labels."""
    text = """
        schedule: {every: 10m}
        projects:
          - {id: 1, api_key: k, labels: {team: edge}}
          - {id: 2, api_key: k, category: training, schedule: {cron: "0 * * * *"}}
        """

    assert (
        WatchedProject(1, "testing", 600.0, {"team": "edge"}),
        WatchedProject(2, "training", 3600.0),
    ) == folder.load(text).config.watched()


def test_web_config_file(folder: Folder) -> None:
    """`http.web_config_file` is a file that can be read, relative to the configuration."""
    folder.write("", "web.yml")

    assert folder.path / "web.yml" == folder.load("http: {web_config_file: web.yml}").config.http.web_config_file
    assert isinstance(folder.load("http: {web_config_file: web.yml}").config.http.web_config_file, Path)

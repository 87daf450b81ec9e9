"""The rules as a Prometheus rule file, for those who prefer Prometheus to evaluate them.

PromQL knows the figures but not the result sets they came from: what it cannot say is left out, and `docs/alerts.md`
lists it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import yaml

from monitor.alerts.rules import (
    CRITICAL_FROM,
    Above,
    AnomalyDrift,
    Below,
    Drop,
    KeyExpiring,
    PullFailing,
    QuantizationLoss,
    ResultsVanished,
    Rise,
    Rule,
    Subject,
)
from monitor.compare.change import LABELS, MODEL, THRESHOLDS, TOTAL
from monitor.compare.martingale import ALARM
from monitor.figures.headline import FIGURES
from monitor.targets import CALLED, IDENTITY, LABEL_NAMES

WINDOW = "5m"
"""How far back a gauge is read, so that one failed scrape resolves nothing."""

_IN_CLASS = re.compile(r"([\]\[\\^])")
_ESCAPED = r"\\\1"

_WHO = CALLED.format_map({name: f"{{{{ $labels.{name} }}}}" for name in LABEL_NAMES})
_WHO_OR_PROJECT = (
    f"{{{{ if $labels.impulse_id }}}}{_WHO}{{{{ else }}}}Project {{{{ $labels.project_id }}}}{{{{ end }}}}"
)


@dataclass(frozen=True, slots=True)
class WatchedProject:
    """One project's entry in the configuration, as far as its rules depend on it.

    Attributes:
        project_id: The project.
        category: Of its targets.
        interval: Seconds between two pulls.
        labels: The project's own.
    """

    project_id: int
    category: str
    interval: float
    labels: Mapping[str, str] = field(default_factory=dict)


def rule_file(rules: Iterable[Rule], watched: Sequence[WatchedProject], discover: float) -> str:
    """The rules as the YAML text of a rule file with one group.

    Args:
        rules: Those that apply.
        watched: The configured projects: Prometheus cannot see how often they are pulled.
        discover: Seconds between two discoveries of a project.
    """
    found = [_rule(rule, expression) for rule in rules if (expression := _expression(rule, watched, discover))]
    document = {"groups": [{"name": "edge-impulse", "rules": found}]}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def _rule(rule: Rule, expression: str) -> dict[str, Any]:
    summary, description = _words(rule)
    written: dict[str, Any] = {"alert": rule.name, "expr": expression}
    if rule.for_seconds:
        written["for"] = prometheus_duration(rule.for_seconds)
    written["labels"] = {**{name: _literal(text) for name, text in rule.labels.items()}, "severity": _severity(rule)}
    own = {name: _literal(text) for name, text in rule.annotations.items()}
    written["annotations"] = {"summary": summary, "description": description, **rule.links, **own}
    return written


def _severity(rule: Rule) -> str:
    """The severity; a template where it goes by the size of the change, which is the value of the expression."""
    match rule.condition:
        case Drop(margin=margin):
            sign = "-"
        case Rise(margin=margin) | QuantizationLoss(margin=margin):
            sign = ""
        case _:
            return rule.severity_of(None)
    severe = rule.severity_of(math.inf)
    if severe == rule.severity_of(None) or not margin:
        return rule.severity_of(None)
    beyond = f"{'le' if sign else 'ge'} $value {sign}{CRITICAL_FROM * margin!r}"  # Go compares a float with floats only
    return f"{{{{ if {beyond} }}}}{severe}{{{{ else }}}}{rule.severity_of(None)}{{{{ end }}}}"


def _expression(rule: Rule, watched: Sequence[WatchedProject], discover: float) -> str:
    """The condition in PromQL; empty where the rule is for nobody."""
    match rule.condition:
        case Above(metric=metric, threshold=threshold):
            found = f"{_figure(rule, metric, '_lower')} > {threshold!r}"
            if chance := FIGURES[metric].series.by_chance:
                found += f"\nand\n{_figure(rule, metric)} > {_last(chance, _matchers(rule))}"
        case Below(metric=metric, threshold=threshold):
            found = f"{_figure(rule, metric, '_upper')} < {threshold!r}"
        case Drop() | Rise() as moved:
            found = _change(rule, moved) if FIGURES[moved.metric].test else _difference(rule, moved)
        case AnomalyDrift() as drifted:
            found = _drift(rule, drifted)
        case QuantizationLoss() as loss:
            found = "\nor\n".join(_loses(rule, loss, of) for of in ("gap", "gap_growth"))
        case PullFailing(intervals=intervals):
            return _failing(rule, intervals, watched, discover)
        case ResultsVanished():
            found = (
                f"{_last('edge_impulse_last_success_timestamp_seconds', _matchers(rule))}\n"
                f"and ignoring (state)\n{_last('edge_impulse_pull_state', _matchers(rule), state='no_results')} == 1"
            )
        case KeyExpiring(seconds=seconds):
            projects = _projects(rule, watched)
            expiry = _last("edge_impulse_api_key_expiry_timestamp_seconds", projects or [])
            return "" if projects is None else f"{expiry} - time() <= {seconds:.0f}"
    return _of_labels(rule, found)


def _figure(rule: Rule, metric: str, bound: str = "") -> str:
    """A headline figure; its bound where one is exported."""
    row = FIGURES[metric]
    series = _last(row.series.name + (bound if row.series.bounds else ""), _matchers(rule), **row.series.headline)
    return f"{row.worst} without ({', '.join(row.series.labels)}) ({series})" if row.worst else series


def _change(rule: Rule, moved: Drop | Rise) -> str:
    """A change of a metric with causes, in total or on the shared samples; and significant, or by exact causes alone as
    large.
    """
    exact = f"{LABELS}|{THRESHOLDS}"
    compared, tested = (f"{MODEL}|{exact}", MODEL) if FIGURES[moved.metric].on_shared else (TOTAL, TOTAL)

    def part(series: str, causes: str) -> str:
        operator = "=~" if "|" in causes else "="
        matchers = [*_matchers(rule), f'metric="{moved.metric}"', f'cause{operator}"{causes}"']
        return f"sum without (cause) ({_last(series, matchers)})"

    beyond, towards = (f"< {-moved.margin!r}", "<= 0") if isinstance(moved, Drop) else (f"> {moved.margin!r}", ">= 0")
    found = f"{part('edge_impulse_change_ratio', compared)} {beyond}"
    if moved.significance is None:
        return found
    significant = f"{part('edge_impulse_change_pvalue', tested)} <= {moved.significance!r}"
    alone = (
        f"{part('edge_impulse_change_ratio', exact)} {beyond}\nand\n{part('edge_impulse_change_ratio', MODEL)} "
        f"{towards}"
    )
    return f"{found}\nand (\n{significant}\nor\n{alone}\n)"


def _difference(rule: Rule, moved: Drop | Rise) -> str:
    """A change of a metric without causes: the difference to the baseline's."""
    beyond = f"< {-moved.margin!r}" if isinstance(moved, Drop) else f"> {moved.margin!r}"
    baseline = _last("edge_impulse_baseline_value", _matchers(rule), metric=moved.metric)
    return f"{_figure(rule, moved.metric)}\n- ignoring (metric)\n{baseline}\n{beyond}"


def _drift(rule: Rule, drifted: AnomalyDrift) -> str:
    base = _matchers(rule)
    evidence = _last("edge_impulse_anomaly_drift_evidence", base)
    pvalue = _last("edge_impulse_anomaly_drift_pvalue", base, cause="model")
    data, model = (_last("edge_impulse_anomaly_drift_gate", base, cause=cause) for cause in ("data", "model"))
    return (
        f"{evidence} >= {ALARM!r}\nand ignoring (cause)\n{data} == 1\n"
        f"or\nsum without (cause) ({pvalue}) <= {drifted.significance!r}\nand ignoring (cause)\n{model} == 1"
    )


def _loses(rule: Rule, loss: QuantizationLoss, of: str) -> str:
    """What a variant loses, or by how much more than at the baseline, and significantly."""
    size, pvalue = (_last(f"edge_impulse_variant_{of}_{name}", _matchers(rule)) for name in ("ratio", "pvalue"))
    return f"{size} > {loss.margin!r}\nand\n{pvalue} <= {loss.significance!r}"


def _failing(rule: Rule, intervals: int, watched: Sequence[WatchedProject], discover: float) -> str:
    """Targets by how often they are pulled, then projects."""
    arms = []
    longest: dict[tuple[str, int], float] = {}
    for each in watched:  # a project may be pulled at several intervals; too late is better than false
        longest[each.category, each.project_id] = max(each.interval, longest.get((each.category, each.project_id), 0.0))
    groups = sorted((interval, *of) for of, interval in longest.items())
    for (interval, category), entries in groupby(groups, key=lambda each: each[:2]):
        only = [*_matchers(rule), f'category="{category}"', _one_of("project_id", [str(each[2]) for each in entries])]
        wait = prometheus_duration(intervals * interval)
        succeeded = _last("edge_impulse_last_success_timestamp_seconds", only)
        up = _selector("edge_impulse_up", only)
        arms.append(
            _of_labels(
                rule,
                f"(\n  time() - {succeeded} >= {intervals * interval:.15g}\n"
                f"  or\n  last_over_time({up}[{WINDOW}] offset {wait}) == 0\n  unless\n  {succeeded}\n)\n"
                f"and\nlast_over_time({up}[{WINDOW}]) == 0\n"
                f"unless ignoring (state)\n{_last('edge_impulse_pull_state', only, state='no_results')} == 1",
            )
        )
    projects = _projects(rule, watched)
    if projects is not None:
        up = _selector("edge_impulse_project_up", projects)
        wait = prometheus_duration(intervals * discover)
        arms.append(f"max_over_time({up}[{wait}]) == 0\nand\nlast_over_time({up}[{WINDOW}] offset {wait}) == 0")
    return "\nor\n".join(arms)


def _matchers(rule: Rule) -> list[str]:
    """What the rule's patterns ask of a target's own series."""
    return [_matcher(name, pattern) for name, pattern in sorted(rule.match.items()) if name in LABEL_NAMES]


def _of_labels(rule: Rule, expression: str) -> str:
    """The expression, for those targets only whose project's own labels match: only the info series has them."""
    own = [_matcher(name, pattern) for name, pattern in sorted(rule.match.items()) if name not in LABEL_NAMES]
    if not own:
        return expression
    inner = "\n".join(f"  {line}" for line in expression.splitlines())
    return f"(\n{inner}\n)\nand on ({', '.join(IDENTITY)})\n{_last('edge_impulse_target_info', own)}"


def _projects(rule: Rule, watched: Sequence[WatchedProject]) -> list[str] | None:
    """What a project's series must match; None where no project does."""
    if not rule.match:
        return []
    ids = sorted({each.project_id for each in watched if rule.matches(Subject.project(each.project_id, each.labels))})
    return [_one_of("project_id", list(map(str, ids)))] if ids else None


def _one_of(name: str, values: Sequence[str]) -> str:
    return f'{name}="{values[0]}"' if len(values) == 1 else f'{name}=~"{"|".join(values)}"'


def _matcher(name: str, pattern: str) -> str:
    regex = _regex(pattern)
    return f"{name}={_quoted(pattern)}" if regex is None else f"{name}=~{_quoted(regex)}"


def _regex(pattern: str) -> str | None:
    """A pattern as a regular expression of RE2; None where it has no wildcard."""
    parts = re.split(r"(\*|\?|\[!?\]?[^\]]*\])", pattern)
    if len(parts) == 1:
        return None
    found = ""
    for index, part in enumerate(parts):
        if index % 2 == 0:
            found += re.escape(part)
        elif part in ("*", "?"):
            found += {"*": ".*", "?": "."}[part]
        else:
            negated, inside = ("^", part[2:-1]) if part.startswith("[!") else ("", part[1:-1])
            found += f"[{negated}{_IN_CLASS.sub(_ESCAPED, inside)}]"
    return found


def _selector(series: str, matchers: Sequence[str]) -> str:
    return f"{series}{{{', '.join(matchers)}}}" if matchers else series


def _last(series: str, matchers: Sequence[str], **more: str) -> str:
    all_matchers = [*matchers, *(f"{name}={_quoted(value)}" for name, value in more.items())]
    return f"last_over_time({_selector(series, all_matchers)}[{WINDOW}])"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def prometheus_duration(seconds: float) -> str:
    """In Prometheus's syntax, in the largest unit that gives a whole number."""
    milliseconds = max(round(seconds * 1000), 1)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def _literal(text: str) -> str:
    """A text that Prometheus shows as it is: it would take `{{` for a template."""
    return text.replace("{{", '{{ "{{" }}')


def _words(rule: Rule) -> tuple[str, str]:
    """The summary, which is always the same, and the description as a template."""
    match rule.condition:
        case Above(metric=metric, threshold=threshold):
            return (
                f"{metric} is above {threshold:g}.",
                f"{_WHO}: {metric} is above {threshold:g}, at least {{{{ $value | humanize }}}}.",
            )
        case Below(metric=metric, threshold=threshold):
            return (
                f"{metric} is below {threshold:g}.",
                f"{_WHO}: {metric} is below {threshold:g}, at most {{{{ $value | humanize }}}}.",
            )
        case (
            Drop(metric=metric, margin=margin, significance=significance)
            | Rise(metric=metric, margin=margin, significance=significance)
        ):
            verb = "fell" if isinstance(rule.condition, Drop) else "rose"
            level = f" with p ≤ {significance:g}" if significance is not None else ""
            return (
                f"{metric} {verb} against the baseline.",
                f"{_WHO}: {metric} moved by {{{{ $value | humanize }}}} since the baseline; "
                f"the rule fires for more than {margin:g}{level}.",
            )
        case AnomalyDrift():
            return (
                "Anomaly scores drifted away from the baseline's.",
                f"{_WHO}: scores of block {{{{ $labels.block }}}} drifted; "
                "edge_impulse_anomaly_drift tells by how much, and for which cause.",
            )
        case QuantizationLoss(margin=margin, significance=significance):
            return (
                "A variant loses against the reference variant.",
                f"{_WHO}: {{{{ $labels.metric }}}} is {{{{ $value | humanize }}}} below that of "
                f"{{{{ $labels.against }}}} on the same samples, or that much further below it than at the baseline; "
                f"the rule fires for more than {margin:g} with p ≤ {significance:g}.",
            )
        case PullFailing(intervals=intervals):
            return (
                "Edge Impulse Studio cannot be read.",
                f"{_WHO_OR_PROJECT}: nothing good from Studio for {intervals} intervals; edge_impulse_pull_state and "
                "edge_impulse_project_state say how it fails.",
            )
        case ResultsVanished():
            return (
                "Model-testing results have vanished.",
                f"{_WHO}: Studio has no model-testing results any more; run model testing.",
            )
        case KeyExpiring():
            return (
                "An API key is about to expire.",
                "Project {{ $labels.project_id }}: the API key expires in {{ $value | humanizeDuration }}; from then "
                "on every pull fails.",
            )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)

"""Expressions of Prometheus' rules and of the dashboard, and the metrics and labels that there are for them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from infra_files import INFRA, read
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from pipelines.telemetry.metrics import METRICS

DASHBOARD = INFRA / "grafana/dashboards/faitharchive.json"
_ENDINGS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_SCRAPED = {"job", "instance"}
_WORKER = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId"}
# Of Ray's parts that are not Python: as its endpoint has them, which test_prometheus_run.py looks after.
_RAYLET = {"ray_object_store_memory": {"Location", "ObjectState"}, "ray_resources": {"Name", "State"}}
_PROMETHEUS = {"up": _SCRAPED, "ALERTS": {"alertname", "alertstate", "severity"}}
_GROUPING = r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"
_WORDS = {"and", "or", "unless", "bool", "offset", "end", "start", "inf", "nan"}


@functools.cache
def rules() -> list[dict[str, Any]]:
    """All rules, in order."""
    return [rule for group in read("prometheus/rules.yaml")["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())


def expressions() -> dict[str, str]:
    """Every expression, by where it is; Grafana's own variables replaced."""
    found = {f"rule {rule.get('record') or rule['alert']}": rule["expr"] for rule in rules()}
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"].replace("$__rate_interval", "1m")
    for annotation in dashboard()["annotations"]["list"]:
        found[f"annotation {annotation['name']}"] = annotation["expr"]
    return found


def metrics_of(expression: str) -> set[str]:
    """Names of metrics in an expression."""
    text = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", " ", re.sub(_GROUPING, " ", expression))
    names = re.findall(r"(?<![\w:.$])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])", re.sub(r"\b[\d.]+\w*", " ", text))
    return set(names) - _WORDS - {"by"}


def labels_of(expression: str) -> Iterator[tuple[str | None, str]]:
    """Labels in an expression, each with the metric that a matcher is of; of groupings, which may be of any, with None."""
    for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            yield name, label
    for _, listed in re.findall(_GROUPING, expression):
        for label in re.findall(r"\w+", listed):
            yield None, label


@functools.cache
def known_metrics() -> dict[str, set[str]]:
    """Every metric that there is, with its labels."""
    known = {name: labels | _SCRAPED | _WORKER for name, labels in _RAYLET.items()} | _PROMETHEUS
    for name, gauge in METRICS_GAUGES.items():
        known[f"ray_{name}"] = set(gauge._view.columns) | _SCRAPED
    for metric in METRICS:
        for ending in _ENDINGS[metric.kind]:
            own = {*metric.labels, "le"} if ending == "_bucket" else set(metric.labels)
            known[f"ray_{metric.name}{ending}"] = own | _SCRAPED | _WORKER
    for rule in rules():
        if "record" in rule:
            outer = re.match(r"sum by \(([^)]*)\)", rule["expr"])
            known[rule["record"]] = set(re.findall(r"\w+", outer[1])) if outer else set()
    return known


def complaints(expression: str) -> list[str]:
    """What an expression names that there is not."""
    known = known_metrics()
    names = metrics_of(expression)
    wrong = [f"no metric {name}" for name in sorted(names) if name not in known]
    of_any = set().union(*(known.get(name, set()) for name in names))
    for name, label in labels_of(expression):
        if label not in (of_any if name is None else known.get(name, set())):
            wrong.append(f"no label {label} of {name or sorted(names)}")
    return wrong

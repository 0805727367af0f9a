"""What a PromQL query reads: names of metrics and labels, by a real parser."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import promql_parser
import yaml

from tests.conftest import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
TARGET = {"job", "instance"}  # Prometheus adds them to everything it scrapes
GRAFANA = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}


@dataclass
class Reads:
    """Metric -> labels that a query names of it; and labels by which it groups or joins."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)


def declared() -> dict[str, set[str]]:
    """Every series on the metrics page by metrics.yaml, with its labels; histograms as their parts."""
    content = yaml.safe_load((ROOT / "serve_config" / "metrics.yaml").read_text())
    series: dict[str, set[str]] = {}
    for section in ("ts_metrics", "model_metrics"):
        for kind, metrics in content[section].items():
            for metric in metrics:
                labels = {*metric["dimensions"], "Hostname"}
                if kind == "histogram":
                    series |= {f"{metric['name']}_{part}": labels for part in ("sum", "count")}
                    series[f"{metric['name']}_bucket"] = {*labels, "le"}
                else:
                    series[metric["name"]] = labels
    return series


def reads(query: str) -> Reads:
    """Parse a query; raises ``ValueError`` where Prometheus would refuse it."""
    for variable, value in GRAFANA.items():
        query = query.replace(variable, value)
    found = Reads()
    for node in _walk(promql_parser.parse(query)):
        if isinstance(node, promql_parser.VectorSelector):
            labels = {matcher.name for matcher in node.matchers.matchers}
            found.metrics.setdefault(str(node.name), set()).update(labels)
        modifier = getattr(node, "modifier", None)
        for group in (getattr(modifier, "labels", None), getattr(modifier, "matching", None)):
            found.grouped |= set(getattr(group, "labels", group) or ())
    return found


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for name in ("lhs", "rhs", "expr", "param", "vector_selector"):
        if isinstance(child := getattr(node, name, None), promql_parser.Expr):
            yield from _walk(child)
    for child in getattr(node, "args", None) or ():
        yield from _walk(child)

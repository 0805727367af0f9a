"""The Helm chart: rendered by Helm, valid for Kubernetes, nothing undocumented, nothing open."""

import re
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.chart import CHART, KEPT, RICH, documents, write

ALL = {**RICH, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}
CUSTOM = {"ServiceMonitor", "PrometheusRule"}  # no part of Kubernetes: their operator brings the schemas
VERSIONS = ["1.27", kubernetes_validate.latest_version()]


def one(kind: str, values: dict[str, Any] | None = None, name: str = "shop-srec") -> dict[str, Any]:
    (found,) = [d for d in documents(values) if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def container(values: dict[str, Any] | None = None) -> dict[str, Any]:
    (found,) = one("Deployment", values)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "values", [{}, ALL, {"autoscaling": {"enabled": False}}], ids=["none", "all", "fixed"]
)
@pytest.mark.parametrize("version", VERSIONS)
def test_valid_for_kubernetes(values: dict[str, Any], version: str) -> None:
    checked = [d["kind"] for d in documents(values) if d["kind"] not in CUSTOM]
    assert {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"} <= set(checked)
    for document in documents(values):
        if document["kind"] not in CUSTOM:
            kubernetes_validate.validate(document, version, strict=True)


def test_helm_lints_it() -> None:
    report = helm.lint(CHART, ALL, strict=True)
    assert report["errors"] == []
    assert [m["error"] for m in report["messages"] if m["severity"] > 1] == []


def test_the_kept_manifests_are_of_this_chart(tmp_path: Path) -> None:
    write(tmp_path)
    for file in tmp_path.iterdir():
        kept = (KEPT / file.name).read_text()
        assert kept == file.read_text(), "python -m tests.deploy.chart writes them anew"


def test_a_pod_may_do_nothing_but_answer() -> None:
    pod = one("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container()["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    policy = one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [
        "predictions",
        "metrics",
    ]


def reached(values: dict[str, Any]) -> list[list[int]]:
    """The ports of every egress rule."""
    rules = one("NetworkPolicy", values)["spec"]["egress"]
    return [[port["port"] for port in rule["ports"]] for rule in rules]


def test_it_reaches_what_was_named_alone() -> None:
    rules = one("NetworkPolicy", RICH)["spec"]["egress"]
    assert reached(RICH) == [[53, 53], [26379, 6380], [4318]]
    assert rules[1]["to"] == RICH["networkPolicy"]["redis"]
    assert rules[2] == RICH["networkPolicy"]["extraEgress"][0]
    assert reached({"redis": {"existingSecret": "shop-redis"}}) == [[53, 53], [6379]]
    collector = {"networkPolicy": {"extraEgress": [{"ports": [{"port": 4318}]}]}}
    assert reached(collector) == [[53, 53], [4318]]


def test_secrets_stand_in_secrets_alone() -> None:
    assert not [d for d in documents() if d["kind"] == "Secret"]
    assert [e["name"] for e in container()["env"]] == ["SREC_DRAIN_SECONDS"]
    assert one("Secret", RICH)["stringData"] == {"redis-url": RICH["redis"]["url"]}
    references = {
        e["name"]: e["valueFrom"]["secretKeyRef"] for e in container(RICH)["env"] if "valueFrom" in e
    }
    assert references == {
        "SREC_REDIS_URL": {"name": "shop-srec", "key": "redis-url"},
        "SREC_API_KEY": {"name": "srec-clients", "key": "api-key"},
    }
    assert "secret@" not in yaml.safe_dump([d for d in documents(RICH) if d["kind"] != "Secret"])


def test_probes_ask_the_operations_port() -> None:
    asked = {
        name: container()[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert {name: get["path"] for name, get in asked.items()} == {
        "startupProbe": "/ready", "readinessProbe": "/ready", "livenessProbe": "/live",
    }  # fmt: skip
    assert {get["port"] for get in asked.values()} == {"operations"}
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"predictions": 8080, "metrics": 8082, "operations": 8083}
    exposed = re.search(r"^EXPOSE (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert exposed is not None
    assert {int(port) for port in exposed[1].split()} == set(ports.values())


def test_a_pod_has_time_to_drain() -> None:
    for values, seconds in (({}, 10), (RICH, 20)):
        pod = one("Deployment", values)["spec"]["template"]["spec"]
        assert {"name": "SREC_DRAIN_SECONDS", "value": str(seconds)} in pod["containers"][0]["env"]
        assert pod["terminationGracePeriodSeconds"] >= seconds + 25


def test_scales_by_the_queue_and_by_cpu() -> None:
    metrics = one("HorizontalPodAutoscaler", RICH)["spec"]["metrics"]
    assert [metric["type"] for metric in metrics] == ["Pods", "Resource"]
    assert "replicas" not in one("Deployment")["spec"]
    assert one("Deployment", {"autoscaling": {"enabled": False}})["spec"]["replicas"] == 2


def test_the_monitor_finds_the_metrics_of_its_release_once() -> None:
    monitor = one("ServiceMonitor", RICH)["spec"]
    services = [d for d in documents(RICH) if d["kind"] == "Service"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = [s for s in services if wanted <= s["metadata"]["labels"].items()]
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "srec"


def test_alerts_and_dashboards_are_those_of_deploy_monitoring() -> None:
    rules = one("PrometheusRule", ALL)["spec"]
    assert rules == yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text())
    data = one("ConfigMap", ALL, "shop-srec-dashboards")["data"]
    folder = ROOT / "deploy" / "monitoring" / "grafana" / "dashboards"
    assert data == {file.name: file.read_text() for file in folder.glob("*.json")}
    assert data


def leaves(values: dict[str, Any], prefix: str = "") -> set[str]:
    """Dotted names of all values; maps that the user fills are one value."""
    names: set[str] = set()
    for name, value in values.items():
        path = f"{prefix}{name}"
        inner = isinstance(value, dict) and value and name not in ("requests", "limits", "labels")
        names |= leaves(value, f"{path}.") if inner else {path}
    return names


def test_every_value_is_documented_and_none_else() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    table = re.findall(r"^\| (`.*?) \|", (CHART / "README.md").read_text(), re.MULTILINE)
    assert {name for row in table for name in re.findall(r"`([^`]+)`", row)} == leaves(values)


@pytest.mark.parametrize(
    "values",
    [
        {"workrs": 2},
        {"redis": {"uri": "redis://redis"}},
        {"redis": {"url": "http://redis"}},
        {"workers": 0},
        {"drainSeconds": -1},
        {"service": {"port": 70000}},
        {"networkPolicy": {"redisPorts": []}},
        {"networkPolicy": {"extraEgress": [{}]}},
        {"autoscaling": {"queue": {"target": 1}}},
        {"resources": {"requests": {"memory": "plenty"}}},
    ],
)
def test_refuses_unknown_and_impossible_values(values: dict[str, Any]) -> None:
    with (
        helm.Chart.load(CHART) as chart,
        pytest.raises(helm.HelmError, match=re.escape(f"/{next(iter(values))}") + "|additional"),
    ):
        chart.validate_schema(values)

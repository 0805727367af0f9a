"""Alerts and dashboard ask only for what is on the metrics page; the docs say what that is."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from srec.serving.metrics import GAUGES, HISTOGRAMS, LABELS
from tests.conftest import ROOT
from tests.monitoring.queries import MONITORING, OF_PROMETHEUS, TARGET, declared, reads

ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((MONITORING / "grafana" / "dashboards" / "srec.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PAGE = (ROOT / "docs" / "observability.md").read_text()

QUERIES = {rule["alert"]: rule["expr"] for rule in ALERTS}
QUERIES |= {f"{p['title']} {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]}
QUERIES |= {note["name"]: note["expr"] for note in DASHBOARD["annotations"]["list"]}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_parses_and_names_only_metrics_and_labels_that_exist(name: str) -> None:
    known = declared() | OF_PROMETHEUS
    found = reads(QUERIES[name])
    assert found.metrics
    assert set(found.metrics) <= set(known)
    for metric, labels in found.metrics.items():
        assert labels <= known[metric] | TARGET
    assert found.grouped <= set.union(TARGET, *(known[metric] for metric in found.metrics))


def test_a_query_of_an_unknown_metric_or_label_is_seen() -> None:
    found = reads('sum by (nowhere) (rate(srec_nothing{strange="x"}[5m])) / on (other) up')
    assert found.metrics == {"srec_nothing": {"strange"}, "up": set()}
    assert found.grouped == {"nowhere", "other"}
    with pytest.raises(ValueError, match=r"unclosed|expected|missing"):
        reads("sum by (job) (rate(up[5m])")


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = set().union(*(reads(query).metrics for query in QUERIES.values()))
    for name in LABELS:
        assert {name, f"{name}_bucket", f"{name}_sum"} & shown, name


def test_metrics_yaml_declares_what_the_worker_sends() -> None:
    content = yaml.safe_load((ROOT / "serve_config" / "metrics.yaml").read_text())["model_metrics"]
    counters = {metric["name"]: tuple(metric["dimensions"]) for metric in content["counter"]}
    gauges = {metric["name"]: tuple(metric["dimensions"]) for metric in content["gauge"]}
    expected = {name: labels for name, labels in LABELS.items() if name not in (*HISTOGRAMS, *GAUGES)}
    for name in HISTOGRAMS:
        expected[f"{name}_bucket"] = (*LABELS[name], "le")
        expected |= {f"{name}_sum": LABELS[name], f"{name}_count": LABELS[name]}
    assert counters == expected
    assert gauges == {name: LABELS[name] for name in GAUGES}
    assert set(content) == {"counter", "gauge"}


class TestDocs:
    def test_the_table_names_every_metric_with_its_type_and_labels(self) -> None:
        rows = re.findall(r"^\| `(srec_\w+)` \| (\w+) \| (.*?) \|", PAGE, re.MULTILINE)
        kinds = dict.fromkeys(LABELS, "counter") | dict.fromkeys(HISTOGRAMS, "histogram")
        kinds |= dict.fromkeys(GAUGES, "gauge")
        assert {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == {
            name: (kinds[name], LABELS[name]) for name in LABELS
        }

    def test_the_table_names_every_metric_of_torchserve(self) -> None:
        content = yaml.safe_load((ROOT / "serve_config" / "metrics.yaml").read_text())["ts_metrics"]
        for metrics in content.values():
            for metric in metrics:
                assert f"`{metric['name']}`" in PAGE

    @pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
    def test_an_alert_says_what_why_and_where_to_read_on(self, rule: dict[str, Any]) -> None:
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["runbook"] == f"docs/observability.md#{rule['alert'].lower()}"
        assert f"\n### {rule['alert']}\n" in PAGE

    def test_no_section_is_of_an_alert_that_is_gone(self) -> None:
        assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


class TestAlerts:
    CASES = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]

    @pytest.mark.parametrize("name", [rule["alert"] for rule in ALERTS])
    def test_an_alert_is_tested_firing_and_quiet(self, name: str) -> None:
        checks = [check for case in self.CASES for check in case["alert_rule_test"]]
        own = [bool(check["exp_alerts"]) for check in checks if check["alertname"] == name]
        assert set(own) == {True, False}

    def test_the_alerts_fire_when_they_should(self) -> None:
        if shutil.which("promtool") is None:
            pytest.skip("no promtool here; Debian's package prometheus has it")
        done = subprocess.run(
            ["promtool", "test", "rules", MONITORING / "alerts_test.yml"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def test_prometheus_loads_the_alerts(self) -> None:
        settings = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
        assert [(MONITORING / name).is_file() for name in settings["rule_files"]] == [True]
        assert [job["job_name"] for job in settings["scrape_configs"]] == ["srec"]


class TestDashboard:
    def test_grafana_knows_every_field(self) -> None:
        """Grafana's own classes read the file and write it again: what they do not know is lost."""
        plugins.register_default_plugins()
        again = json.loads(JSONEncoder().encode(Dashboard.from_json(DASHBOARD)))
        assert list(lost(DASHBOARD, again)) == []

    def test_a_field_that_grafana_does_not_know_is_seen(self) -> None:
        plugins.register_default_plugins()
        wrong = json.loads(json.dumps(DASHBOARD))
        wrong["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
        again = json.loads(JSONEncoder().encode(Dashboard.from_json(wrong)))
        assert list(lost(wrong, again)) == [".panels[1].fieldConfig.defaults.units"]

    def test_panels_do_not_overlap_and_have_their_own_ids(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not cells & taken, panel["title"]
            assert max(x for x, _ in cells) < 24
            taken |= cells
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(set(ids)) == len(ids)

    def test_every_panel_says_what_it_shows_and_of_which_source(self) -> None:
        for panel in PANELS:
            assert panel["description"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def lost(before: Any, after: Any, path: str = "") -> list[str]:
    """Paths of what ``before`` has and ``after`` has not, or otherwise."""
    if isinstance(before, dict) and isinstance(after, dict):
        missing = [f"{path}.{key}" for key in before if key not in after]
        return missing + [
            p for key in before if key in after for p in lost(before[key], after[key], f"{path}.{key}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [p for index, (one, other) in pairs for p in lost(one, other, f"{path}[{index}]")]
    return [] if before == after else [path]

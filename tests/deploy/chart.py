"""The chart, rendered by Helm's library; `python -m tests.deploy.chart` writes what results/ship keeps."""

from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

from tests.conftest import ROOT

CHART = ROOT / "deploy" / "helm" / "srec"
KEPT = ROOT / "results" / "ship"

RICH: dict[str, Any] = {
    "image": {"repository": "registry.example/srec", "tag": "20261122", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "workers": 4,
    "drainSeconds": 20,
    "resources": {"requests": {"cpu": "4", "memory": "1536Mi"}, "limits": {"memory": "2Gi"}},
    "redis": {"url": "rediss+sentinel://srec:secret@redis.data.svc:26379/games/0"},
    "apiKey": {"existingSecret": "srec-clients"},
    "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.com/internal": "true"}},
    "autoscaling": {"maxReplicas": 40, "queue": {"enabled": True}},
    "networkPolicy": {
        "clients": [{"namespaceSelector": {"matchLabels": {"team": "site"}}}],
        "redis": [{"ipBlock": {"cidr": "10.1.2.0/24"}}],
        "redisPorts": [26379, 6380],
        "extraEgress": [
            {
                "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "tracing"}}}],
                "ports": [{"port": 4318}],
            }
        ],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "serviceAccount": {"annotations": {"example.com/owner": "games"}},
    "extraEnv": [{"name": "SREC_OTLP_ENDPOINT", "value": "http://collector.tracing:4318"}],
    "podAnnotations": {"example.com/cost": "games"},
    "podLabels": {"team": "games"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "games", "operator": "Exists"}],
    "affinity": {},
    "priorityClassName": "site",
}
"""Every part of the chart but the copies of alerts and dashboards."""


def render(values: dict[str, Any] | None = None) -> str:
    """Manifests of a release `shop` in the namespace `site`, in the order of the templates' names."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values or {})
        rendered = chart.render(values or {}, name="shop", namespace="site")
    texts = [text.strip() for name, text in sorted(rendered.items()) if name.endswith(".yaml")]
    return "\n---\n".join(text for text in texts if text) + "\n"


def documents(values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The same, parsed."""
    return [one for one in yaml.safe_load_all(render(values)) if one]


def write(folder: Path) -> None:
    """Keep the manifests of the defaults and of ``RICH``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chart-defaults.yaml").write_text(render())
    (folder / "chart-rich.yaml").write_text(render(RICH))


if __name__ == "__main__":
    write(KEPT)

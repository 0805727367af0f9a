"""The Compose file, read by Compose."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


def configured(**settings: str) -> dict[str, dict[str, Any]]:
    """The services, with these settings in the environment."""
    tool = Path(sys.executable).with_name("docker-compose")
    profiles = ["--profile", "monitoring", "--profile", "loadtest"]
    done = subprocess.run(
        [tool, *profiles, "config", "--format", "json"],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["services"]
    return found


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return configured()


def test_the_parts(services: dict[str, dict[str, Any]]) -> None:
    profiles = {name: service.get("profiles") for name, service in services.items()}
    assert profiles == {
        "srec": None, "redis": None, "prometheus": ["monitoring"], "grafana": ["monitoring"],
        "loadtest": ["loadtest"],
    }  # fmt: skip


def test_every_part_is_hardened_and_bounded(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["mem_limit"]) > 0


def test_a_longer_drain_and_more_workers_have_their_limits(services: dict[str, dict[str, Any]]) -> None:
    assert services["srec"]["stop_grace_period"] == "35s"
    assert int(services["srec"]["mem_limit"]) == 1536 * 2**20
    given = {
        "SREC_DRAIN_SECONDS": "60",
        "SREC_STOP_GRACE": "90s",
        "SREC_WORKERS": "4",
        "SREC_MEMORY": "2560m",
    }
    larger = configured(**given)["srec"]
    assert larger["environment"]["SREC_DRAIN_SECONDS"] == "60"
    assert larger["stop_grace_period"] == "1m30s"
    assert larger["command"] == ["--workers", "4"]
    assert int(larger["mem_limit"]) == 2560 * 2**20


def test_images_of_others_are_pinned_and_checked(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        if "build" not in service:
            assert any(character.isdigit() for character in service["image"].partition(":")[2])
            assert service["healthcheck"]["test"]


def test_only_loopback_is_published(services: dict[str, dict[str, Any]]) -> None:
    published = {name: [p["host_ip"] for p in s.get("ports", [])] for name, s in services.items()}
    assert published == {
        "srec": ["127.0.0.1"],
        "prometheus": ["127.0.0.1"],
        "grafana": ["127.0.0.1"],
        "redis": [],
        "loadtest": [],
    }


def test_every_mounted_file_is_there(services: dict[str, dict[str, Any]]) -> None:
    mounted = [v["source"] for s in services.values() for v in s.get("volumes", []) if v["type"] == "bind"]
    assert len(mounted) == 4
    assert [path for path in mounted if not Path(path).exists()] == []

"""docs/settings.md knows every setting, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

CODE = ("srec", "export", "handlers", "serve_config", "loadtest")
ROWS = re.findall(r"^\| (`.*?) \| (.*?) \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
DEFAULTS = {name: default for names, default in ROWS for name in re.findall(r"`([^`]+)`", names)}
OURS = re.compile(r"(SREC|OMP)_[A-Z_]*[A-Z]|JAVA_HOME|TORCH_INDEX|GRAFANA_PASSWORD")


def sources() -> Iterator[Path]:
    for folder in CODE:  # srec/ holds links to the others: they are read once
        yield from (file for file in (ROOT / folder).rglob("*.py") if not file.is_symlink())


def names_in_code() -> set[str]:
    """Names of the environment stand in the code as whole strings."""
    trees = [ast.parse(file.read_text()) for file in sources()]
    strings = {n.value for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    return {text for text in strings if isinstance(text, str) and OURS.fullmatch(text)}


def names_in_compose() -> set[str]:
    return set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))


def names_in_image() -> set[str]:
    return set(re.findall(r"\b(SREC_[A-Z_]+)=", (ROOT / "Dockerfile").read_text())) | {"TORCH_INDEX"}


def properties() -> dict[str, str]:
    lines = (ROOT / "serve_config" / "config.properties").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def archive_settings() -> dict[str, Any]:
    """Dotted, but for srec.redis, whose rows are those of its own table."""
    content = yaml.safe_load((ROOT / "serve_config" / "model-config.yaml").read_text())
    own = content.pop("srec")
    redis = own.pop("redis")
    return {**content, **{f"srec.{name}": value for name, value in own.items()}, **redis}


def test_every_setting_of_the_environment_has_a_row_and_no_other() -> None:
    known = names_in_code() | names_in_compose() | names_in_image()
    assert {"SREC_REDIS_URL", "SREC_API_KEY", "SREC_WORKERS", "JAVA_HOME"} <= known
    assert {name for name in DEFAULTS if OURS.fullmatch(name)} == known


def test_every_key_of_the_configuration_files_has_a_row_with_its_default() -> None:
    fixed = {name: value for name, value in properties().items() if "$" not in value}
    for name, value in {**fixed, **archive_settings()}.items():
        if name.endswith("_address"):
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        assert text in DEFAULTS.get(name, "no row").split(", "), f"docs/settings.md: {name} is {text}"
    assert properties().keys() <= DEFAULTS.keys()

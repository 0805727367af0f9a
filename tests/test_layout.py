"""Who may import whom, and what reaches whose site-packages."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.conftest import ROOT


def test_layers() -> None:
    """The contracts stand in pyproject.toml; docs/architecture.md explains them."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_docs_have_the_same_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    shown = re.search(r"^```\n(cli\n.*?)^```$", (ROOT / "docs" / "architecture.md").read_text(), re.M | re.S)
    assert shown is not None
    kept = [{name.strip().removeprefix("srec.") for name in layer.split("|")} for layer in layers]
    assert [set(line.split(" | ")) for line in shown[1].splitlines()] == kept


def test_the_wheel_holds_one_top_level_name_and_all_stations(tmp_path: Path) -> None:
    """The stations are links in the checkout and real folders of the package in a wheel."""
    tree = tmp_path / "tree"  # a copy: setuptools leaves a build folder behind
    left_out = shutil.ignore_patterns(".*", "build", "tests", "*.mar", "*.egg-info")
    shutil.copytree(ROOT, tree, symlinks=True, ignore=left_out)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            tmp_path,
            tree,
        ],
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"srec"}
    for wanted in (
        "srec/export/torchscript.py",
        "srec/handlers/srec_handler.py",
        "srec/serve_config/config.properties",
        "srec/serve_config/log4j2.xml",
        "srec/serve_config/model-config.yaml",
        "srec/loadtest/locustfile.py",
        "srec/loadtest/noop/noop_handler.py",
        "srec/loadtest/wrk/sessions.lua",
        "srec/demo/catalogue.json",
        "srec/py.typed",
    ):
        assert wanted in names


def test_every_station_stands_at_the_top_and_is_linked_into_the_package() -> None:
    for station in ("export", "handlers", "serve_config", "loadtest"):
        assert (ROOT / station).is_dir()
        assert (ROOT / "srec" / station).readlink() == Path("..") / station

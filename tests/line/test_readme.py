"""The README's commands, run as they stand (but for `make test` itself)."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Line
from tests.line.test_cli import free_port
from tests.line.test_service import Service
from tests.waiting import wait_until

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def run(command: str, cwd: Path, port: int | None = None) -> str:
    """Run a line of the README, with this environment's `srec` first on the PATH."""
    done = subprocess.run(
        command.replace(":8080", f":{port}") if port else command,
        shell=True,
        cwd=cwd,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SREC_REDIS_URL": "",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_is_known() -> None:
    """Nothing stands in a block of commands that the tests below would leave out."""
    verbs = [line.split()[1] if line.startswith("srec") else line.split()[0] for line in COMMANDS]
    assert verbs == [
        "make", "curl", "demo-data", "prepare", "train", "evaluate", "export", "archive", "recommend",
        "doctor", "loadtest",
    ]  # fmt: skip


def test_the_line(tmp_path: Path) -> None:
    for command in COMMANDS:
        if command.startswith("srec") and " loadtest " not in command:
            text = run(command, tmp_path)
            if " recommend " in command:
                assert "by gce-gnn" in text
    assert (tmp_path / "model_store" / "srec.mar").stat().st_size > 100_000


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_curl_and_loadtest_against_a_running_service(line: Line, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(line.artifact.parent)
    running = Service(line.mar, tmp_path / "tmp")
    try:
        answer = json.loads(run(next(c for c in COMMANDS if c.startswith("curl")), tmp_path, running.port))
        assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
        run(next(c for c in COMMANDS if " loadtest " in c), tmp_path, running.port)
    finally:
        assert running.interrupt() == 0
    shown = re.search(r"^```json\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert json.loads(shown[1]).keys() == answer.keys()


def test_make_serve(line: Line, tmp_path: Path) -> None:
    """In a copy of the tree that has the archive already, as on the second `make serve`."""
    shutil.copytree(
        ROOT, tmp_path / "tree", symlinks=True, ignore=shutil.ignore_patterns(".*", "demo", "*.mar")
    )
    tree = tmp_path / "tree"
    shutil.copy2(line.mar, tree / "model_store")
    (tree / ".venv").mkdir()
    (tree / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tree / ".venv" / "installed").touch()
    port, temporary = free_port(), tmp_path / "tmp"
    temporary.mkdir()
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["make", "serve"],
            cwd=tree,
            env={**os.environ, "PORT": str(port), "TMPDIR": str(temporary), "SREC_REDIS_URL": ""},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(lambda: "request_id" in log.read_text() or process.poll() is not None, "make serve")
    assert process.poll() is None, log.read_text()
    os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches make and the command
    process.wait(timeout=60)
    assert list(temporary.iterdir()) == [], log.read_text()

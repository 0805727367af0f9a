"""Commands of the docs, run as they stand; blocks marked `console` need what a test machine has not."""

import json
import re
import shutil
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from srec.cli import app
from tests.conftest import ROOT, Line
from tests.line.test_readme import run
from tests.line.test_service import Service
from tests.stores.conftest import Server

OWN_TESTS = {"http.md"}  # its examples are compared with answers, word by word
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in OWN_TESTS]


def commands(fence: str) -> list[str]:
    """Every command in blocks of this kind."""
    text = "\n".join(page.read_text() for page in PAGES).replace("\\\n", " ")
    blocks = re.findall(rf"^```{fence}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


COMMANDS = commands("sh")
ASKING = [command for command in COMMANDS if command.startswith("curl ")]
NEED_A_SERVICE = {"serve", "deploy", "rollback", "loadtest"}  # run by the tests of each
VERBS = [command for command in COMMANDS if command.startswith("srec ")]
OFFLINE = [command for command in VERBS if command.split()[1] not in NEED_A_SERVICE]


def test_every_command_is_run_below() -> None:
    assert sorted(ASKING + VERBS) == sorted(COMMANDS)
    assert ASKING
    assert OFFLINE


def test_every_verb_and_option_is_known() -> None:
    """Of the blocks that are not run, too."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    shown = [command for command in commands("console") if command.startswith("srec ")]
    for command in shown + VERBS:
        verb, *words = command.partition("#")[0].split()[1:]
        known = group.commands[verb]
        if isinstance(known, TyperGroup):
            known = known.commands[words[0]]
        options = {option for parameter in known.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, command


def test_offline_commands(line: Line, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(line.artifact.parent)
    (tmp_path / "artifact").symlink_to(line.artifact)
    with Server(tmp_path) as server:
        for command in OFFLINE:
            run(command.replace("$SREC_REDIS_URL", server.url), tmp_path)


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_what_is_asked_of_a_running_service(line: Line, tmp_path: Path) -> None:
    running = Service(line.mar, tmp_path / "tmp", "array")
    try:
        (description,) = (tmp_path / "tmp").glob("*/service.json")
        urls = json.loads(description.read_text())
        names = {"8081": "management_url", "8082": "metrics_url", "8083": "operations_url"}
        own = {usual: urls[name].removeprefix("http://127.0.0.1:") for usual, name in names.items()}
        for command in ASKING:
            asked = re.sub(r":(808[123])", lambda port: f":{own[port[1]].partition('/')[0]}", command)
            assert run(f"{asked} --fail", tmp_path, running.port)
    finally:
        assert running.interrupt() == 0

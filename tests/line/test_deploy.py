"""A new model under load: deploy, a deploy that fails, rollback, and a restart in between."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from srec.cli import app
from srec.errors import HostError
from srec.export.archive import build_archive
from srec.export.pipeline import ShortSessionRun, export_run
from srec.serve_config.running import RunningService
from srec.serve_config.staging import take
from srec.training.run import Run
from tests.conftest import Line
from tests.line.test_service import Service
from tests.waiting import LIMIT, wait_until

BROKEN = """
class Broken:
    def initialize(self, context):
        raise ValueError("this model cannot be loaded")

    def handle(self, rows, context):
        return rows
"""


class Visitors:
    """Threads that ask for the same answer again and again, and count what they get."""

    def __init__(self, port: int, threads: int = 3) -> None:
        self.seen: Counter[str] = Counter()
        self._port = port
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(threads)]

    def __enter__(self) -> "Visitors":
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        for one in self._threads:
            one.join()

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT)
        headers = {"Content-Type": "application/json"}
        while not self._end.is_set():
            try:
                connection.request("POST", "/predictions/srec", b'{"appids": [620, 400]}', headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.seen[repr(error)] += 1
                connection.close()
                continue
            self.seen[json.loads(body)["model"]["version"] if answer.status == 200 else str(body)] += 1
        connection.close()


@pytest.fixture(scope="module")
def service(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    store = tmp_path_factory.mktemp("store")
    build_archive(line.artifact, store, "one")
    running = Service(store / "srec.mar", tmp_path_factory.mktemp("t"), SREC_RESPONSE_TIMEOUT="2")
    yield running
    if running.process.poll() is None:
        running.interrupt()
    assert running.left_behind() == []


@pytest.fixture(scope="module")
def record(service: Service) -> dict[str, str]:
    (file,) = service.temporary.glob("srec-*/service.json")
    content: dict[str, str] = json.loads(file.read_text())
    return content


def deploy(record: dict[str, str], *arguments: object) -> str:
    """Run the verb in this process, which has torch loaded; what it said, its exit code in front."""
    words = [*map(str, arguments), "--management", record["management_url"]]
    done = CliRunner().invoke(app, words)
    return f"{done.exit_code} {done.output}{done.exception or ''}"


def version(service: Service) -> str:
    return str(service.post([620])[1]["model"]["version"])


class TestDeploy:
    """In this order, on one service."""

    def test_under_load_no_request_is_lost(
        self, service: Service, record: dict[str, str], line: Line, tmp_path: Path
    ) -> None:
        two = build_archive(line.artifact, tmp_path, "two")
        store = Path(record["mar"]).parent
        with Visitors(service.port) as visitors:
            wait_until(lambda: visitors.seen["one"] > 0, "the old version")
            said = deploy(record, "deploy", two, "--min-overlap", 1)
            assert said.startswith("0 "), said
            assert "16 golden sessions" in said
            assert "100% of the ten best games the same" in said
            wait_until(lambda: visitors.seen["two"] > 0, "the new version")
        assert set(visitors.seen) == {"one", "two"}
        assert version(service) == "two"
        assert (store / "srec.mar").read_bytes() == two.read_bytes() == (store / "srec-two.mar").read_bytes()
        assert json.loads((store / "versions.json").read_text()) == {"served": "two", "before": ["one"]}

    def test_the_same_version_again_is_refused(self, record: dict[str, str]) -> None:
        said = deploy(record, "deploy", record["mar"])
        assert "1 version two is what the service already serves" in said

    def test_a_failed_deploy_changes_nothing(
        self, service: Service, record: dict[str, str], line: Line, tmp_path: Path
    ) -> None:
        store = Path(record["mar"]).parent
        before = {path.name: path.read_bytes() for path in store.iterdir()}
        handler = tmp_path / "srec_handler.py"
        handler.write_text(BROKEN)
        with Visitors(service.port) as visitors:
            said = deploy(record, "deploy", build_archive(line.artifact, tmp_path, "three", handler=handler))
            assert "does not load in its worker: ValueError: this model cannot be loaded" in said
        assert set(visitors.seen) == {"two"}
        assert {path.name: path.read_bytes() for path in store.iterdir()} == before
        said = deploy(
            record, "deploy", build_archive(line.artifact, tmp_path, "one-more"), "--shadow", handler
        )
        assert "line 2" in said
        assert version(service) == "two"

    def test_after_one_that_was_killed_and_with_a_second_model(
        self, service: Service, record: dict[str, str], line: Line, markov: Path, tmp_path: Path
    ) -> None:
        """What is put back here is what a deploy of two leaves that is killed right after its switch."""
        store = Path(record["mar"]).parent
        take(store / "srec-one.mar", Path(record["folder"]) / "srec.mar")
        (store / "versions.json").unlink()
        export_run(Run(line.run), tmp_path / "artifact", "torchscript", ShortSessionRun(Run(markov), 2))
        said = deploy(record, "deploy", build_archive(tmp_path / "artifact", tmp_path, "short"))
        assert said.startswith("0 "), said
        assert service.post([620])[1]["source"] == "short-session"
        history = {"served": "short", "before": ["one", "two"]}
        assert json.loads((store / "versions.json").read_text()) == history
        assert deploy(record, "rollback").startswith("0 ")
        assert version(service) == "two"

    def test_a_restart_comes_back_with_the_deployed_version(
        self, service: Service, record: dict[str, str]
    ) -> None:
        (java,) = [
            one.pid
            for one in psutil.process_iter(["cmdline"])
            if any(word.startswith(f"{record['folder']}/config") for word in one.info["cmdline"] or [])
        ]
        psutil.Process(java).kill()
        wait_until(lambda: answers(service), "the restart")
        assert version(service) == "two"

    def test_rollback_under_load(self, service: Service, record: dict[str, str]) -> None:
        with Visitors(service.port) as visitors:
            wait_until(lambda: visitors.seen["two"] > 0, "the newer version")
            assert deploy(record, "rollback").startswith("0 ")
            wait_until(lambda: visitors.seen["one"] > 0, "the older version")
        assert set(visitors.seen) == {"one", "two"}
        assert version(service) == "one"
        assert "there is no earlier version" in deploy(record, "rollback")

    def test_the_end(self, service: Service) -> None:
        assert service.interrupt() == 0


def answers(service: Service) -> bool:
    try:
        return service.post([620])[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_no_service_is_said_so() -> None:
    with pytest.raises(HostError, match=r"no running `srec serve` .* has its management at http"):
        RunningService.find("http://127.0.0.1:1")

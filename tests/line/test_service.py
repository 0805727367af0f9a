"""The main job over HTTP: a real TorchServe, a real Redis, started by the command and ended by Ctrl-C."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from srec.serve_config.embedded_redis import EmbeddedRedis
from tests.conftest import ROOT, Line, srec_ok
from tests.line.test_cli import free_port
from tests.waiting import LIMIT, wait_until


class Service:
    """`srec serve` as a child process."""

    def __init__(
        self, mar: Path, temporary: Path, redis_url: str = "", workers: int = 1, **settings: str
    ) -> None:
        temporary.mkdir(exist_ok=True)
        self.port = free_port()
        self.temporary = temporary
        self.output: list[str] = []
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "srec", "serve", "--mar", mar),
                *("--port", str(self.port), "--workers", str(workers)),
            ],
            env={
                **os.environ,
                "TMPDIR": str(temporary),
                "SREC_REDIS_URL": redis_url,
                "SREC_FREE_PORTS": "1",
                **settings,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_until(lambda: "\ncurl http" in self.text or self.process.poll() is not None, "the service")
        assert self.process.poll() is None, self.text

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.output.extend(self.process.stdout)

    @property
    def text(self) -> str:
        return "".join(self.output)

    def post(self, body: Any, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        with contextlib.closing(connection):
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(
                "POST", "/predictions/srec", content, {"Content-Type": "application/json", **(headers or {})}
            )
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def interrupt(self) -> int:
        """Ctrl-C, as a terminal sends it."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=LIMIT)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def left_behind(self) -> list[str]:
        """Command lines of processes that still use the service's own temporary folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = [*process.cmdline(), *process.environ().values()]
                if any(str(self.temporary) in word for word in words) and process.pid != os.getpid():
                    found.append(" ".join(process.cmdline()))
        return found


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def service(
    line: Line, own_redis: EmbeddedRedis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    running = Service(line.mar, tmp_path_factory.mktemp("service"), own_redis.url)
    yield running
    if running.process.poll() is None:
        running.interrupt()


def test_answers_as_the_command_without_a_server(service: Service, line: Line) -> None:
    status, answer = service.post({"appids": [620, 400, 620], "k": 7}, {"X-Request-Id": "visit-1"})
    alone = json.loads(srec_ok("recommend", "--artifact", line.artifact, "--k", 7, "--json", 620, 400, 620))
    assert status == 200
    assert answer.pop("request_id") == "visit-1"
    alone.pop("request_id")
    scores, expected = ([i.pop("score") for i in a["items"]] for a in (answer, alone))
    assert scores == pytest.approx(expected, rel=1e-4)
    assert answer == alone


def test_reads_neighbours_from_redis(service: Service, own_redis: EmbeddedRedis, line: Line) -> None:
    graph = json.loads((line.artifact / "manifest.json").read_text())["graph"]

    def reads() -> int:
        with redis.Redis.from_url(own_redis.url) as client:
            statistics = client.info("commandstats")
            assert client.hlen(f"srec:graph:{{{graph}:0}}:rows") > 200
        return int(statistics.get("cmdstat_hmget", {}).get("calls", 0))

    assert service.post([620])[0] == 200
    assert reads() > 0  # what a worker has read once it keeps


def test_contract(service: Service) -> None:
    status, answer = service.post({"appids": [620, 999999999], "k": 2})
    assert (status, answer["unknown_appids"], len(answer["items"])) == (200, [999999999], 2)
    status, answer = service.post([])
    assert (status, answer["source"]) == (200, "popular")
    status, answer = service.post({"appids": ["abc"]})
    assert (status, answer["code"], answer["type"]) == (400, 400, "InvalidRequest")
    assert answer["message"].startswith('appids[0] is "abc"')
    assert service.post(b"{not json")[0] == 400
    assert service.post(b"")[0] == 400
    assert service.post(b"[" * 50_000)[0] == 400
    assert "Traceback" not in service.text


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_the_transcripts_of_the_contract(service: Service) -> None:
    """What docs/http.md shows is what a service does; scores and games are another training's matter."""
    page = (ROOT / "docs" / "http.md").read_text()
    shell = re.search(r"^ask\(\) .*$", page, re.MULTILINE)
    assert shell is not None
    kept = re.sub(r"^## The key$.*?(?=^## )", "", page, flags=re.MULTILINE | re.DOTALL)
    shown = [
        entry
        for block in re.findall(r"^```console\n(.*?)^```$", kept, re.MULTILINE | re.DOTALL)
        for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]
    commands, expected = zip(*(entry.split("\n", maxsplit=1) for entry in shown), strict=True)
    assert len(commands) > 35
    script = "\n".join([shell[0], *(f"{command}\nprintf '\\0'" for command in commands)])
    script = script.replace(":8080/", f":{service.port}/")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    for command, text, answer in zip(commands, expected, done.stdout.split("\0")[:-1], strict=True):
        assert outline(answer) == outline(text), command


def outline(answer: str) -> object:
    """What an answer shows that no other training changes."""
    body, _, status = answer.strip().rpartition("\n")
    if not status.isdecimal():
        body, status = answer, ""
    content = json.loads(body) if body.strip() else {}
    if "items" in content:
        forms = [sorted(item) for item in content["items"]]
        return status, forms, content["source"], content["unknown_appids"], content["truncated"]
    if "outputs" in content:
        return status, [(o["name"], o["datatype"], o["shape"]) for o in content["outputs"]]
    return status, content


def test_bad_requests_in_a_batch_touch_no_others(service: Service) -> None:
    def ask(number: int) -> tuple[int, dict[str, Any]]:
        return service.post({"appids": ["x"]} if number % 3 == 0 else {"appids": [620, 400], "k": 3})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(120)))
    assert [status for status, _ in answers] == [400 if n % 3 == 0 else 200 for n in range(120)]
    lists = {tuple(i["appid"] for i in answer["items"]) for status, answer in answers if status == 200}
    assert len(lists) == 1


def test_a_short_load_test_finds_no_wrong_answer(service: Service, line: Line, tmp_path: Path) -> None:
    srec_ok(
        "loadtest", "--url", f"http://127.0.0.1:{service.port}", "--artifact", line.artifact, "--users", 4,
        "--seconds", 2, "--warmup-seconds", 1, "--json", tmp_path / "load.json",
    )  # fmt: skip
    report = json.loads((tmp_path / "load.json").read_text())
    assert report["passed"] is True
    assert report["steps"][0]["requests"] > 20
    assert report["steps"][0]["failures"] == 0


def test_the_same_answers_without_redis_and_with_it_back(service: Service, own_redis: EmbeddedRedis) -> None:
    """Runs last of those that share the service: it pauses the Redis."""
    expected = service.post({"appids": [620, 400]})[1]["items"]
    server = psutil.Process(own_redis.pid)
    server.suspend()
    try:
        for _ in range(3):
            status, answer = service.post({"appids": [620, 400]})
            assert (status, answer["items"]) == (200, expected)
    finally:
        server.resume()
    status, answer = service.post({"appids": [620, 400]})
    assert (status, answer["items"]) == (200, expected)


def test_ctrl_c_leaves_nothing(service: Service) -> None:
    assert service.interrupt() == 0, service.text
    assert service.left_behind() == []
    assert list(service.temporary.iterdir()) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_the_printed_curl_line_works_with_an_embedded_redis(line: Line, tmp_path: Path) -> None:
    running = Service(line.mar, tmp_path)
    try:
        command = re.search(r"^curl (\S+) -H '(.*?)' -d '(.*)'$", running.text, re.MULTILINE)
        assert command is not None, running.text
        wait_until(lambda: running.text.rstrip().endswith("}"), "the example's answer")
        printed = json.loads(running.text.rstrip().splitlines()[-1])
        done = subprocess.run(
            ["curl", "--silent", command[1], "-H", command[2], "-d", command[3]],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout)["items"] == printed["items"]
    finally:
        assert running.interrupt() == 0
    assert running.left_behind() == []

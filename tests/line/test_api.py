"""The contract from outside: the client, requests drawn from the OpenAPI document, and hostile clients."""

import ast
import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from srec.client import RefusedError, Retries, SrecClient, Timeouts
from srec.export.signature import make_keys, sign
from srec.serve_config.torchserve import OPEN_FILES
from srec.serving.openapi import document
from srec.serving.openapi_inference import PATH as OPEN_INFERENCE
from tests.conftest import ROOT, Line
from tests.line.test_service import Service
from tests.waiting import LIMIT, wait_until

PATH = "/predictions/srec"
KEY = "sesame"
PATIENT = Timeouts(connect=LIMIT, read=LIMIT, total=LIMIT)


@pytest.fixture(scope="module")
def service(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On all addresses, with a key for clients, of a signed archive."""
    folder = tmp_path_factory.mktemp("signed")
    mar = folder / "srec.mar"
    shutil.copyfile(line.mar, mar)
    public = make_keys(folder / "release.key")
    sign(mar, folder / "release.key")
    running = Service(
        mar, folder / "tmp", "array", SREC_ADDRESS="0.0.0.0", SREC_VERIFY_KEY=str(public), SREC_API_KEY=KEY
    )
    yield running
    running.interrupt()


@pytest.fixture
def client(service: Service) -> Iterator[SrecClient]:
    with SrecClient(f"http://127.0.0.1:{service.port}", KEY, timeouts=PATIENT) as asking:
        yield asking


@pytest.fixture
def java(service: Service) -> psutil.Process:
    (process,) = (
        child
        for child in psutil.Process(service.process.pid).children(recursive=True)
        if child.name() == "java"
    )
    return process


class TestClient:
    def test_answers_are_typed(self, client: SrecClient) -> None:
        answer = client.recommend([620, 999_999_999, 400], 3, request_id="visit-1")
        assert [item.rank for item in answer.items] == [1, 2, 3]
        assert {620, 400}.isdisjoint(item.appid for item in answer.items)
        assert (answer.request_id, answer.unknown_appids, answer.truncated) == (
            "visit-1",
            [999_999_999],
            False,
        )

    def test_the_documents_example_is_of_this_model(self, client: SrecClient, line: Line) -> None:
        content = document()["paths"][PATH]["post"]["responses"]["200"]["content"]["application/json"]
        (example,) = (one["value"] for one in content["examples"].values())
        answer = client.recommend([620, 400], len(example["items"]))
        assert (answer.source, answer.model.name) == (example["source"], example["model"]["name"])
        catalogue = json.loads((line.artifact / "catalogue.json").read_text())
        names = dict(zip(catalogue["appid"], catalogue["name"], strict=True))
        assert {item["appid"]: item["name"] for item in example["items"]}.items() <= names.items()
        assert {item.appid: item.name for item in answer.items}.items() <= names.items()

    def test_a_refusal_carries_the_services_message_and_costs_no_retry(self, client: SrecClient) -> None:
        for _ in range(3):  # the server closes the connection behind each
            with pytest.raises(RefusedError, match="400: k is 101: k is an integer from 1 to 100") as raised:
                client.recommend([620], 101)
            assert raised.value.status == 400
            assert client.recommend([620], 1).items

    def test_an_unknown_model_is_a_404(self, service: Service) -> None:
        with (
            SrecClient(f"http://127.0.0.1:{service.port}/models") as asking,
            pytest.raises(RefusedError) as raised,
        ):
            asking.recommend([620])
        assert raised.value.status == 404

    @pytest.mark.parametrize("key", [None, "", KEY.upper(), KEY + "s"])
    def test_without_the_key_all_is_refused(self, service: Service, key: str | None) -> None:
        refusal = pytest.raises(RefusedError, match="401: the header X-API-Key is missing or wrong")
        with (
            SrecClient(f"http://127.0.0.1:{service.port}", key, timeouts=PATIENT) as asking,
            refusal as raised,
        ):
            asking.recommend([620])
        assert raised.value.status == 401

    def test_the_readmes_program_runs(self, service: Service) -> None:
        programs = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
        (program,) = (one for one in programs if "SrecClient" in one)
        limits = f"connect={LIMIT}, read={LIMIT}, total={LIMIT}"
        program = program.replace("timeouts=", f'api_key="{KEY}", timeouts=')
        program = re.sub(r"connect=.*?(?=\))", limits, program.replace(":8080", f":{service.port}"))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert len(ast.literal_eval(done.stdout)) == 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_the_printed_curl_line_takes_the_key_from_the_environment(service: Service) -> None:
    command = re.search(r"^curl .*$", service.text, re.MULTILINE)
    assert command is not None
    done = subprocess.run(
        ["bash", "-c", f"{command[0]} --silent --fail"],
        env={**os.environ, "SREC_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout)["items"]) == 5
    assert KEY not in service.text


@pytest.mark.parametrize(
    ("path", "drawn", "more"),
    [
        (PATH, 60, ()),
        # That shape and number of elements agree is no matter of a schema: what is drawn may be a 400.
        (
            OPEN_INFERENCE,
            40,
            (
                "--exclude-checks",
                "unsupported_method,positive_data_acceptance",
                "--phases",
                "examples,fuzzing",
            ),
        ),
    ],
)
def test_drawn_requests_find_nothing(
    service: Service, tmp_path: Path, path: str, drawn: int, more: tuple[str, ...]
) -> None:
    """By Schemathesis, from docs/openapi.json; the same at every run. `make fuzz` draws thousands."""
    deep = os.environ.get("FUZZ_EXAMPLES")
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", str(ROOT / "docs" / "openapi.json")),
        *("--url", f"http://127.0.0.1:{service.port}", "--continue-on-failure", "--no-color"),
        *("--header", f"X-API-Key: {KEY}", "--generation-database", "none", "--request-timeout", str(LIMIT)),
        # GET, PUT, DELETE and others predict, too: TorchServe asks for no method (docs/http.md).
        *("--exclude-checks", "unsupported_method", "--include-path", path, *more),
        *("--max-examples", deep or str(drawn)),
        *(() if deep else ("--seed", "1")),
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.line.drawn_bodies",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated is not None, done.stdout
    assert int(generated[1]) >= drawn


class TestHostileClients:
    def send(self, service: Service, body: bytes, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request(
                "POST", PATH, body, {"Content-Type": "application/json", "X-API-Key": KEY, **headers}
            )
            response = connection.getresponse()
            return response.status, response.read()

    def test_a_body_has_a_bound(self, service: Service) -> None:
        filler = b" " * (65_536 - len(b"[620]"))
        assert self.send(service, b"[620]" + filler)[0] == 200
        assert self.send(service, b"[620]" + filler + b" ") == (413, b"")

    @pytest.mark.parametrize("open_", [b"[", b'{"filters":', b'{"appids":['])
    def test_nesting_has_a_bound(self, service: Service, open_: bytes) -> None:
        status, body = self.send(service, open_ * (60_000 // len(open_)))
        assert (status, json.loads(body)["type"]) == (400, "InvalidRequest")

    def test_a_compressed_body_is_not_unpacked(self, service: Service) -> None:
        bomb = gzip.compress(b" " * 20_000_000 + b"[620]")
        status, body = self.send(service, bomb, **{"Content-Encoding": "gzip"})
        assert (status, json.loads(body)["type"]) == (400, "InvalidRequest")

    def test_clients_that_never_finish_hinder_nobody(
        self, service: Service, client: SrecClient, java: psutil.Process
    ) -> None:
        head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        unfinished = (b"", head.encode(), head.encode() + b"Content-Length: 65536\r\n\r\n" + b"[" * 60_000)
        expected = client.recommend([620, 400])
        before = java.num_fds()
        with contextlib.ExitStack() as stack:
            for number in range(150):
                hostile = socket.create_connection(("127.0.0.1", service.port), timeout=LIMIT)
                stack.enter_context(hostile)
                hostile.sendall(unfinished[number % 3])
            wait_until(lambda: java.num_fds() >= before + 150, "150 connections")
            assert client.recommend([620, 400]).items == expected.items
            with SrecClient(client.url, KEY, timeouts=PATIENT, retries=Retries(attempts=1)) as newcomer:
                assert newcomer.recommend([620, 400]).items == expected.items
        wait_until(lambda: java.num_fds() < before + 100, "the end of what they held")

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds another process's files")
    def test_connections_have_a_bound_that_memory_can_hold(self, java: psutil.Process) -> None:
        assert java.rlimit(psutil.RLIMIT_NOFILE) == (OPEN_FILES, OPEN_FILES)
        assert OPEN_FILES * 65_536 <= 128 << 20  # half of Java's direct memory


class TestAddresses:
    """The service listens on all addresses with one port; the rest must stay on loopback."""

    def test_only_predictions_are_open_to_others(self, service: Service) -> None:
        started = psutil.Process(service.process.pid)
        listening = [
            connection.laddr
            for process in (started, *started.children(recursive=True))
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        others = {place.port for place in listening if not place.ip.endswith("127.0.0.1")}
        assert others == {service.port}
        assert len(listening) >= 6  # predictions, management, metrics, operations, gRPC twice

    def test_management_does_not_answer_from_elsewhere(self, service: Service) -> None:
        found = re.search(r"management on (http://\S+?),", service.text)
        assert found is not None, service.text
        port = urlsplit(found[1]).port
        assert port is not None
        own = own_address()
        with socket.create_connection((own, service.port), timeout=LIMIT):
            pass  # so it is an address of this machine
        with pytest.raises(ConnectionRefusedError), socket.create_connection((own, port), timeout=LIMIT):
            pass


def own_address() -> str:
    """This machine's own address in a network, IPv4."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return str(address.address)
    pytest.skip("this machine has no address but loopback")

"""The artifact served without TorchServe answers as with it."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from srec.serve_config.ports import free_ports
from tests.conftest import ROOT, Line, srec_ok

PATIENCE = 60.0
EXAMPLE = ROOT / "examples" / "serve_plain.py"


@pytest.fixture(scope="module")
def port(line: Line) -> Iterator[int]:
    (free,) = free_ports([None])
    with subprocess.Popen(
        [sys.executable, EXAMPLE, line.artifact, str(free)], stderr=subprocess.DEVNULL
    ) as server:
        try:
            yield free
        finally:
            server.terminate()


def post(port: int, body: Any) -> tuple[int, dict[str, Any]]:
    """Ask, from the moment the server listens on."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("POST", "/predictions/srec", json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the example did not start"
            time.sleep(0.1)
        finally:
            connection.close()


def test_the_same_answer(port: int, line: Line) -> None:
    status, answer = post(port, {"appids": [620, 400], "k": 5})
    expected = json.loads(srec_ok("recommend", "--artifact", line.artifact, "--k", 5, "--json", 620, 400))
    assert status == 200
    assert [i.pop("score") for i in answer["items"]] == pytest.approx(
        [i.pop("score") for i in expected["items"]], rel=1e-5
    )
    answer.pop("request_id"), expected.pop("request_id")
    assert answer == expected


def test_the_same_refusal(port: int) -> None:
    status, answer = post(port, {"appids": ["abc"]})
    assert (status, answer["code"], answer["type"]) == (400, 400, "InvalidRequest")
    assert answer["message"].startswith('appids[0] is "abc"')


def test_it_is_as_short_as_the_docs_say_and_knows_no_torchserve() -> None:
    code = EXAMPLE.read_text().split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    assert "import ts" not in code

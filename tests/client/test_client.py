"""The client against a real server that fails in every way a server can fail."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.client import (
    Answer,
    DeadlineError,
    Filters,
    RefusedError,
    Retries,
    ServiceError,
    SrecClient,
    Timeouts,
    UnavailableError,
)
from srec.errors import InputError
from tests.client.scripted import ANSWER, Server, Step, scripted

AT_ONCE = Retries(attempts=3, first_pause=0.0, longest_pause=0.0)
PATIENT = Timeouts(connect=30, read=30, total=60)
FULL = Step(503, b'{"code": 503, "type": "ServiceUnavailableException", "message": "queue is full"}')
REFUSAL = b'{"code": 400, "type": "InvalidRequest", "message": "k is 0: k is an integer from 1 to 100"}'
NOT_WHOLE = r"not whole at the end of the 0\.5 s"


def client(server: Server, retries: Retries = AT_ONCE, timeouts: Timeouts = PATIENT) -> SrecClient:
    return SrecClient(server.url, retries=retries, timeouts=timeouts)


def test_an_answer_is_typed_and_the_request_says_no_more_than_asked() -> None:
    with scripted(Step()) as server, client(server) as asking:
        answer = asking.recommend([620, 400], request_id="visit-1")
    assert answer == Answer.model_validate(ANSWER)
    assert answer.items[0].name == "Half-Life 2"
    (seen,) = server.seen
    assert seen.body == {"appids": [620, 400], "k": 10}
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-request-id"] == "visit-1"
    assert "x-api-key" not in seen.headers


def test_every_field_of_the_contract_can_be_sent() -> None:
    with scripted(Step()) as server, SrecClient(server.url + "/shop/", api_key="secret") as asking:
        asking.recommend(
            np.array([620], np.int32),
            3,
            exclude_clicked=False,
            explain=True,
            filters=Filters(tags_any=["Puzzle"], max_price=20),
            popularity_penalty=0.2,
        )
    (seen,) = server.seen
    assert seen.body == {
        "appids": [620],
        "k": 3,
        "exclude_clicked": False,
        "explain": True,
        "filters": {"tags_any": ["Puzzle"], "max_price": 20},
        "popularity_penalty": 0.2,
    }
    assert seen.headers["x-api-key"] == "secret"


def test_fields_of_a_newer_service_are_left_out() -> None:
    newer = {**ANSWER, "experiment": "b", "model": {**ANSWER["model"], "trained": "2027-01-01"}}
    with scripted(Step(body=json.dumps(newer).encode())) as server, client(server) as asking:
        assert asking.recommend([620]) == Answer.model_validate(ANSWER)


def test_calls_share_a_connection() -> None:
    with scripted(Step()) as server, client(server) as asking:
        for _ in range(5):
            asking.recommend([620])
    assert len({seen.connection for seen in server.seen}) == 1


def test_threads_share_a_client() -> None:
    def echo(number: int) -> tuple[int, str]:
        return number, asking.recommend([number], request_id=str(number)).request_id

    with scripted(Step()) as server, client(server) as asking, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(echo, range(1, 101)))
    assert len(answers) == 100
    assert sorted(seen.body["appids"][0] for seen in server.seen) == list(range(1, 101))
    assert all(seen.headers["x-request-id"] == str(seen.body["appids"][0]) for seen in server.seen)


def test_a_connection_that_was_closed_behind_a_response_is_replaced() -> None:
    with scripted(Step(400, REFUSAL, close=True), Step()) as server:
        once = Retries(attempts=1)
        with client(server, once) as asking:
            with pytest.raises(RefusedError):
                asking.recommend([620], k=0)
            assert server.closed.acquire(timeout=60)
            asking.recommend([620])
    assert len({seen.connection for seen in server.seen}) == 2


class TestTriesAgain:
    @pytest.mark.parametrize(
        "failure",
        [FULL, Step(sent=0), Step(sent=10), Step(sent=60)],
        ids=["full queue", "closed", "half a status", "half a body"],
    )
    def test_after_what_may_pass(self, failure: Step) -> None:
        with scripted(failure, failure, Step()) as server, client(server) as asking:
            assert asking.recommend([620]).items[0].appid == 220
        assert len(server.seen) == 3

    def test_no_more_often_than_allowed(self) -> None:
        with (
            scripted(FULL) as server,
            client(server) as asking,
            pytest.raises(UnavailableError, match="503: queue is full") as raised,
        ):
            asking.recommend([620])
        assert raised.value.status == 503
        assert len(server.seen) == 3

    def test_no_connection(self) -> None:
        with scripted(Step()) as server:
            pass
        with client(server) as asking, pytest.raises(UnavailableError, match="takes no connection") as raised:
            asking.recommend([620])
        assert raised.value.status is None

    def test_never_beyond_the_deadline(self) -> None:
        endless = Retries(attempts=1_000_000, first_pause=0.05, longest_pause=0.05)
        limits = Timeouts(connect=1, read=1, total=1)
        with (
            scripted(FULL) as server,
            client(server, endless, limits) as asking,
            pytest.raises((UnavailableError, DeadlineError)),
        ):
            asking.recommend([620])


class TestRaisesAtOnce:
    @pytest.mark.parametrize(
        ("step", "kind", "message"),
        [
            (Step(400, REFUSAL), RefusedError, "400: k is 0: k is an integer from 1 to 100"),
            (Step(401, b'{"message": "the header X-API-Key"}'), RefusedError, "401: the header X-API-Key"),
            (Step(413, b""), RefusedError, "413: no message"),
            (Step(500, b"<html>\xff"), UnavailableError, "500: <html>"),
            (Step(302, b"", ["Location: http://127.0.0.1:1/"]), ServiceError, "302: .*check the address"),
            (Step(200, b"<html>"), ServiceError, "no answer of srec .*check the address"),
            (Step(200, b'{"items": []}'), ServiceError, "5 things are missing"),
            (Step(200, b" " * 2_000_000), ServiceError, "more than 1048576 bytes"),
        ],
    )
    def test_what_another_attempt_would_not_change(
        self, step: Step, kind: type[ServiceError], message: str
    ) -> None:
        with (
            scripted(step) as server,
            client(server) as asking,
            pytest.raises(ServiceError, match=message) as raised,
        ):
            asking.recommend([620])
        assert type(raised.value) is kind
        assert len(server.seen) == 1

    @pytest.mark.parametrize(
        ("step", "read", "total", "message"),
        [
            (Step(silent=True), 0.2, 3600, r"silent for 0\.2 s"),
            (Step(endless=b"HTTP/1.1 2"), 3600, 0.5, NOT_WHOLE),
            (Step(endless=b"HTTP/1.1 200 -\r\nX: "), 3600, 0.5, NOT_WHOLE),
            (Step(endless=b"HTTP/1.1 200 -\r\nContent-Length: 1000000\r\n\r\n"), 3600, 0.5, NOT_WHOLE),
        ],
        ids=["silence", "endless status", "endless headers", "endless body"],
    )
    def test_a_response_that_does_not_come_whole(
        self, step: Step, read: float, total: float, message: str
    ) -> None:
        limits = Timeouts(connect=3600, read=read, total=total)  # pytest's limit ends a longer wait
        with (
            scripted(step) as server,
            client(server, timeouts=limits) as asking,
            pytest.raises(DeadlineError, match=message),
        ):
            asking.recommend([620])
        assert len(server.seen) == 1

    @pytest.mark.parametrize("appids", [["620"], [1.5], [None]])
    def test_what_is_no_integer(self, appids: list[int]) -> None:
        with SrecClient("http://127.0.0.1:1") as asking, pytest.raises(TypeError):
            asking.recommend(appids)


@pytest.mark.parametrize("name", ["", "visit-1\n", "Besuch-ä", "x" * 129])
def test_a_request_id_that_the_service_would_not_take(name: str) -> None:
    with SrecClient("http://127.0.0.1:1") as asking, pytest.raises(InputError, match="request_id is '"):
        asking.recommend([620], request_id=name)


def test_the_key_is_in_no_message() -> None:
    with (
        scripted(Step(401, b"{}")) as server,
        SrecClient(server.url, api_key="hush") as asking,
        pytest.raises(RefusedError) as raised,
    ):
        asking.recommend([620])
    assert "hush" not in str(raised.value) + repr(asking)


@pytest.mark.parametrize(
    "key", ["hush\n", "\nhush", " hush", "hush ", "hu\tsh", "hu\0sh", "hüsh", "hush\x7f"]
)
def test_a_key_that_no_header_carries_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(InputError, match="the API key") as raised:
        SrecClient("http://127.0.0.1:1", api_key=key)
    assert key.strip() not in str(raised.value)


def test_any_printable_key_is_sent_as_it_is_and_an_empty_one_is_none() -> None:
    keys = ["".join(map(chr, range(33, 127))), "a b", "!", ""]
    with scripted(Step()) as server:
        for key in keys:
            with SrecClient(server.url, api_key=key) as asking:
                asking.recommend([620])
    assert [seen.headers.get("x-api-key", "") for seen in server.seen] == keys


@pytest.mark.parametrize(
    "url", ["", "localhost:8080", "ftp://host", "http://", "http://h/?q=1", "http://u:p@h", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no address of a service"):
        SrecClient(url)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timeouts(connect=0),
        lambda: Timeouts(total=float("inf")),
        lambda: Timeouts(read=float("nan")),
        lambda: Retries(attempts=0),
        lambda: Retries(first_pause=2, longest_pause=1),
        lambda: Retries(first_pause=-1),
    ],
)
def test_limits_that_are_none_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(1, 10))
def test_pauses_grow_to_a_bound(failures: int, first: float, longest: float) -> None:
    pause = Retries(first_pause=first, longest_pause=longest).pause(failures)
    assert 0 <= pause <= longest
    assert failures > 20 or pause <= first * 2 ** (failures - 1)


def test_it_needs_no_model_library() -> None:
    program = "import sys, srec.client; assert not {'torch', 'numpy', 'redis', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)

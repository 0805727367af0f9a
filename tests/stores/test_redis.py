"""RedisStore on a real server: one round trip, a hard deadline, and a plain word when it cannot deliver."""

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.errors import InputError, StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores.array import ArrayStore
from srec.stores.load import load_graph
from srec.stores.record import fields, mark_key, rows_key
from srec.stores.redis import TTL_SECONDS, RedisStore
from srec.stores.redis_client import RedisClient
from tests.stores.conftest import AMPLE_MS, PATIENCE, Clock, Server, random_graph
from tests.stores.contract import StoreContract, assert_rows

ITEMS = np.array([3, 1, 0, 3, 50], np.int32)
OpenStore = Callable[..., RedisStore]


@pytest.fixture
def open_store(graph: GlobalGraph) -> Iterator[OpenStore]:
    """Opens stores of the graph and closes them after the test."""
    opened: list[RedisStore] = []

    def open_one(url: str, deadline_ms: float = AMPLE_MS, **options: object) -> RedisStore:
        store = RedisStore(url, graph.digest, graph.n_items, graph.size, deadline_ms, **options)  # type: ignore[arg-type]
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server, open_store: OpenStore) -> RedisStore:
        load_graph(server.url, graph)
        return open_store(server.url)


def test_one_round_trip_asks_for_each_item_once(
    graph: GlobalGraph, server: Server, open_store: OpenStore
) -> None:
    load_graph(server.url, graph)
    store = open_store(server.url)
    store.fetch(ITEMS)
    with server.client() as client:
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        reads = client.info("stats")["total_reads_processed"]
        store.fetch(ITEMS)
        store.fetch(np.zeros(3, np.int32))
        assert client.info("stats")["total_reads_processed"] - reads == 2  # the fetch, and this question
        commands = [entry["command"] for entry in client.slowlog_get()]
        client.config_set("slowlog-log-slower-than", 10_000)
    assert sum(command.startswith(b"HMGET") for command in commands) == 1
    asked = next(command for command in commands if command.startswith(b"HMGET")).split(b" ", 2)[2]
    assert asked == b" ".join(fields(np.array([1, 3, 50], np.int32)))


def test_over_tcp_with_a_password(graph: GlobalGraph, own_server: Server, open_store: OpenStore) -> None:
    with own_server.client() as client:
        client.acl_setuser("srec", enabled=True, passwords=["+p@ss/w#rd"], keys=["*"], categories=["+@all"])
    url = f"redis://srec:p%40ss%2Fw%23rd@127.0.0.1:{own_server.listen()}/3"
    load_graph(url, graph)
    assert_rows(open_store(url), graph, ITEMS)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 20), asked=st.lists(st.integers(0, 30), max_size=60))
def test_any_graph_reads_as_from_the_array(running: Server, seed: int, size: int, asked: list[int]) -> None:
    graph, items = random_graph(seed, n_items=30, size=size), np.array(asked, np.int32)
    load_graph(running.url, graph, ttl_seconds=60)
    store = RedisStore(running.url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
    for actual, expected in zip(store.fetch(items), ArrayStore(graph).fetch(items), strict=True):
        np.testing.assert_array_equal(actual, expected)
    store.close()


def test_never_reads_another_graphs_rows(
    other_graph: GlobalGraph, server: Server, open_store: OpenStore
) -> None:
    load_graph(server.url, other_graph)
    with pytest.raises(StoreError, match=r"does not hold graph .*srec load-neighbours"):
        open_store(server.url).fetch(ITEMS)


def test_rows_without_the_mark_do_not_count(
    graph: GlobalGraph, server: Server, open_store: OpenStore
) -> None:
    load_graph(server.url, graph)
    store = open_store(server.url)
    with server.client() as client:
        client.delete(mark_key(graph.digest))
        with pytest.raises(StoreError, match="does not hold graph"):
            store.fetch(ITEMS)
        load_graph(server.url, graph)
        assert_rows(store, graph, ITEMS)


def test_after_a_failure_the_mark_is_looked_for_again(
    graph: GlobalGraph, server: Server, open_store: OpenStore
) -> None:
    """A server restarted empty and half loaded again: what it has is not the whole graph."""
    load_graph(server.url, graph)
    store = open_store(server.url)
    store.fetch(ITEMS)
    with server.client() as client:
        row = client.hget(rows_key(graph.digest), fields(ITEMS[:1])[0])
        client.flushall()
        with pytest.raises(StoreError, match="does not hold graph"):
            store.fetch(ITEMS)
        client.hset(rows_key(graph.digest), fields(ITEMS[:1])[0], row)
        with pytest.raises(StoreError, match="does not hold graph"):
            store.fetch(ITEMS[:1])


def test_whatever_redis_py_stumbles_over_is_a_store_error(
    graph: GlobalGraph, server: Server, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(server.url)
    monkeypatch.setattr(RedisClient, "ask", lambda *_: 1 / 0)
    with pytest.raises(StoreError, match=r"cannot be read \(ZeroDivisionError in redis-py\)"):
        store.fetch(ITEMS)


@pytest.mark.parametrize(
    ("value", "why"),
    [(None, "the row of item 3 is missing"), (b"short", "the row of item 3 has 5 bytes instead of 32")],
)
def test_a_missing_or_broken_row_is_named(
    graph: GlobalGraph, server: Server, open_store: OpenStore, value: bytes | None, why: str
) -> None:
    load_graph(server.url, graph)
    key, field = rows_key(graph.digest), fields(np.array([3], np.int32))[0]
    with server.client() as client:
        client.hdel(key, field) if value is None else client.hset(key, field, value)
    with pytest.raises(StoreError, match=why):
        open_store(server.url).fetch(ITEMS)


def test_a_key_that_is_no_hash_is_refused(graph: GlobalGraph, server: Server, open_store: OpenStore) -> None:
    with server.client() as client:
        client.set(rows_key(graph.digest), "x")
    with pytest.raises(StoreError, match="answers with an error"):
        open_store(server.url).fetch(ITEMS)


def test_a_restarted_server_is_used_again(
    graph: GlobalGraph, own_server: Server, open_store: OpenStore
) -> None:
    load_graph(own_server.url, graph)
    store = open_store(own_server.url)
    assert_rows(store, graph, ITEMS)
    own_server.stop()
    with pytest.raises(StoreError, match="cannot be reached"):
        store.fetch(ITEMS)
    own_server.restart()
    with pytest.raises(StoreError, match="does not hold"):
        store.fetch(ITEMS)
    load_graph(own_server.url, graph)
    assert_rows(store, graph, ITEMS)


def test_a_server_that_hangs_costs_no_more_than_the_deadline(
    graph: GlobalGraph, own_server: Server, open_store: OpenStore
) -> None:
    load_graph(own_server.url, graph)
    store = open_store(own_server.url, deadline_ms=20)
    with own_server.paused(), pytest.raises(StoreError, match="did not answer within 20 ms"):
        store.fetch(ITEMS)


def test_an_answer_that_trickles_in_is_not_waited_for(open_store: OpenStore) -> None:
    """Every byte comes well within a socket timeout; the whole answer never does."""
    over = threading.Event()

    def trickle(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"*3\r\n$32\r\n")
            while not over.wait(0.005):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_until_broken, args=(trickle, listener))
        thread.start()
        with pytest.raises(StoreError, match="did not answer within 40 ms"):
            open_store(f"redis://127.0.0.1:{listener.getsockname()[1]}", deadline_ms=40).fetch(ITEMS)
        over.set()
        thread.join(PATIENCE)


def _until_broken(serve: Callable[[socket.socket], None], listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        serve(listener)


def test_reading_renews_the_expiry_once_an_hour(
    graph: GlobalGraph, server: Server, open_store: OpenStore
) -> None:
    clock = Clock(0.0)
    load_graph(server.url, graph, ttl_seconds=100)
    store = open_store(server.url, clock=clock)
    keys = [mark_key(graph.digest), rows_key(graph.digest)]
    with server.client() as client:
        for clock.now, renewed in [(0.0, True), (3599.0, False), (3600.0, True), (7000.0, False)]:
            for key in keys:
                client.expire(key, 100)
            store.fetch(ITEMS)
            for key in keys:
                assert (int(client.ttl(key)) > TTL_SECONDS - 100) == renewed, (clock.now, key)


def test_a_user_who_may_only_read_still_gets_rows(
    graph: GlobalGraph, own_server: Server, open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    load_graph(own_server.url, graph)
    with own_server.client() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+only"], keys=["*"], categories=["+@read"])
    store = open_store(f"unix://reader:only@{own_server.url.removeprefix('unix://')}")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert_rows(store, graph, ITEMS)
    assert [record.message for record in caplog.records if "expiry" in record.message] == [caplog.messages[0]]


@pytest.mark.parametrize("login", [":hunter2", "admin:hunter2"])
def test_no_message_holds_the_password(
    own_server: Server, open_store: OpenStore, caplog: pytest.LogCaptureFixture, login: str
) -> None:
    port = own_server.listen()
    with own_server.client() as client:
        client.config_set("requirepass", "another")
    store = open_store(f"redis://{login}@127.0.0.1:{port}")
    with pytest.raises(StoreError, match="refuses the login") as refused:
        store.fetch(ITEMS)
    own_server.stop()
    with pytest.raises(StoreError, match="cannot be reached") as gone:
        store.fetch(ITEMS)
    for text in (str(refused.value), repr(refused.value.__cause__), str(gone.value), caplog.text):
        assert "hunter2" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2#x@localhost",
        "redis://:hunter2/x@localhost",
        "redis://user:1234/hunter2@localhost",
        "redis://user:1234?hunter2@localhost",
        "redis://:hunter2@localhost:port",
        "redis://:hunter2@localhost?socket_timeout=soon",
        "redis://:hunter2@localhost?colour=red",
        "redis://:hunter2@[localhost",
        "redis:hunter2",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once_and_not_quoted(url: str, open_store: OpenStore) -> None:
    with pytest.raises(InputError, match="the Redis URL") as refused:
        open_store(url)
    assert "hunter2" not in str(refused.value)


def test_an_impossible_host_name_is_a_store_error(open_store: OpenStore) -> None:
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store(f"redis://{'a' * 70}.invalid").fetch(ITEMS)

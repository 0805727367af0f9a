"""load_graph: whole or absent for readers, resumed when interrupted, free when repeated, clear on refusal."""

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import redis

from srec.errors import HostError, InputError, StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores import load
from srec.stores.load import UNFINISHED_TTL_SECONDS, is_whole, load_graph
from srec.stores.record import fields, mark_key, rows_key
from srec.stores.redis import RedisStore
from srec.stores.redis_client import connect
from tests.stores.conftest import AMPLE_MS, PATIENCE, Server
from tests.stores.contract import assert_rows


@pytest.fixture(autouse=True)
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test graph's 50 rows take five steps."""
    monkeypatch.setattr(load, "ROWS_PER_STEP", 11)


def keys(graph: GlobalGraph) -> set[bytes]:
    """Keys of a whole graph, on one server."""
    return {mark_key(graph.digest).encode(), rows_key(graph.digest).encode()}


def writes(client: redis.Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_hset", {"calls": 0})["calls"])


def test_reports_progress_and_the_second_load_writes_nothing(graph: GlobalGraph, server: Server) -> None:
    seen: list[tuple[int, int]] = []
    first = load_graph(server.url, graph, 1000, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(11, 50), (22, 50), (33, 50), (44, 50), (50, 50)]
    assert (first.digest, first.rows, first.written, first.already_there) == (graph.digest, 50, 50, False)
    with server.client() as client:
        assert set(client.keys()) == keys(graph)
        assert all(900 < int(client.ttl(key)) <= 1000 for key in keys(graph))
        before = writes(client)
        again = load_graph(server.url, graph, 5000)
        assert (again.already_there, again.written) == (True, 0)
        assert writes(client) == before
        assert all(4900 < int(client.ttl(key)) <= 5000 for key in keys(graph))


@pytest.mark.parametrize("everything", [False, True], ids=["a row lost", "all lost"])
def test_a_repair_that_is_interrupted_neither_shortens_nor_drops_the_expiry(
    graph: GlobalGraph, server: Server, everything: bool
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    load_graph(server.url, graph)
    key = rows_key(graph.digest)
    with server.client() as client:
        client.delete(key) if everything else client.hdel(key, fields(np.array([3], np.int32))[0])
        with pytest.raises(KeyboardInterrupt):
            load_graph(server.url, graph, progress=interrupt)
        assert int(client.ttl(key)) > UNFINISHED_TTL_SECONDS


@pytest.mark.parametrize("damage", ["lost", "wrong", "short"])
def test_a_damaged_graph_is_repaired_and_no_more_is_written(
    graph: GlobalGraph, server: Server, damage: str
) -> None:
    load_graph(server.url, graph)
    key, field = rows_key(graph.digest), fields(np.array([17], np.int32))[0]
    with server.client() as client:
        row = client.hget(key, field)
        assert row is not None
        other = {"wrong": bytes(byte ^ 1 for byte in row), "short": row[:-1]}
        client.hset(key, field, other[damage]) if damage in other else client.hdel(key, field)
        report = load_graph(server.url, graph)
        assert (report.already_there, report.written) == (False, 1)
        assert client.hget(key, field) == row
        assert int(client.ttl(key)) > UNFINISHED_TTL_SECONDS, "readers see it: it expires no sooner"


@pytest.mark.parametrize("lost", ["a row", "all rows", "the mark"])
def test_a_graph_is_whole_with_all_rows_and_its_mark(graph: GlobalGraph, server: Server, lost: str) -> None:
    def whole() -> bool:
        with connect(server.url, PATIENCE) as client:
            return is_whole(client, graph.digest)

    assert not whole()
    load_graph(server.url, graph)
    assert whole()
    with server.client() as client:
        if lost == "a row":
            client.hdel(rows_key(graph.digest), fields(np.array([3], np.int32))[0])
        else:
            client.delete(mark_key(graph.digest) if lost == "the mark" else rows_key(graph.digest))
    assert not whole()


def test_graphs_stand_side_by_side(graph: GlobalGraph, other_graph: GlobalGraph, server: Server) -> None:
    for one in (graph, other_graph):
        load_graph(server.url, one)
    for one in (graph, other_graph):
        store = RedisStore(server.url, one.digest, one.n_items, one.size, AMPLE_MS)
        assert_rows(store, one, np.arange(51, dtype=np.int32))
        store.close()


def test_an_interrupted_load_shows_nothing_and_the_next_goes_on_where_it_ended(
    graph: GlobalGraph, server: Server
) -> None:
    def interrupt(done: int, total: int) -> None:
        with server.client() as client:
            assert client.keys() == [rows_key(graph.digest).encode()]
            ttl = int(client.ttl(rows_key(graph.digest)))
            assert 0 < ttl <= UNFINISHED_TTL_SECONDS, "a killed load must not stay for ever"
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_graph(server.url, graph, progress=interrupt)
    store = RedisStore(server.url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
    with pytest.raises(StoreError, match="does not hold graph"):
        store.fetch(np.array([1, 2], np.int32))
    report = load_graph(server.url, graph)
    assert (report.already_there, report.rows, report.written) == (False, 50, 28)
    assert_rows(store, graph, np.arange(51, dtype=np.int32))
    store.close()


def test_a_killed_load_is_resumed(graph: GlobalGraph, server: Server) -> None:
    """A process that ends at once, as by SIGKILL, cleans nothing up."""
    code = f"""
import os
import tests.stores.conftest as parts
from srec.stores import load
load.ROWS_PER_STEP = 11
load.load_graph({server.url!r}, parts.random_graph(1), progress=lambda done, _: done < 40 or os._exit(9))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=PATIENCE).returncode == 9
    assert load_graph(server.url, graph).written == 6


def test_rows_lost_half_way_are_noticed(graph: GlobalGraph, server: Server) -> None:
    def flush(done: int, total: int) -> None:
        if done == 22:
            with server.client() as client:
                client.flushall()

    with pytest.raises(HostError, match="lost rows while the graph was loaded: load it again"):
        load_graph(server.url, graph, progress=flush)
    with server.client() as client:
        assert client.keys() == [rows_key(graph.digest).encode()], "no mark: readers do not see it"
    assert load_graph(server.url, graph).written == 22


def test_loads_at_the_same_time_and_readers_never_meet(graph: GlobalGraph, server: Server) -> None:
    items = np.arange(51, dtype=np.int32)
    together, over = threading.Barrier(4), threading.Event()

    def meet(done: int, total: int) -> None:
        if done == 11:
            together.wait(PATIENCE)

    def load(_: int) -> None:
        load_graph(server.url, graph, progress=meet)

    def read() -> set[str]:
        store = RedisStore(server.url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
        errors = set()
        while not over.is_set():
            try:
                assert_rows(store, graph, items)
            except StoreError as error:
                errors.add(str(error))
        assert_rows(store, graph, items)
        store.close()
        return errors

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(read)
        try:
            list(pool.map(load, range(4)))
        finally:
            over.set()
        assert all("does not hold" in error for error in reader.result())
    with server.client() as client:
        assert set(client.keys()) == keys(graph)


def test_refusals_say_what_to_do_and_leave_what_was_there(
    graph: GlobalGraph, other_graph: GlobalGraph, own_server: Server
) -> None:
    load_graph(own_server.url, other_graph)
    with own_server.client() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+only"], keys=["*"], categories=["+@read"])
        path = own_server.url.removeprefix("unix://")
        _refused(f"unix://reader:only@{path}", graph, "does not let this user do that")
        _refused(f"unix://reader:wrong@{path}", graph, "refuses the login")
        client.config_set("maxmemory", 1)
        _refused(own_server.url, graph, "is out of memory: raise its maxmemory")
        client.config_set("maxmemory", 0)
        client.replicaof("127.0.0.1", "1")
        _refused(own_server.url, graph, "is a read-only replica")
        client.replicaof("NO", "ONE")
        assert set(client.keys()) == keys(other_graph)
    own_server.stop()
    _refused(own_server.url, graph, f"Redis at {path} cannot be reached")


def test_an_unusable_url_is_the_persons_input(graph: GlobalGraph) -> None:
    with pytest.raises(InputError, match="the Redis URL cannot be read"):
        load_graph("http://localhost", graph)


def _refused(url: str, graph: GlobalGraph, why: str) -> None:
    with pytest.raises(HostError, match=re.escape(why)) as refused:
        load_graph(url, graph)
    assert str(refused.value).startswith("the graph was not loaded: Redis at ")
    assert "wrong" not in str(refused.value)
    assert isinstance(refused.value.__cause__, redis.RedisError)

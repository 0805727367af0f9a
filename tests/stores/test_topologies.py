"""Sentinel and Cluster by URL, on real servers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from srec.errors import HostError, InputError, StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores import open_store
from srec.stores.base import NeighbourStore
from srec.stores.fallback import FallbackStore
from srec.stores.load import load_graph
from srec.stores.record import mark_key
from srec.stores.redis import RedisStore
from srec.stores.redis_client import CLUSTER_SHARDS, connect
from srec.stores.settings import StoreSettings
from tests.stores.conftest import AMPLE_MS, PATIENCE
from tests.stores.contract import StoreContract, assert_rows
from tests.stores.nodes import Cluster, Sentinels
from tests.waiting import wait_until

ALL = np.arange(51, dtype=np.int32)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    """Servers for all tests that leave them as they are."""
    with Sentinels(tmp_path_factory.mktemp("sentinels")) as sentinels:
        yield sentinels


@pytest.fixture
def own_sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    with Sentinels(tmp_path, down_after_ms=2000) as sentinels:
        yield sentinels


def reader(url: str, graph: GlobalGraph) -> RedisStore:
    return RedisStore(url, graph.digest, graph.n_items, graph.size, AMPLE_MS)


class TestClusterStore(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, cluster: Cluster) -> Iterator[NeighbourStore]:
        url = f"redis+cluster://{cluster.hosts}"
        load_graph(url, graph)
        store = reader(url, graph)
        yield store
        store.close()


def test_a_cluster_shares_the_rows_and_loads_them_once(other_graph: GlobalGraph, cluster: Cluster) -> None:
    url = f"redis+cluster://{cluster.hosts}/0"
    report = load_graph(url, other_graph)
    assert (report.server, report.written) == (f"cluster {cluster.hosts}", 50)
    assert load_graph(url, other_graph).already_there
    counts = []
    for node in cluster.nodes:
        with node.client() as client:
            keys = [key for key in client.scan_iter() if other_graph.digest in key and key.endswith(":rows")]
            counts.append(sum(client.hlen(key) for key in keys))
            assert all(int(client.ttl(key)) > 0 for key in client.scan_iter())
    assert sum(counts) == 50
    assert all(counts), "every node has its share"


def test_a_cluster_is_found_through_any_of_its_nodes(graph: GlobalGraph, cluster: Cluster) -> None:
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.nodes[2].port}"
    load_graph(url, graph)
    store = reader(url, graph)
    assert_rows(store, graph, ALL)
    store.close()


def test_slots_that_move_are_followed_and_for_a_lost_node_the_archive_answers(
    graph: GlobalGraph, tmp_path: Path
) -> None:
    with Cluster(tmp_path) as cluster:
        url = f"redis+cluster://{cluster.hosts}"
        load_graph(url, graph)
        settings = StoreSettings(deadline_ms=AMPLE_MS, cache_mb=0, pause_s=1e-9, longest_pause_s=1e-9)
        store = open_store(url, graph, settings)
        assert isinstance(store, FallbackStore)
        assert_rows(store, graph, ALL)
        _move_mark(cluster, graph)
        load_graph(url, graph)
        assert_rows(store, graph, ALL)
        assert (store.counters.up, store.counters.fallbacks) == (True, 0)
        cluster.nodes[1].stop()
        assert_rows(store, graph, ALL)
        assert (store.counters.up, store.counters.fallbacks) == (False, 1)
        store.close()


def test_a_cluster_that_is_not_there_or_refuses_says_so(graph: GlobalGraph, cluster: Cluster) -> None:
    with pytest.raises(HostError, match=r"cluster 127.0.0.1:1 cannot be reached"):
        load_graph("redis+cluster://:hunter2@127.0.0.1:1", graph)
    with pytest.raises(HostError, match="refuses the login") as refused:
        load_graph(f"redis+cluster://nobody:hunter2@{cluster.hosts}", graph)
    assert "hunter2" not in str(refused.value) + repr(refused.value.__cause__)


def test_one_node_of_a_cluster_says_so(graph: GlobalGraph, cluster: Cluster) -> None:
    messages = set()
    for node in cluster.nodes:
        url = f"redis://127.0.0.1:{node.port}"
        try:
            load_graph(url, graph)
        except HostError as error:
            messages.add(str(error).partition(str(node.port))[2])
    assert messages == {" is a node of a cluster: use redis+cluster:// in the URL"}


class TestSentinelStore(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, sentinels: Sentinels) -> Iterator[NeighbourStore]:
        url = f"redis+sentinel://127.0.0.1:1,{sentinels.hosts}/games/0"
        load_graph(url, graph)
        store = reader(url, graph)
        yield store
        store.close()


def test_after_a_failover_the_new_primary_is_used(graph: GlobalGraph, own_sentinels: Sentinels) -> None:
    sentinels = own_sentinels
    url = f"redis+sentinel://{sentinels.hosts}/games"
    report = load_graph(url, graph)
    assert report.server == f"games of Sentinel {sentinels.hosts}"
    with sentinels.replica.client() as client:
        wait_until(lambda: bool(client.exists(mark_key(graph.digest))), limit=PATIENCE)
    store = reader(url, graph)
    assert_rows(store, graph, ALL)
    sentinels.primary.stop()
    with pytest.raises(StoreError, match="of Sentinel"):
        store.fetch(ALL)

    def delivers() -> bool:
        try:
            assert_rows(store, graph, ALL)
        except StoreError:
            return False
        return True

    wait_until(delivers, limit=PATIENCE)
    with sentinels.replica.client() as client:
        assert client.info("replication")["role"] == "master"
    store.close()


def test_an_unknown_primary_is_named(graph: GlobalGraph, sentinels: Sentinels) -> None:
    with pytest.raises(
        HostError, match=r"films of Sentinel .* has no primary: Sentinel knows none of that name that is up"
    ):
        load_graph(f"redis+sentinel://{sentinels.hosts}/films", graph)


def test_logins_of_server_and_sentinel_differ_and_no_message_holds_one(
    graph: GlobalGraph, own_sentinels: Sentinels
) -> None:
    sentinels = own_sentinels
    for node, password in [(sentinels.primary, "hunter2"), (sentinels.sentinel, "hunter3")]:
        with node.client() as client:
            client.acl_setuser(
                "srec", enabled=True, passwords=[f"+{password}"], keys=["*"], categories=["+@all"]
            )
            client.acl_setuser("default", enabled=False)
    hosts = f"{sentinels.hosts}/games?sentinel_username=srec&sentinel_password="
    assert load_graph(f"redis+sentinel://srec:hunter2@{hosts}hunter3", graph).written == 50
    for url, why in [
        (f"srec:hunter2@{hosts}hunter9", "refuses the login to Sentinel"),
        (f"srec:hunter9@{hosts}hunter3", "refuses the login: put the right user"),
    ]:
        with pytest.raises(HostError, match=why) as refused:
            load_graph(f"redis+sentinel://{url}", graph)
        assert "hunter" not in str(refused.value) + repr(refused.value.__cause__)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://u:p@h", "h:6379"),
        ("rediss://[::1]:7/3", "::1:7"),
        ("unix:///run/redis.sock?db=2", "/run/redis.sock"),
        ("redis+sentinel://u:p@a,b:7/games/2", "games of Sentinel a:26379,b:7"),
        ("rediss+sentinel://:p@a/my%20games?ssl_check_hostname=no", "my games of Sentinel a:26379"),
        ("rediss+cluster://u:p@a:1,b?ssl_ca_certs=/ca.pem", "cluster a:1,b:6379"),
    ],
)
def test_a_url_is_read_without_connecting(url: str, name: str) -> None:
    with connect(url, 1.0) as client:
        assert client.name == name
        assert client.shards == (CLUSTER_SHARDS if "cluster" in url else 1)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://:hunter2@h:1",
        "redis+sentinel://:hunter2@h:1/",
        "redis+sentinel://:hunter2@h:port/games",
        "redis+sentinel://:hunter2@h/games?colour=red",
        "redis+cluster://:hunter2@h:1/3",
        "redis+cluster://:hunter2@h:1,h:port",
        "redis+cluster://:hunter2@h?colour=red",
        "redis+swarm://:hunter2@h",
        "unix+cluster://:hunter2@h",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(InputError, match="the Redis URL") as refused:
        connect(url, 1.0)
    assert "hunter2" not in str(refused.value)


def _move_mark(cluster: Cluster, graph: GlobalGraph) -> None:
    """Give the mark's slot, and what is in it, to the next node."""
    with cluster.nodes[0].client() as client:
        slot = int(client.execute_command("CLUSTER KEYSLOT", mark_key(graph.digest)))
    owner = slot * 3 // 16384
    target = cluster.nodes[(owner + 1) % 3]
    with target.client() as client:
        new = client.execute_command("CLUSTER MYID")
    with cluster.nodes[owner].client() as client:
        client.delete(mark_key(graph.digest))
    for node in [target, *cluster.nodes]:
        with node.client() as client:
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", new)

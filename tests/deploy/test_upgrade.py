"""Two versions on one Redis: neither sees, changes or outlives the other's rows."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srec.graph.neighbours import GlobalGraph
from srec.serving.artifact import Artifact
from srec.serving.contract import parse_request
from srec.stores import open_store
from srec.stores.load import load_graph
from srec.stores.redis import REFRESH_SECONDS, TTL_SECONDS, RedisStore
from tests.conftest import Line, srec_ok
from tests.stores.conftest import AMPLE_MS, PATIENCE, Clock, Server, random_graph

OLD, NEW = random_graph(1), random_graph(2)
ITEMS = np.arange(1, OLD.n_items + 1, dtype=np.int32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def empty(server: Server) -> Server:
    with server.client() as client:
        client.flushall()
    return server


def rows(server: Server) -> dict[bytes, object]:
    """Every key with its content, whatever its kind."""
    with server.client() as client:
        return {key: client.dump(key) for key in client.keys("*")}


def assert_reads(store: RedisStore, graph: GlobalGraph) -> None:
    neighbours, weights = store.fetch(ITEMS)
    assert np.array_equal(neighbours, graph.neighbours[ITEMS])
    assert np.array_equal(weights, graph.weights[ITEMS])


def reader(server: Server, graph: GlobalGraph, clock: Clock | None = None) -> RedisStore:
    return RedisStore(server.url, graph.digest, graph.n_items, graph.size, AMPLE_MS, clock=clock or Clock(0))


def test_an_upgrade_and_a_rollback_touch_no_row_of_the_old(empty: Server) -> None:
    load_graph(empty.url, OLD)
    before = rows(empty)
    old = reader(empty, OLD)
    assert_reads(old, OLD)
    load_graph(empty.url, NEW)
    both = rows(empty)
    assert before.items() <= both.items()
    new = reader(empty, NEW)
    for _ in range(2):
        assert_reads(new, NEW)
        assert_reads(old, OLD)
    assert load_graph(empty.url, OLD).already_there  # rollback: nothing to write
    assert rows(empty) == both
    old.close()
    new.close()


def test_who_is_read_stays_and_who_is_not_expires(empty: Server) -> None:
    load_graph(empty.url, OLD)
    old_keys = set(rows(empty))
    load_graph(empty.url, NEW)
    new_keys = set(rows(empty)) - old_keys
    clock = Clock(0)
    new = reader(empty, NEW, clock)
    with empty.client() as client:
        for key in old_keys | new_keys:
            client.expire(key, 1000)  # as if nobody had read for a month less a quarter of an hour
        clock.now = REFRESH_SECONDS + 1
        assert_reads(new, NEW)
        assert all(client.ttl(key) > TTL_SECONDS - 1000 for key in new_keys)
        assert all(0 < client.ttl(key) <= 1000 for key in old_keys)
        for key in old_keys:
            client.pexpire(key, 1)
        deadline = time.monotonic() + PATIENCE
        while client.exists(*old_keys):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert_reads(new, NEW)
    assert set(rows(empty)) == new_keys
    late = open_store(empty.url, OLD)  # a version that comes back too late answers all the same
    assert np.array_equal(late.fetch(ITEMS)[0], OLD.neighbours[ITEMS])
    late.close()
    new.close()


@pytest.fixture(scope="module")
def newer(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of other data, so with another graph: a fifth of the players, hastily trained."""
    folder = tmp_path_factory.mktemp("newer")
    header, *reviews = (line.reviews / "reviews.csv").read_text().splitlines()
    few = [review for review in reviews if int(review.partition(",")[0]) % 5 == 0]
    (folder / "reviews.csv").write_text("\n".join([header, *few]))
    srec_ok(
        "prepare", "--reviews", folder / "reviews.csv", "--games", line.reviews / "games.jsonl",
        "--tag-width", 8, "--out", folder / "data",
    )  # fmt: skip
    srec_ok(
        "train", "--data", folder / "data", "--preset", "tiny", "--set", "epochs=1", "--out", folder / "run"
    )
    srec_ok("export", "--run", folder / "run", "--out", folder / "artifact")
    return folder / "artifact"


def test_two_artifacts_answer_from_one_redis_as_each_does_alone(
    empty: Server, line: Line, newer: Path
) -> None:
    artifacts = [Artifact(line.artifact), Artifact(newer)]
    assert artifacts[0].graph.digest != artifacts[1].graph.digest
    for artifact in artifacts:
        srec_ok("load-neighbours", "--artifact", artifact.folder, "--redis", empty.url)
    sessions = [parse_request([620, 400]), parse_request([570, 730, 440])]

    def answers(artifact: Artifact, url: str | None) -> list[dict[str, Any]]:
        return artifact.predictor(url).answer(sessions, ["a", "b"])

    for artifact in [*artifacts, artifacts[0]]:  # old, new, and back
        assert answers(artifact, empty.url) == answers(artifact, None)
    graphs = {json.dumps(answers(artifact, empty.url)[0]["model"]) for artifact in artifacts}
    assert len(graphs) == 2

"""Real servers on TCP ports of their own: a primary with its replica and Sentinel, and a cluster of three."""

from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from srec.serve_config import processes
from srec.serve_config.embedded_redis import find_server
from srec.serve_config.ports import free_ports
from tests.proxy import PATIENCE
from tests.waiting import wait_until

SLOTS = 16384


class Node:
    """One server process in a folder of its own, in memory only."""

    def __init__(self, folder: Path, port: int, *arguments: str, configuration: str | None = None) -> None:
        folder.mkdir(parents=True)
        self.port = port
        self._log = folder / "log"
        command = [str(find_server())]
        if configuration is not None:
            (folder / "server.conf").write_text(configuration)
            command.append("server.conf")
        command += ["--port", str(port), "--bind", "127.0.0.1", *arguments]
        with self._log.open("wb") as log:
            self.process = processes.start(command, folder=folder, output=log)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=PATIENCE, protocol=2, decode_responses=True)

    def wait_ready(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self._log.read_text()
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        wait_until(answers, limit=PATIENCE)

    def stop(self) -> None:
        """End it at once; without effect when it has ended."""
        processes.stop(self.process, grace=0)
        self.process.wait(PATIENCE)


class Nodes:
    """A group of servers that starts and ends together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[Node] = []

    def begin(self) -> None:
        """Start the servers; return once they work together."""
        raise NotImplementedError

    def start(self, *arguments: str, port: int, configuration: str | None = None) -> Node:
        node = Node(self.folder / str(port), port, *arguments, configuration=configuration)
        self.nodes.append(node)
        return node

    def end(self) -> None:
        for node in self.nodes:
            node.stop()

    def __enter__(self) -> Self:
        try:
            self.begin()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Sentinels(Nodes):
    """A primary "games" with one replica, watched by one Sentinel, which alone may decide to fail over."""

    primary: Node
    replica: Node
    sentinel: Node

    def __init__(self, folder: Path, down_after_ms: int = 60_000) -> None:
        super().__init__(folder)
        self._down_after_ms = down_after_ms

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.sentinel.port}"

    def begin(self) -> None:
        ports = free_ports([None] * 3)
        memory = ("--save", "", "--repl-diskless-sync-delay", "0")
        self.primary = self.start(*memory, port=ports[0])
        self.replica = self.start(*memory, "--replicaof", "127.0.0.1", str(ports[0]), port=ports[1])
        for node in self.nodes:
            node.wait_ready()
        wait_until(self._replica_is_linked, limit=PATIENCE)  # before Sentinel looks first; next is 10 s later
        watch = f"sentinel monitor games 127.0.0.1 {ports[0]} 1\n"
        watch += f"sentinel down-after-milliseconds games {self._down_after_ms}\n"
        self.sentinel = self.start("--sentinel", port=ports[2], configuration=watch)
        self.sentinel.wait_ready()
        wait_until(self._replica_is_known, limit=PATIENCE)

    def _replica_is_linked(self) -> bool:
        with self.primary.client() as client:
            return int(client.info("replication")["connected_slaves"]) == 1

    def _replica_is_known(self) -> bool:
        with self.sentinel.client() as client:
            return len(client.sentinel_slaves("games")) == 1


class Cluster(Nodes):
    """Three primaries that share the slots."""

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def begin(self) -> None:
        ports = free_ports([None] * 6)
        for port, bus in zip(ports[:3], ports[3:], strict=True):
            self.start("--save", "", "--cluster-enabled", "yes", "--cluster-port", str(bus), port=port)
        for node in self.nodes:
            node.wait_ready()
        for index, node in enumerate(self.nodes):
            with node.client() as client:
                first, last = SLOTS * index // 3, SLOTS * (index + 1) // 3 - 1
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
                if index:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], ports[3])
        wait_until(lambda: all(map(_sees_all, self.nodes)), limit=PATIENCE)


def _sees_all(node: Node) -> bool:
    with node.client() as client:
        info: dict[str, str] = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"

"""`serve` in a process of its own: whatever ends it, nothing is left behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from srec.errors import DataError, HostError, InputError
from srec.export.signature import make_keys, sign
from srec.serve_config import client, ports, processes
from srec.serve_config.service import NO_REDIS, serve
from tests.waiting import wait_until

STOP_LIMIT = 15.0
START_LIMIT = 120.0

# Serves argv[1] on port argv[2]; prints the Redis URL before TorchServe starts, its ServiceInfo once ready.
SERVE = """
import dataclasses, json, sys
from pathlib import Path
import redis
from srec.serve_config.service import serve

def load(mar, url):
    with redis.Redis.from_url(url) as connection:
        connection.set("loaded", mar.name)
    print(json.dumps({"redis_url": url}), flush=True)

serve(Path(sys.argv[1]), redis_url=sys.argv[3] if sys.argv[3:] else None, port=int(sys.argv[2]), workers=1,
      load_neighbours=load, console=False,
      on_ready=lambda info: print(json.dumps(dataclasses.asdict(info)), flush=True))
"""


def processes_of(folder: Path) -> list[int]:
    """Java and its workers all name the run's folder in their command line."""
    return [
        one.pid
        for one in psutil.process_iter(["cmdline"])
        if any(str(folder) in part for part in one.info["cmdline"] or [])
    ]


class TestServe:
    @pytest.fixture
    def child(self, echo_mar: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
        (port,) = ports.free_ports([None])
        with subprocess.Popen(
            [sys.executable, "-c", SERVE, str(echo_mar), str(port)],
            env=os.environ | {"TMPDIR": str(tmp_path), "SREC_FREE_PORTS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield process
            process.kill()

    def read(self, child: subprocess.Popen[str]) -> dict[str, str]:
        assert child.stdout is not None
        answer: dict[str, str] = json.loads(child.stdout.readline())
        return answer

    def ready(self, child: subprocess.Popen[str]) -> dict[str, str]:
        """The ServiceInfo; where the start takes long, neighbours are loaded again before it."""
        while "predictions_url" not in (info := self.read(child)):
            pass
        return info

    def test_ctrl_c_twice_ends_everything(self, child: subprocess.Popen[str]) -> None:
        folder = Path(self.read(child)["redis_url"].removeprefix("unix://")).parent
        info = self.ready(child)
        assert client.post(info["predictions_url"], b"{}").status == 200
        groups = (int(info["java_pid"]), int(info["redis_pid"]))
        assert [len(processes.members(group)) for group in groups] == [2, 1]  # Java and a worker; Redis
        child.send_signal(signal.SIGINT)
        child.send_signal(signal.SIGINT)
        assert child.wait(STOP_LIMIT) == 0
        assert [processes.members(group) for group in groups] == [[], []]
        assert not folder.exists()

    def test_a_signal_during_the_start_ends_everything(self, child: subprocess.Popen[str]) -> None:
        folder = Path(self.read(child)["redis_url"].removeprefix("unix://")).parent
        wait_until(lambda: len(processes_of(folder)) > 1, limit=START_LIMIT)
        child.send_signal(signal.SIGTERM)
        assert child.wait(STOP_LIMIT) == 0
        assert processes_of(folder) == []
        assert not folder.exists()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
    def test_a_killed_parent_takes_its_servers_along(self, child: subprocess.Popen[str]) -> None:
        folder = Path(self.read(child)["redis_url"].removeprefix("unix://")).parent
        info = self.ready(child)
        child.kill()
        wait_until(
            lambda: processes_of(folder) + processes.members(int(info["redis_pid"])) == [], limit=STOP_LIMIT
        )

    @pytest.mark.parametrize("redis_url", [NO_REDIS, "redis://:secret@127.0.0.1:1/0"])
    def test_without_a_redis_it_serves(self, echo_mar: Path, tmp_path: Path, redis_url: str) -> None:
        """None wanted, or one that is away: a pod must be able to start while Redis is down."""
        (port,) = ports.free_ports([None])
        with subprocess.Popen(
            [sys.executable, "-c", SERVE, str(echo_mar), str(port), redis_url],
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                info = self.read(process)
                assert info["redis_url"] == redis_url
                assert not info["redis_pid"]
                assert client.post(info["predictions_url"], b"{}").status == 200
                process.send_signal(signal.SIGTERM)
                _, said = process.communicate(timeout=STOP_LIMIT)
                assert process.returncode == 0
                assert ("Redis at 127.0.0.1:1 cannot be reached" in said) == (redis_url != NO_REDIS)
                assert "secret" not in said
            finally:
                process.kill()


class TestServeRefuses:
    def refuse(
        self, mar: Path, port: int, redis_url: str | None = None, verify_key: Path | None = None
    ) -> None:
        def never(*arguments: object) -> None:
            raise AssertionError("nothing may start")

        serve(
            mar,
            redis_url=redis_url,
            port=port,
            workers=1,
            verify_key=verify_key,
            load_neighbours=never,
            on_ready=never,
        )

    def test_a_damaged_archive(self, tmp_path: Path) -> None:
        (tmp_path / "srec.mar").write_bytes(b"PK but no more")
        with pytest.raises(DataError, match=r"srec\.mar is damaged"):
            self.refuse(tmp_path / "srec.mar", 8080)

    def test_an_archive_without_the_keys_signature(self, echo_mar: Path, tmp_path: Path) -> None:
        mar = tmp_path / "srec.mar"
        shutil.copyfile(echo_mar, mar)
        public = make_keys(tmp_path / "release.key")
        (port,) = ports.free_ports([None])
        with pytest.raises(DataError, match=r"srec\.mar\.sig cannot be read"):
            self.refuse(mar, port, NO_REDIS, public)
        make_keys(tmp_path / "other.key")
        sign(mar, tmp_path / "other.key")
        with pytest.raises(DataError, match="is not the signature of"):
            self.refuse(mar, port, NO_REDIS, public)

    def test_a_port_in_use(self, echo_mar: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(HostError, match=f"port {port} .*is in use.*another port"):
                self.refuse(echo_mar, port)

    def test_options_out_of_range(self, echo_mar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(InputError, match="port 0"):
            self.refuse(echo_mar, 0)
        monkeypatch.setenv("SREC_API_KEY", "hush\n")
        with pytest.raises(InputError, match="a line break") as refused:
            self.refuse(echo_mar, 8080)
        assert "hush" not in str(refused.value)
        monkeypatch.delenv("SREC_API_KEY")
        monkeypatch.setenv("SREC_ADDRESS", "192.0.2.1")  # reserved for examples: no machine has it
        with pytest.raises(HostError, match=r"on 192\.0\.2\.1 cannot be used"):
            self.refuse(echo_mar, 8080)
        monkeypatch.setenv("SREC_ADDRESS", "::1")
        with pytest.raises(InputError, match='address "::1"'):
            self.refuse(echo_mar, 8080)

    def test_an_unusable_redis_url(self, echo_mar: Path) -> None:
        (port,) = ports.free_ports([None])
        with pytest.raises(InputError, match="Redis URL"):
            self.refuse(echo_mar, port, "http://127.0.0.1")

"""A real `srec serve` with two workers, and a real Redis behind a proxy: every part can be broken alone."""

import contextlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from srec.serve_config import client
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serving.artifact import Artifact
from srec.stores.load import load_graph
from tests.line.test_service import Service
from tests.proxy import Proxy
from tests.waiting import wait_until

WORKERS = 2
RESPONSE_TIMEOUT = 2  # seconds
_SETTINGS = {
    "SREC_RESPONSE_TIMEOUT": str(RESPONSE_TIMEOUT),
    # No cache of rows in the workers: every batch needs Redis, so that what happens to it is felt.
    "SREC_STORE_CACHE_MB": "0",
}


class Rig:
    """A context manager; what it started has ended when it is left.

    Attributes:
        artifact: what is served, as a folder.
        mar: what is served, as an archive of the rig's own folder.
        redis: the server; may be killed, stopped and started.
        proxy: between the service and Redis.
    """

    def __init__(self, artifact: Path, mar: Path, folder: Path, **settings: str) -> None:
        self.artifact = artifact
        self.mar = mar
        self.folder = folder
        (folder / "redis").mkdir()
        self.redis = EmbeddedRedis(folder / "redis")
        self.proxy: Proxy
        self.service: Service
        self._settings = _SETTINGS | settings
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.redis)
            load_graph(self.redis.url, Artifact(self.artifact).graph)
            self.proxy = stack.enter_context(Proxy(self.redis.url.removeprefix("unix://")))
            url = f"redis://127.0.0.1:{self.proxy.port}/0"
            temporary = self.folder / "t"
            self.service = Service(self.mar, temporary, url, workers=WORKERS, **self._settings)
            stack.callback(self._stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """What the service tells the commands that change it."""
        (file,) = self.service.temporary.glob("srec-*/service.json")
        record: dict[str, Any] = json.loads(file.read_text())
        return record

    def ready(self) -> bool:
        """Whether `/ready` is 200: both workers, and a prediction that succeeded."""
        try:
            return client.request("GET", f"{self.record['operations_url']}/ready").status == 200
        except client.FAILURES:
            return False

    def versions(self) -> dict[str, list[int]]:
        """The process ids of the ready workers, by the version that they serve."""
        described = client.get_json(f"{self.record['management_url']}/models/srec/all") or []
        return {
            one["modelVersion"]: [worker["pid"] for worker in one["workers"] if worker["status"] == "READY"]
            for one in described
        }

    def workers(self) -> list[int]:
        """The process ids of all ready workers."""
        return [pid for pids in self.versions().values() for pid in pids]

    def fetches(self, result: str) -> int:
        """Fetches of neighbours so far, by ``primary`` (Redis) or ``fallback`` (the archive's own copy)."""
        text = client.request("GET", str(self.record["metrics_url"])).body.decode()
        samples = re.findall(rf'^srec_store_fetches_total{{.*result="{result}".*}} (\S+)$', text, re.M)
        return int(sum(map(float, samples)))

    def wait_fetches(self, result: str) -> None:
        """Return once neighbours are fetched in this way, from now on."""
        before = self.fetches(result)
        wait_until(lambda: self.fetches(result) > before, f"a fetch by {result}")

    def memory(self) -> dict[str, float]:
        """Resident megabytes of the command, Java and the workers."""
        workers = self.workers()
        found = dict.fromkeys(("command", "java", "workers"), 0.0)
        started = psutil.Process(self.service.process.pid)
        for process in (started, *started.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                kind = (
                    "workers" if process.pid in workers else "java" if process.name() == "java" else "command"
                )
                found[kind] += process.memory_info().rss / 2**20
        return found

    def _stop(self) -> None:
        assert self.service.interrupt() == 0, self.service.text
        assert self.service.left_behind() == []

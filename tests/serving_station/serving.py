"""`serve` in a process of its own with a handler whose workers wait for a file: every order can be forced."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from srec.serve_config import client, ports
from tests.waiting import LIMIT, wait_until

# A worker after the first waits for DOOR/open before it has loaded; a request waits while DOOR/hold exists,
# and DOOR/held-* tells that a worker has it.
GATE = """
import json, os, time
from pathlib import Path

class Gate:
    def initialize(self, context):
        self.door = Path(os.environ["DOOR"])
        others = list(self.door.glob("worker-*"))
        (self.door / f"worker-{os.getpid()}").touch()
        while others and not (self.door / "open").exists():
            time.sleep(0.02)

    def handle(self, rows, context):
        if (self.door / "hold").exists():
            (self.door / f"held-{os.getpid()}").touch()
        while (self.door / "hold").exists():
            time.sleep(0.02)
        return [json.dumps({"worker": os.getpid()}) for _ in rows]
"""

# Serves argv[1] on port argv[2] with argv[3] workers; a line of JSON once ready.
_SERVE = """
import dataclasses, json, sys
from pathlib import Path
import redis
from srec.serve_config.service import serve
from srec.serve_config.staging import graph_of
from srec.stores.record import mark_key

def load(mar, url):
    with redis.Redis.from_url(url) as connection:
        connection.set(mark_key(graph_of(mar)), 0)  # a graph without a row

def tell(info):
    print(json.dumps(dataclasses.asdict(info)), flush=True)

mar, port, workers = sys.argv[1:]
serve(Path(mar), redis_url=None, port=int(port), workers=int(workers), load_neighbours=load, on_ready=tell,
      console=False)
"""


class Child:
    """The process and what its ports say."""

    def __init__(self, mar: Path, temporary: Path, workers: int, **environment: str) -> None:
        (self.port,) = ports.free_ports([None])
        self.temporary = temporary
        temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(mar), str(self.port), str(workers)],
            env=os.environ | {"TMPDIR": str(temporary), "SREC_FREE_PORTS": "1"} | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: list(temporary.glob("srec-*/service.json")) or self.process.poll(), "the start")
        (record,) = temporary.glob("srec-*/service.json")
        self.record: dict[str, Any] = json.loads(record.read_text())
        self.operations = str(self.record["operations_url"])

    def info(self) -> dict[str, Any]:
        """What `serve` told once it was ready."""
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ready(self) -> tuple[int, dict[str, Any]]:
        answer = client.request("GET", f"{self.operations}/ready")
        return answer.status, json.loads(answer.body)

    def predict(self) -> client.Answer:
        return client.post(str(self.record["predictions_url"]), b"{}", timeout=LIMIT)

    def model(self) -> dict[str, Any]:
        """TorchServe's own description, empty while it has none."""
        described = client.get_json(f"{self.record['management_url']}/models/srec")
        return dict(described[0]) if described else {}

    def workers(self, status: str = "READY") -> list[int]:
        return [one["pid"] for one in self.model().get("workers", []) if one["status"] == status]

    def end(self) -> int:
        """Wait for its end, by force after the limit; nothing may be left of it."""
        try:
            code = self.process.wait(LIMIT)
        finally:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        return code

    def left_behind(self) -> list[str]:
        """Command lines of processes that name the service's temporary folder."""
        commands = (one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"]))
        return [" ".join(words) for words in commands if any(str(self.temporary) in word for word in words)]

"""wrk as a client: a core of Python sends some 2,000 requests/s, a core of wrk ten times as many."""

import json
import resource
import shutil
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from srec.errors import HostError

SCRIPT = Path(__file__).resolve().parent.parent / "wrk" / "sessions.lua"


class WrkResult(BaseModel):
    """What wrk saw in one run of a closed loop; latencies are of every answer, right or wrong."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int
    seconds: float
    rate: float
    """Right answers a second."""
    wrong: int
    """Answers with another status than 200, or without items."""
    lost: int
    """Connections refused, broken or timed out."""
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    client_cpu_seconds: float


def find_wrk() -> Path:
    """wrk's executable; ``HostError`` where it is not installed."""
    found = shutil.which("wrk")
    if found is None:
        raise HostError("this measurement needs wrk, which is not on the PATH: apt-get install wrk")
    return Path(found)


def run_wrk(
    url: str, appids: Path, *, connections: int, seconds: float, k: int = 20, seed: int = 0
) -> WrkResult:
    """Keep ``connections`` requests under way for whole ``seconds``; ``appids`` as the script takes it.

    Raises:
        HostError: wrk is not installed, or fails.
    """
    command = [
        *(str(find_wrk()), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"),
        *("-s", str(SCRIPT), url, "--", str(appids), str(k), str(seed)),
    ]
    before = _children_cpu()
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (fixed options)
    if done.returncode != 0:
        raise HostError(f"wrk failed at {url}: {(done.stderr or done.stdout).strip()[-300:]}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return WrkResult(**figures, client_cpu_seconds=_children_cpu() - before)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

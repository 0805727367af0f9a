"""Raw measurements -> figures by step, and the verdict of the thresholds."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from srec.loadtest.samples import Samples
from srec.loadtest.schedule import Step
from srec.loadtest.settings import LoadSettings, Thresholds

BUSY_CLIENT = 0.85  # above this share of a core, a load process measures itself


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Times(_Report):
    """Percentiles in milliseconds: measured times themselves (nearest rank), neither buckets nor means."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


class Check(_Report):
    """One threshold held against one step; ``value`` is None when no request gave one."""

    threshold: str
    limit: float
    value: float | None
    passed: bool


class StepReport(_Report):
    """One measured step, over the requests that were due in it.

    ``latency`` runs from the moment a request was *due*: when the server (or the client) falls behind, the
    wait for a free user counts too, which a closed loop would hide ("coordinated omission"). ``response``
    runs from sending, what Locust shows. The client's timer adds up to about 1 ms to ``latency``: for
    figures of a few milliseconds read ``response``. Both are over right answers only, None without any.
    """

    name: str
    seconds: float
    offered_rate: float | None
    """Requests/s due, on average; None in a closed loop."""
    requests: int
    """Sent."""
    unsent: int
    """Due, but no user was free to send them before the step's backlog was dropped."""
    failures: int
    """Of those sent, not answered right."""
    failure_share: float
    """Failures and unsent ones, of all that were due."""
    faults: dict[str, int]
    rate: float
    """Right answers to the requests due in the step, per second of the step: inputs/s."""
    latency: Times | None
    response: Times | None
    client_cpu_share: float
    """CPU of the load processes, as a share of one core each."""
    judged: bool
    """Whether the thresholds hold for it; ``checks`` is empty where not."""
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every threshold holds."""
        return all(check.passed for check in self.checks)


class Moment(_Report):
    """One second of the measured steps, by the requests that were due in it."""

    second: int
    """Since the first measured step began."""
    requests: int
    failures: int
    latency: Times | None


class Machine(_Report):
    """Where the load came from."""

    cpu: str
    cores: int
    system: str


class LoadReport(_Report):
    """One load test: what was asked, where, with what, and what was seen."""

    format: int = 2
    settings: LoadSettings
    sessions: int
    sessions_sha256: str
    versions: dict[str, str]
    machine: Machine
    started: str
    steps: tuple[StepReport, ...]
    timeline: tuple[Moment, ...]
    warnings: tuple[str, ...]
    passed: bool


def step_reports(samples: Sequence[Samples], settings: LoadSettings) -> tuple[StepReport, ...]:
    """The figures of every measured step."""
    reports, begin = [], 0.0
    for step in settings.steps:
        end = begin + step.seconds
        if step.measured:
            within = [process.due_within(begin, end) for process in samples]
            reports.append(_step_report(step, within, settings))
        begin = end
    return tuple(reports)


def timeline(samples: Sequence[Samples], settings: LoadSettings) -> tuple[Moment, ...]:
    """The measured steps second by second; a last second that is not whole is left out."""
    begin = sum(step.seconds for step in settings.steps if not step.measured)
    seconds = int(sum(step.seconds for step in settings.steps if step.measured))
    moments = []
    for second in range(seconds):
        within = [process.due_within(begin + second, begin + second + 1) for process in samples]
        rows, requests = _right(within), sum(len(process.rows) for process in within)
        moments.append(
            Moment(second=second, requests=requests, failures=requests - len(rows), latency=_latency(rows))
        )
    return tuple(moments)


def warnings_of(steps: Iterable[StepReport]) -> tuple[str, ...]:
    """What makes a step's figures say less than they seem to."""
    found = []
    for step in steps:
        if step.client_cpu_share > BUSY_CLIENT:
            found.append(
                f"{step.name}: the load processes were {step.client_cpu_share:.0%} busy, so the client may "
                "be the limit, not the server: use more processes, or confirm with wrk"
            )
        due = step.requests + step.unsent
        if step.unsent > 0.01 * due:
            sent = step.requests / due
            found.append(f"{step.name}: only {sent:.1%} of the offered requests could be sent in time")
    return tuple(found)


def machine() -> Machine:
    """Facts about this machine."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cpu = names[0] if names else platform.processor() or platform.machine()
    return Machine(cpu=cpu, cores=os.cpu_count() or 1, system=platform.platform())


def _step_report(step: Step, samples: list[Samples], settings: LoadSettings) -> StepReport:
    rows = _right(samples)
    requests = sum(len(process.rows) for process in samples)
    unsent = max(0, step.arrivals - requests)
    failures = requests - len(rows)
    share, rate = (failures + unsent) / max(1, requests + unsent), len(rows) / step.seconds
    latency = _latency(rows)
    busy = sum(float(np.ptp(process.column("cpu"))) for process in samples if len(process.rows))
    return StepReport(
        name=step.name,
        seconds=step.seconds,
        offered_rate=step.mean_rate,
        requests=requests,
        unsent=unsent,
        failures=failures,
        failure_share=share,
        faults=_faults(samples),
        rate=rate,
        latency=latency,
        response=_times(rows[:, 2]),
        client_cpu_share=busy / step.seconds / settings.processes,
        judged=step.judged,
        checks=_checks(settings.thresholds, latency, rate, share if requests else None)
        if step.judged
        else (),
    )


def _right(samples: Sequence[Samples]) -> npt.NDArray[np.float64]:
    """The rows of right answers, float64 [requests, 5]."""
    right = [process.rows[process.column("fault") == 0] for process in samples]
    return np.concatenate(right) if right else np.empty((0, 5))


def _latency(rows: npt.NDArray[np.float64]) -> Times | None:
    """From due to answered."""
    due, sent, response = rows[:, 0], rows[:, 1], rows[:, 2]
    return _times(sent - due + response)


def _times(seconds: npt.NDArray[np.float64]) -> Times | None:
    if len(seconds) == 0:
        return None
    p50, p90, p99, top = np.percentile(seconds * 1000, (50, 90, 99, 100), method="inverted_cdf").tolist()
    return Times(p50_ms=p50, p90_ms=p90, p99_ms=p99, max_ms=top)


def _faults(samples: Iterable[Samples]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for process in samples:
        kinds = np.bincount(process.column("fault").astype(np.int64), minlength=1).tolist()
        counts.update({process.faults[kind]: n for kind, n in enumerate(kinds) if kind and n})
    return dict(counts.most_common())


def _checks(
    thresholds: Thresholds, latency: Times | None, rate: float, share: float | None
) -> tuple[Check, ...]:
    values = {
        "max_p50_ms": latency.p50_ms if latency else None,
        "max_p90_ms": latency.p90_ms if latency else None,
        "max_p99_ms": latency.p99_ms if latency else None,
        "min_rate": rate,
        "max_failure_share": share,
    }
    return tuple(
        Check(threshold=name, limit=limit, value=values[name], passed=_holds(name, limit, values[name]))
        for name, limit in thresholds.model_dump().items()
        if limit is not None
    )


def _holds(name: str, limit: float, value: float | None) -> bool:
    if value is None:
        return False
    return value >= limit if name.startswith("min_") else value <= limit

"""Services measured by turns, slice by slice: on a shared machine only such ratios mean anything."""

import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import srec
from srec.errors import SrecError
from srec.loadtest.report import machine
from srec.loadtest.service.levers import SHIPPED, Lever, Mode
from srec.loadtest.service.servers import Running, Stand, cpu_per_request
from srec.loadtest.service.wrk import find_wrk, run_wrk

CONNECTIONS: dict[Mode, int] = {"busy": 32, "lone": 1, "crowd": 512}
QUANTITY: dict[Mode, str] = {"busy": "rate", "lone": "p50_ms", "crowd": "p99_ms"}
NOOP = Lever(
    "no-op",
    "a handler that answers a constant of the same size",
    handler=Path(__file__).resolve().parent.parent / "noop" / "noop_handler.py",
)

Progress = Callable[[str], None]
Figures = dict[str, Any]


def compare(
    mar: Path, levers: Sequence[Lever], *, workers: int, pairs: int, seconds: float, progress: Progress
) -> Figures:
    """Measure each lever's service against the shipped one, which runs beside it, ``pairs`` times by turns.

    Args:
        mar: the archive that is served.
        levers: what is changed, one a row.
        workers: worker processes of a service.
        pairs: slices of each of the two, in each mode.
        seconds: length of a slice; the first of a service is a warm-up of its own.
        progress: called with a line when something begins.

    Returns:
        ``rows`` and ``skipped``; a ratio is the changed service's figure over the shipped one's.
    """
    find_wrk()
    rows: list[Figures] = []
    skipped: list[Figures] = []
    with Stand(mar, workers) as stand, stand.serve(SHIPPED) as shipped:
        turns = _Turns(stand, shipped, pairs, seconds)
        turns.warm_up(shipped)
        for number, lever in enumerate(levers, start=1):
            progress(f"{number} of {len(levers)}, {lever.name}: {lever.what}")
            try:
                with stand.serve(lever) as changed:
                    turns.warm_up(changed)
                    rows += [turns.row(lever, mode, changed) for mode in lever.modes]
            except SrecError as error:
                skipped.append({"lever": lever.name, "reason": str(error)})
    return {
        "format": 1,
        "mar_version": stand.version,
        "workers": workers,
        "pairs": pairs,
        "seconds": seconds,
        "srec": srec.__version__,
        "python": platform.python_version(),
        "machine": machine().model_dump(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
        "skipped": skipped,
    }


class _Turns:
    """The shipped service, and how it takes turns with another."""

    def __init__(self, stand: Stand, shipped: Running, pairs: int, seconds: float) -> None:
        self._stand = stand
        self._shipped = shipped
        self._pairs = pairs
        self._seconds = seconds

    def warm_up(self, running: Running) -> None:
        """Let Java compile what it will run."""
        self._slice(running, "busy", 2 * self._seconds, seed=0)

    def row(self, lever: Lever, mode: Mode, changed: Running) -> Figures:
        """Measure one mode; who begins changes from pair to pair."""
        slices: dict[str, list[Figures]] = {"shipped": [], "changed": []}
        for pair in range(self._pairs):
            turns = [("shipped", self._shipped), ("changed", changed)]
            for name, running in turns if pair % 2 == 0 else turns[::-1]:
                slices[name].append(self._slice(running, mode, self._seconds, seed=pair))
        quantity = QUANTITY[mode]
        return {
            "lever": lever.name,
            "what": lever.what,
            "shipped": lever.shipped,
            "mode": mode,
            "quantity": quantity,
            "ratio": _ratio(slices, lambda one: float(one[quantity])),
            "cpu_ratio": _ratio(slices, _service_cpu),
            "slices": slices,
        }

    def _slice(self, running: Running, mode: Mode, seconds: float, seed: int) -> Figures:
        before = running.cpu_seconds()
        seen = run_wrk(
            running.url, self._stand.appids, connections=CONNECTIONS[mode], seconds=seconds, seed=seed
        )
        cpu = cpu_per_request(before, running.cpu_seconds(), seen.requests)
        client = 1000 * seen.client_cpu_seconds / max(1, seen.requests)
        return {**seen.model_dump(), "cpu_ms_a_request": {**cpu, "client": client}}


def _service_cpu(one: Figures) -> float:
    """CPU a request of Java and the workers: what a lever costs, even where other programs take the time."""
    cpu = one["cpu_ms_a_request"]
    return float(cpu["java"] + cpu["workers"])


def _ratio(slices: Mapping[str, Sequence[Figures]], of: Callable[[Figures], float]) -> Figures | None:
    """The changed service's figure over the shipped one's, pair by pair; None where none was measured."""
    pairs = zip(slices["shipped"], slices["changed"], strict=True)
    ratios = [of(changed) / of(shipped) for shipped, changed in pairs if of(shipped)]
    if not ratios:
        return None
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}

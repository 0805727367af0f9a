"""Markdown of what was compared."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from srec.loadtest.service.compare import CONNECTIONS
from srec.loadtest.service.levers import Mode

Figures = Mapping[str, Any]
MODES: tuple[Mode, ...] = ("busy", "lone", "crowd")


def levers_table(figures: Figures) -> str:
    """One line a lever: the changed service's figure over the shipped one's, median and range.

    Above 1 is better for inputs/s, and worse for CPU a request (of Java and the workers) and for latencies.
    """
    head = ["lever", "changed to", "shipped?", "inputs/s", "CPU a request", "lone p50", "p99 of a crowd"]
    names = dict.fromkeys(row["lever"] for row in figures["rows"])
    lines = []
    for name in names:
        rows = {row["mode"]: row for row in figures["rows"] if row["lever"] == name}
        first = next(iter(rows.values()))
        kept = "yes, this is without" if first["shipped"] else "no, this is with"
        busy, lone, crowd = (rows.get(mode, {}) for mode in MODES)
        ratios = (busy.get("ratio"), busy.get("cpu_ratio"), lone.get("ratio"), crowd.get("ratio"))
        lines.append([name, first["what"], kept, *map(_ratio, ratios)])
    how = (
        "Ratios: with the change, over as shipped. Above 1 is better for inputs/s and worse for the others; "
        "CPU is that of Java and the workers."
    )
    notes = [f"Skipped: {one['lever']}: {one['reason']}" for one in figures["skipped"]]
    return "\n\n".join([_markdown(head, lines), how, _conditions(figures), *notes]) + "\n"


def baseline_table(figures: Figures) -> str:
    """Ours and the no-op model: inputs/s, latency, CPU a request by process."""
    head = [
        "model", "connections", "inputs/s", "p50 ms", "p90 ms", "p99 ms",
        "Java ms CPU", "worker ms CPU", "Redis ms CPU", "client ms CPU",
    ]  # fmt: skip
    lines = []
    for row in figures["rows"]:
        for name, key in (("ours", "shipped"), (row["lever"], "changed")):
            slices = row["slices"][key]
            times = [f"{_median(one[p] for one in slices):.2f}" for p in ("p50_ms", "p90_ms", "p99_ms")]
            cpu = [
                f"{_median(one['cpu_ms_a_request'][part] for one in slices):.3f}"
                for part in ("java", "workers", "redis", "client")
            ]
            rate = f"{_median(one['rate'] for one in slices):.0f}"
            lines.append([name, str(CONNECTIONS[row["mode"]]), rate, *times, *cpu])
    return "\n\n".join([_markdown(head, lines), _conditions(figures)]) + "\n"


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _ratio(ratio: Figures | None) -> str:
    return f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio else "-"


def _conditions(figures: Figures) -> str:
    machine = figures["machine"]
    return (
        f"{figures['pairs']} pairs of {figures['seconds']:g} s by turns, {figures['workers']} workers, wrk "
        f"and the service on the same {machine['cores']} cores ({machine['cpu']}), {figures['finished']}."
    )


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)

"""Figures of the training benchmark -> JSON and Markdown.

``step_seconds``: the median over the rounds of the mean step of a round. ``ratio``: the reference's mean step
over ours in the same round, the median over the rounds; its spread is from the smallest to the largest.
``peak_memory_bytes``: the most that the row's process has held in memory, its data included; of the reference
without the four processes that load its batches.
"""

from pathlib import Path
from typing import Any

from srec.io import new_file, write_json

COLUMNS = (
    "row",
    "ms a step",
    "rounds",
    "p10 / p50 / p90",
    "examples/s",
    "minutes an epoch",
    "peak MB",
    "times faster",
    "spread",
)


def training_cells(row: dict[str, Any]) -> list[str]:
    """A row as text, under COLUMNS."""
    ratios = row.get("ratio_of_each_round")
    return [
        row["row"],
        _ms(row["step_seconds"]),
        f"{_ms(min(row['mean_of_each_round']))}-{_ms(max(row['mean_of_each_round']))}",
        " / ".join(_ms(seconds) for seconds in row["step_quantiles"]),
        f"{row['examples_per_s']:,.0f}",
        f"{row['epoch_seconds'] / 60:.1f}",
        f"{row['peak_memory_bytes'] / 2**20:,.0f}",
        f"{row['ratio']:.1f}" if ratios else "",
        f"{min(ratios):.1f}-{max(ratios):.1f}" if ratios else "",
    ]


def write_training_report(folder: Path, name: str, figures: dict[str, Any], command: str) -> Path:
    """Write ``NAME.json`` and ``NAME.md``; returns the latter."""
    machine, versions, run = figures["machine"], figures["versions"], figures["settings"]
    counts = figures["data"]["counts"]
    lines = [
        f"# Training speed: {name}",
        "",
        f"    {command}",
        "",
        f"{run['model']}, preset {run['preset']}, batches of {run['training']['batch_size']}, "
        f"{figures['threads']} threads, {figures['rounds']} rounds by turns, a process a row; "
        f"{counts['items']:,} items, {figures['rows'][0]['examples']:,} examples. "
        f"Parameters: {_listed(run['parameters'])}.",
        f"Machine: {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"{machine['system']}; Python {machine['python']}, {_listed(versions)}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + " --- |" + " ---: |" * (len(COLUMNS) - 1),
        *(f"| {' | '.join(training_cells(row))} |" for row in figures["rows"]),
    ]
    write_json(folder / f"{name}.json", {"command": command, **figures})
    with new_file(folder / f"{name}.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n")
    return folder / f"{name}.md"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.1f}"


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())

"""Figures of the benchmarks -> Markdown and a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srec.errors import HostError
from srec.io import new_file, write_json

MODEL_COLUMNS = (
    "row",
    "seconds",
    "inputs/s",
    "model only",
    "+ preprocessing",
    "+ top-k",
    "x eager",
    "spread",
    "p50 ms",
    "p99 ms",
    "of a table read",
    "same order",
    "strict",
    "near ties",
    "rank move",
    "memory MB",
    "peak MB",
)
GROWTH_COLUMNS = (
    "items",
    "D",
    "row",
    "batch",
    "ms an input",
    "x eager",
    "of a table read",
    "same order",
    "p50 ms",
    "p99 ms",
    "memory MB",
    "peak MB",
)


def model_cells(row: dict[str, Any]) -> list[str]:
    """A row of the model benchmark as text, under MODEL_COLUMNS."""
    low, high = min(row["ratio_of_each_run"]), max(row["ratio_of_each_run"])
    return [
        row["backend"],
        " ".join(f"{seconds:.2f}" for seconds in row["seconds"]),
        f"{row['inputs_per_s']:.1f}",
        f"{row['model_only_inputs_per_s']:.1f}",
        f"{row['with_preprocessing_inputs_per_s']:.1f}",
        f"{row['with_top_k_inputs_per_s']:.1f}",
        f"{row['ratio']:.2f}",
        f"{low:.2f}-{high:.2f}",
        f"{row['p50_ms']:.2f}",
        f"{row['p99_ms']:.2f}",
        f"{row['of_one_table_read']:.2f}",
        *(_share(row.get(name)) for name in ("same_order", "same_order_strict", "near_ties")),
        str(row.get("largest_rank_move", "")),
        _megabytes(row["memory_bytes"]),
        _megabytes(row["peak_memory_bytes"]),
    ]


def growth_cells(row: dict[str, Any]) -> list[str]:
    """A row of the growth benchmark as text, under GROWTH_COLUMNS."""
    ratio, read = row["ratio"], row["of_one_table_read"]
    return [
        f"{row['items']:,}",
        str(row["dim"]),
        row["backend"],
        str(row["batch"]),
        f"{row['ms_per_input']:.3f}",
        "" if ratio is None else f"{ratio:.2f}",
        "" if read is None else f"{read:.2f}",
        _share(row["same_order_strict"]),
        f"{row['p50_ms']:.2f}",
        f"{row['p99_ms']:.2f}",
        _megabytes(row["memory_bytes"]),
        _megabytes(row["peak_memory_bytes"]),
    ]


def write_model_report(folder: Path, figures: dict[str, Any]) -> Path:
    """Write ``model-dD[-no-avx2].json``, ``.md`` and ``.png``; returns the Markdown's path."""
    model, settings, machine = figures["model"], figures["settings"], figures["machine"]
    suffix = "" if settings["cpu"] == "native" else f"-{settings['cpu']}"
    name = f"model-d{model['dim']}{suffix}"
    table = figures["table_read"]
    lines = [
        f"# Model benchmark, D {model['dim']}{suffix.replace('-', ' ', 1)}",
        "",
        f"{settings['inputs']:,} inputs of {settings['clicks']} after {settings['warmup']:,} of warm-up, "
        f"{settings['runs']} interleaved runs, {settings['threads']} thread, batch {settings['batch']}, "
        f"top-{settings['k']}; a process a row.",
        f"Model: {model['source']}; {model['items']:,} items, D {model['dim']}, "
        f"{model['parameters']:,} parameters, {model['parameters_beside_tables']:,} beside the tables.",
        f"Machine: {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB; "
        f"one read of the float32 item table ({_megabytes(table['bytes'])} MB) takes "
        f"{table['fastest']:.2f} ms (sum {table['sum']:.2f}, product with a vector {table['product']:.2f}).",
        "",
        "`inputs/s` counts everything, appids to top-20; `model only`, `+ preprocessing` and `+ top-k` count "
        "these stages alone (SRec's table is `model only`).",
        "",
        *_markdown(MODEL_COLUMNS, [model_cells(row) for row in figures["rows"]]),
        *_skipped(figures["skipped"]),
    ]
    write_json(folder / f"{name}.json", figures)
    _write_text(folder / f"{name}.md", lines)
    labels = [row["backend"] for row in figures["rows"]]
    _plot_bars(folder / f"{name}.png", lines[0].lstrip("# "), labels, figures["rows"])
    return folder / f"{name}.md"


def write_growth_report(folder: Path, figures: dict[str, Any]) -> Path:
    """Write ``growth.json``, ``.md`` and ``.png``; returns the Markdown's path."""
    machine = figures["machine"]
    lines = [
        "# Growth of the catalogue",
        "",
        "Synthetic models, 1 to 5 random appids an input, one thread, a process a row, appids to top-20.",
        f"Machine: {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB.",
        "",
        *_markdown(GROWTH_COLUMNS, [growth_cells(row) for row in figures["rows"]]),
        *_skipped(figures["skipped"]),
    ]
    write_json(folder / "growth.json", figures)
    _write_text(folder / "growth.md", lines)
    _plot_growth(folder / "growth.png", figures["rows"])
    return folder / "growth.md"


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    line = "|" + " --- |" + " ---: |" * (len(columns) - 1)
    return [f"| {' | '.join(columns)} |", line, *(f"| {' | '.join(row)} |" for row in rows)]


def _skipped(skipped: Sequence[dict[str, Any]]) -> list[str]:
    if not skipped:
        return []
    return ["", "Skipped:", "", *(f"- {row['backend']}: {row['reason']}" for row in skipped)]


def _write_text(path: Path, lines: Sequence[str]) -> None:
    with new_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def _plot_bars(path: Path, title: str, labels: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Milliseconds an input by stage, a bar a row."""
    figure = _figure()
    axes = figure.add_subplot()
    left = [0.0] * len(rows)
    for stage in ("graph", "store", "model", "top_k"):
        each = [1000 * sum(run[stage] for run in row["stage_seconds"]) / sum(row["inputs"]) for row in rows]
        axes.barh(labels, each, left=left, label=stage.replace("_", "-"))
        left = [begin + more for begin, more in zip(left, each, strict=True)]
    for place, (end, row) in enumerate(zip(left, rows, strict=True)):
        axes.text(end, place, f" x{row['ratio']:.2f}", va="center")
    axes.invert_yaxis()
    axes.set(title=title, xlabel="milliseconds an input, one thread, batch 1 (mean)")
    axes.margins(x=0.12)
    axes.legend()
    _save(figure, path)


def _plot_growth(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Milliseconds an input against items, a line a row and batch size."""
    figure = _figure()
    axes = figure.add_subplot()
    for backend, batch in sorted({(row["backend"], row["batch"]) for row in rows}):
        points = [row for row in rows if (row["backend"], row["batch"]) == (backend, batch)]
        points.sort(key=lambda row: int(row["items"]))
        axes.plot(
            [row["items"] for row in points],
            [row["ms_per_input"] for row in points],
            marker="o",
            linestyle="-" if batch == 1 else "--",
            label=f"{backend}, batch {batch}",
        )
    axes.set(xscale="log", yscale="log", xlabel="items", ylabel="milliseconds an input, one thread")
    axes.set_title("Growth of the catalogue")
    axes.grid(True, which="both", alpha=0.3)
    if rows:
        axes.legend()
    _save(figure, path)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # extra `bench`
    except ImportError as error:
        raise HostError(f"the plot needs matplotlib ({error}): pip install 'srec[bench]'") from error
    return Figure(figsize=(10, 5), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    with new_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})


def _megabytes(count: float) -> str:
    return f"{count / 2**20:.0f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"

"""bench: what an input costs, clicks to top-20, by backend."""

from pathlib import Path
from typing import Annotated

import typer

from srec.cli.console import note, save_json, table

bench = typer.Typer(
    help="Benchmarks: ratios of backends measured in one run, interleaved.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(bench, name="bench")


@bench.callback()
def _group() -> None:
    """Benchmarks."""


@bench.command("model")
def bench_model(
    run: Annotated[Path, typer.Option(help="Folder that `srec train` wrote.")],
    inputs: Annotated[int, typer.Option(min=1, help="Inputs of 1 to 5 random games.")] = 10_000,
    warmup: Annotated[int, typer.Option(min=0, help="Inputs before the clock starts.")] = 1_000,
    runs: Annotated[int, typer.Option(min=1, help="Interleaved runs of each backend.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """SRec's table: one thread, batch 1, with preprocessing and top-k included."""
    from srec.evaluation.bench import measure_backends
    from srec.training.run import Run

    figures = measure_backends(Run(run), inputs, warmup, runs, note)
    save_json(json_file, figures)
    rows = [
        [
            row["backend"],
            f"{row['inputs_per_s']:.1f}",
            f"{row['model_only_inputs_per_s']:.1f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{row['same_order']:.4f}",
        ]
        for row in figures["rows"]
    ]
    columns = ["backend", "inputs/s", "model only", "p50 ms", "p99 ms", "same order"]
    table(f"D {figures['dim']}, {figures['items']} items", columns, rows)
    for skipped in figures["skipped"]:
        note(f"skipped {skipped['backend']}: {skipped['reason']}")

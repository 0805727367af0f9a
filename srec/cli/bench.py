"""bench: what an input costs, appids to top-20, by backend, by size, with and without AVX2."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from srec.cli.console import note, save_json, table

bench = typer.Typer(
    help="Benchmarks: ratios of backends measured in one run, interleaved.", no_args_is_help=True
)


class CpuChoice(StrEnum):
    """Which instructions the libraries may use."""

    native = "native"
    no_avx2 = "no-avx2"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(bench, name="bench")


@bench.callback()
def _group() -> None:
    """Benchmarks."""


@bench.command("model")
def bench_model(
    inputs: Annotated[int, typer.Option(min=1, help="Inputs of 1 to 5 random games.")] = 10_000,
    warmup: Annotated[int, typer.Option(min=0, help="Inputs before the clock starts.")] = 1_000,
    runs: Annotated[int, typer.Option(min=1, help="Interleaved runs of each backend.")] = 3,
    dim: Annotated[int, typer.Option(min=8, max=4096, help="Width of the synthetic model.")] = 352,
    items: Annotated[int, typer.Option(min=100, help="Items of the synthetic model.")] = 42_429,
    run: Annotated[Path | None, typer.Option(help="Measure this trained run instead.")] = None,
    backends: Annotated[str, typer.Option(help="Rows, comma between; default: all. Eager always.")] = "",
    cpu: Annotated[CpuChoice, typer.Option(help="Limit every library's instructions.")] = CpuChoice.native,
    limit: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds after which a run of a row stops early.")
    ] = None,
    ipex_python: Annotated[
        Path, typer.Option(help="Python of IPEX's environment (results/bench/ipex.sh makes it).")
    ] = Path(".venv-ipex/bin/python"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write JSON, Markdown and a plot there.")] = None,
) -> None:
    """SRec's table made whole: one thread, batch 1, preprocessing and exact top-20 included."""
    from srec.bench.backends import check, names
    from srec.bench.model import Settings, measure_model
    from srec.bench.report import MODEL_COLUMNS, model_cells, write_model_report
    from srec.bench.subject import synthetic
    from srec.bench.trained import trained

    rows = check([name.strip() for name in backends.split(",") if name.strip()] or names())
    own = ipex_python.absolute() if ipex_python.is_file() else None
    settings = Settings(rows, inputs, warmup, runs, cpu.value, limit, own)
    subject = trained(run) if run is not None else synthetic(items, dim)
    figures = measure_model(subject, settings, note, lambda partial: save_json(json_file, partial))
    model = figures["model"]
    title = f"D {model['dim']}, {model['items']} items, {model['parameters']} parameters; inputs/s"
    shown = [0, 2, 3, 4, 5, 6, 8, 9, 11, 14]
    cells = [model_cells(row) for row in figures["rows"]]
    table(title, [MODEL_COLUMNS[i] for i in shown], [[row[i] for i in shown] for row in cells])
    for skipped in figures["skipped"]:
        note(f"skipped {skipped['backend']}: {skipped['reason']}")
    if report is not None:
        note(f"wrote {write_model_report(report, figures)}")

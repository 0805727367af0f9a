"""bench: what an input costs, appids to top-20, by backend, by size, with and without AVX2."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

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
    from srec.bench.trained import trained_by_gradient
    from srec.training.run import Run

    rows = check([name.strip() for name in backends.split(",") if name.strip()] or names())
    own = ipex_python.absolute() if ipex_python.is_file() else None
    settings = Settings(rows, inputs, warmup, runs, cpu.value, limit, own)
    subject = trained_by_gradient(Run(run)) if run is not None else synthetic(items, dim)
    figures = measure_model(subject, settings, note, _saver(json_file))
    model = figures["model"]
    title = f"D {model['dim']}, {model['items']} items, {model['parameters']} parameters; inputs/s"
    shown = [0, 2, 3, 4, 5, 6, 8, 9, 11, 14]
    cells = [model_cells(row) for row in figures["rows"]]
    table(title, [MODEL_COLUMNS[i] for i in shown], [[row[i] for i in shown] for row in cells])
    for skipped in figures["skipped"]:
        note(f"skipped {skipped['backend']}: {skipped['reason']}")
    if report is not None:
        note(f"wrote {write_model_report(report, figures)}")


@bench.command("growth")
def bench_growth(
    sizes: Annotated[
        str, typer.Option(help="Sizes as ITEMSxDIM, comma between; default: 10 thousand to 10 million.")
    ] = "",
    backends: Annotated[str, typer.Option(help="Rows, comma between. Eager always.")] = "torchscript,fast",
    inputs: Annotated[int, typer.Option(min=1, help="At most so many inputs a row and batch size.")] = 2000,
    limit: Annotated[float, typer.Option(min=0.1, help="Seconds at most a row and batch size.")] = 10.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures there; one broken off goes on.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write JSON, Markdown and a plot there.")] = None,
) -> None:
    """Time and memory an input from 10 thousand to 10 million items, at batch 1 and 32."""
    from srec.bench.backends import check
    from srec.bench.growth import SIZES, Growth, Settings
    from srec.bench.report import GROWTH_COLUMNS, growth_cells, write_growth_report
    from srec.io import read_json

    rows = check([name.strip() for name in backends.split(",") if name.strip()])
    wanted = [_size(text) for text in sizes.split(",") if text.strip()] or list(SIZES)
    settings = Settings(rows, wanted, inputs, limit)
    earlier = read_json(json_file) if json_file is not None and json_file.is_file() else {}
    growth = Growth(settings, note, _saver(json_file))
    growth.go_on_from(earlier)
    figures = growth.measure()
    table("One thread", list(GROWTH_COLUMNS), [growth_cells(row) for row in figures["rows"]])
    for skipped in figures["skipped"]:
        note(f"skipped {skipped['backend']} at {skipped['items']} items: {skipped['reason']}")
    if report is not None:
        note(f"wrote {write_growth_report(report, figures)}")


@bench.command("order")
def bench_order(
    run: Annotated[Path, typer.Option(help="Folder that `srec train` wrote.")],
    backend: Annotated[str, typer.Option(help="Row of `srec bench model` to compare with eager.")] = "fast",
    sessions: Annotated[int, typer.Option(min=1, help="Real sessions, evenly drawn.")] = 100_000,
    data: Annotated[Path | None, typer.Option(help="The run's DATA, where it has moved.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Compare a backend's top-20 with the trained model's, to the last place; exits with 1 if they differ."""
    import torch

    from srec.bench.backends import EAGER, check
    from srec.bench.order import check_order
    from srec.cli.progress import bar
    from srec.errors import InputError
    from srec.training.run import Run

    if check([backend]) == [EAGER]:
        raise InputError("eager is what a backend is compared with: name another row with --backend")
    torch.set_num_threads(1)
    with bar("comparing") as (progress, task):
        figures = check_order(
            Run(run), backend, sessions, data, lambda n, of: progress.update(task, completed=n, total=of)
        )
    save_json(json_file, figures)
    kept = ("sessions", "same", "near_ties", "different", "largest_relative_difference", "fallbacks")
    table(f"top-20 of {backend} against eager", ["what", ""], [[k, str(figures[k])] for k in kept])
    if figures["different"]:
        raise typer.Exit(1)


@bench.command("variants")
def bench_variants(
    run: Annotated[Path, typer.Option(help="A trained run of gce-gnn with one hop.")],
    data: Annotated[Path | None, typer.Option(help="The run's DATA, where it has moved.")] = None,
    inputs: Annotated[int, typer.Option(min=1, help="Validation examples that are timed.")] = 1000,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Cached neighbours and a distilled head beside the exact model: milliseconds against quality."""
    from srec.bench.variants import measure_variants
    from srec.training.run import Run

    figures = measure_variants(Run(run), data, inputs, note)
    save_json(json_file, figures)
    cells = [
        [row["variant"], *(f"{row[key]:.4f}" for key in ("ms", "p@20", "mrr@20", "top20_kept"))]
        for row in figures["rows"]
    ]
    table("validation", ["variant", "ms an input", "P@20", "MRR@20", "of the exact top-20"], cells)


@bench.command("recipe")
def bench_recipe(
    run: Annotated[Path, typer.Option(help="A trained run of gce-gnn, scoring=dot.")],
    out: Annotated[Path | None, typer.Option(help="Write the recipe there.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the comparison there.")] = None,
) -> None:
    """Read a trained model's recipe, and compare it with synthetic models of the committed recipe."""
    import numpy as np

    from srec.bench.recipe import learn, portrait
    from srec.bench.synthetic import ITEMS, synthetic_model
    from srec.training.run import Run

    source = Run(run)
    clicks = np.array(source.items()["train_clicks"].to_pylist(), dtype=np.int64)
    model = source.model().requires_grad_(False)
    recipe, trained = learn(model, source.graph(), clicks, source.digest)
    if out is not None:
        save_json(out, recipe.model_dump())
    portraits = {"trained": trained}
    for items, dim in ((recipe.items, recipe.dim), (ITEMS, 352), (ITEMS, 256), (ITEMS, 100)):
        note(f"synthetic model, {items} items, D {dim}")
        portraits[f"synthetic {items} x {dim}"] = portrait(*synthetic_model(items, dim))
    save_json(json_file, portraits)
    rows = [[what, *(_compact(found[what]) for found in portraits.values())] for what in trained]
    table("Trained and synthetic", ["what", *portraits], rows)


def _compact(value: Any) -> str:
    return " ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _saver(path: Path | None) -> Callable[[Any], None]:
    """Write figures so far, without a word."""
    from srec.io import write_json

    return (lambda figures: write_json(path, figures)) if path is not None else (lambda _: None)


def _size(text: str) -> tuple[int, int]:
    from srec.errors import InputError

    items, _, dim = text.strip().partition("x")
    if not (items.isdecimal() and dim.isdecimal() and int(items) >= 100 and 8 <= int(dim) <= 4096):
        raise InputError(
            f'"{text.strip()}" is no size: write ITEMSxDIM, such as 100000x352; '
            "at least 100 items, D from 8 to 4096"
        )
    return int(items), int(dim)

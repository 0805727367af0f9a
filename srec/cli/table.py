"""table: every row of a table of models, from a YAML."""

from pathlib import Path
from typing import Annotated

import typer

from srec.cli.console import note
from srec.errors import SrecError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(table)


def table(
    config: Annotated[Path, typer.Option(help="The table's YAML, such as results/papers.yaml.")],
    data_root: Annotated[Path, typer.Option(help="Folder that the YAML's files are named from.")] = Path(),
    work: Annotated[
        Path | None,
        typer.Option(help="Scratch folder; unset: work/NAME. Keep it to resume, remove it at the end."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results; unset: the YAML's name without its ending.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Label of a row; repeat. Unset: all rows.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="A data set; repeat. Unset: all.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="At most so many seeds of a row now.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin nothing new after so long; 0 writes the page only.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; unset: one for each core.")] = None,
) -> None:
    """Prepare, train and evaluate every row; resumes where it stopped. Writes JSON, Markdown and plots."""
    from srec.tables.config import read_config
    from srec.tables.results import Results
    from srec.tables.runner import Limits, TableRunner
    from srec.tables.work import Work

    described = read_config(config)
    for label in only or ():
        described.row(label)
    described.check_datasets(dataset or ())
    folder = out or config.with_suffix("")
    results = Results(folder, described, f"srec table --config {config} --data-root ROOT")
    limits = Limits(tuple(only or ()), tuple(dataset or ()), seeds, minutes, threads)
    runner = TableRunner(
        described, Work(work or Path("work") / config.stem, data_root), results, limits, note
    )
    runner.run()
    note(f"wrote {folder / 'table.md'}")
    if runner.failures:
        raise SrecError(f"{len(runner.failures)} of the steps failed:\n" + "\n".join(runner.failures))

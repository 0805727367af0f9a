"""evaluate, compare and stability: how good answers are, and how steady."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from srec.cli.console import note, save_json, table
from srec.cli.progress import bar
from srec.errors import InputError, nearest

SPLITS: Final = ("validation", "test")
SplitOption = Annotated[str, typer.Option(help="validation or test.")]
DataOption = Annotated[Path | None, typer.Option(help="DATA, where it has moved since training.")]
ClickedOption = Annotated[
    bool | None,
    typer.Option(
        "--exclude-clicked/--keep-clicked",
        help="Clicked games out of the answers, or in; unset: out for reviews, in for session files.",
    ),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures there.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; unset: one for each core.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(evaluate)
    app.command()(compare)
    app.command()(stability)


def evaluate(
    run: Annotated[Path | None, typer.Option(help="Folder that `srec train` wrote.")] = None,
    artifact: Annotated[
        Path | None, typer.Option(help="Instead: folder that `srec export` wrote, asked as the service is.")
    ] = None,
    split: SplitOption = "validation",
    data: DataOption = None,
    exclude_clicked: ClickedOption = None,
    threads: ThreadsOption = None,
    json_file: JsonOption = None,
    ranks_file: Annotated[
        Path | None, typer.Option("--ranks", help="Write every example's rank there, for `srec compare`.")
    ] = None,
) -> None:
    """Measure answers: P, MRR and NDCG at 5, 10 and 20, by length, beyond accuracy, with intervals and ms."""
    check_split(split)
    if (run is None) == (artifact is None):
        raise InputError("evaluate takes either --run RUN or --artifact ARTIFACT")
    _threads(threads)
    with bar("ranking") as (progress, task):

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if run is not None:
            figures, ranks = _of_run(run, split, data, exclude_clicked, told)
        else:
            figures, ranks = _of_artifact(artifact, split, data, exclude_clicked, told)
    save_json(json_file, figures)
    if ranks_file is not None:
        ranks.save(ranks_file)
        note(f"wrote {ranks_file}")
    _show_figures(figures)


def compare(
    run: Annotated[
        list[Path], typer.Option(help="A run, or a file of `srec evaluate --ranks`; repeat for more seeds.")
    ],
    against: Annotated[list[Path], typer.Option("--with", help="What to compare with, likewise.")],
    split: SplitOption = "validation",
    exclude_clicked: ClickedOption = None,
    json_file: JsonOption = None,
) -> None:
    """The difference of two models on the same examples, with the paired bootstrap's intervals."""
    check_split(split)
    from srec.evaluation.compare import compare as paired
    from srec.evaluation.compare import measure

    measured = []
    for path in (*run, *against):
        with bar(f"ranking {path.name}") as (progress, task):
            measured.append(
                measure(
                    path,
                    split,
                    exclude_clicked,
                    lambda done, total: progress.update(task, completed=done, total=total),
                )
            )
    figures = paired(measured[: len(run)], measured[len(run) :])
    save_json(json_file, figures)
    rows = [
        [
            name,
            f"{one['first']:.4f}",
            f"{one['second']:.4f}",
            f"{one['difference']:+.4f}",
            "{:+.4f} - {:+.4f}".format(*one["interval_95"]),
            f"{one['p']:.3f}",
        ]
        for name, one in figures.items()
    ]
    names = [measured[0].facts["model"], measured[-1].facts["model"]]
    table(f"{names[0]} with {names[1]}", ["metric", *names, "difference", "95 %", "p"], rows)


def stability(
    run: Annotated[list[Path], typer.Option(help="A run; repeat for the same model with other seeds.")],
    split: SplitOption = "test",
    sessions: Annotated[int, typer.Option(min=1, help="Sessions of the split that are changed.")] = 1000,
    data: DataOption = None,
    threads: ThreadsOption = None,
    json_file: JsonOption = None,
) -> None:
    """How much answers change with one click more, one less, two swapped, and with another seed."""
    check_split(split)
    _threads(threads)
    from srec.evaluation.stability_report import stability_of_runs
    from srec.training.run import Run

    with bar("answering") as (progress, task):
        figures = stability_of_runs(
            [Run(path) for path in run],
            split,
            sessions,
            data,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    save_json(json_file, figures)
    rows = [
        [kind, str(one["sessions"]), *(_with_interval(one, name) for name in ("rbo", "jaccard@10"))]
        for kind in ("add", "remove", "swap", "seed")
        if (one := figures[kind])
    ]
    table(f"{figures['model']} on {split}", ["change", "sessions", "RBO", "top-10 Jaccard"], rows)


def check_split(split: str) -> None:
    """``InputError`` for what is no split that is measured."""
    if split not in SPLITS:
        raise InputError(
            f'--split {split}: there is no such split{nearest(split, SPLITS)}, take "validation" or "test"'
        )


def _threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def _of_run(run: Path, split: str, data: Path | None, exclude: bool | None, told: Any) -> Any:
    from srec.evaluation.report import evaluate_run
    from srec.training.run import Run

    return evaluate_run(Run(run), split, data, exclude, told)


def _of_artifact(
    artifact: Path | None, split: str, data: Path | None, exclude: bool | None, told: Any
) -> Any:
    from srec.data.dataset import Dataset
    from srec.evaluation.report import evaluate_artifact
    from srec.serving.artifact import Artifact

    if artifact is None or data is None:
        raise InputError("an artifact does not say where its DATA lies: name it with --data")
    return evaluate_artifact(Artifact(artifact), Dataset(data), split, exclude, told)


def _show_figures(figures: dict[str, Any]) -> None:
    names = list(figures["intervals_95"])
    rows = [
        [name, f"{figures[name]:.4f}", "{:.4f} - {:.4f}".format(*figures["intervals_95"][name])]
        for name in names
    ]
    beyond = ("coverage", "distance", "log_clicks", "percentile", "top_share")
    rows += [[f"{name}@{k}", f"{figures[f'{name}@{k}']:.4f}", ""] for name in beyond for k in (10, 20)]
    table(
        f"{figures['model']} on {figures['split']}, {figures['examples']} examples",
        ["metric", "mean", "95 %"],
        rows,
    )
    note(
        f"distance by {figures['distance_by']}; "
        f"{_ms(figures['milliseconds_an_example'])} ms an input in batches, "
        f"alone p50 {_ms(figures['alone_p50_ms'])} ms, p99 {_ms(figures['alone_p99_ms'])} ms "
        f"({figures['alone']} inputs, {figures['threads']} threads)"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _with_interval(figures: dict[str, Any], name: str) -> str:
    return f"{figures[name]:.4f} ({{:.4f}} - {{:.4f}})".format(*figures["intervals_95"][name])

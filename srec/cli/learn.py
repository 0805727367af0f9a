"""train and evaluate."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from srec.cli.console import note, save_json, table
from srec.cli.progress import bar
from srec.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(train)
    app.command()(evaluate)


def train(
    data: Annotated[Path, typer.Option(help="Folder that `srec prepare` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write the run to.")],
    model: Annotated[str, typer.Option(help="Model, by its registry name.")] = "gce-gnn",
    preset: Annotated[str, typer.Option(help="Settings to start from: srec, paper, best or tiny.")] = "srec",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting over the preset's, name=value; repeat.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted training stood.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = os.cpu_count() or 1,
) -> None:
    """Train a model on DATA; validation picks the epoch, test is never looked at."""
    # Threads that wait for each other asleep, not spinning: on a shared machine up to 1.5 times faster.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from srec.data.dataset import Dataset
    from srec.training.settings import resolve
    from srec.training.train import train as run_training

    torch.set_num_threads(threads)
    settings = resolve(model, preset, dict(_pair(text) for text in change or []))
    dataset = Dataset(data)
    dataset.verify()
    with _TrainingProgress() as report:
        run_training(dataset, settings, out, resume, report)
    note(f"wrote {out}")


def evaluate(
    run: Annotated[Path, typer.Option(help="Folder that `srec train` wrote.")],
    split: Annotated[str, typer.Option(help="validation or test.")] = "validation",
    data: Annotated[Path | None, typer.Option(help="DATA, where it has moved since training.")] = None,
    exclude_clicked: Annotated[
        bool | None,
        typer.Option(
            "--exclude-clicked/--keep-clicked",
            help="Clicked games out of the answers, or in; unset: out for reviews, in for session files.",
        ),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Measure a run: recall (P), MRR and NDCG at 5, 10 and 20, by session length, with intervals."""
    from srec.evaluation.report import evaluate_run
    from srec.training.run import Run

    if split not in ("validation", "test"):
        raise InputError(f'--split {split}: there is no such split, take "validation" or "test"')
    with bar("ranking") as (progress, task):
        figures = evaluate_run(
            Run(run),
            split,
            data,
            exclude_clicked,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    save_json(json_file, figures)
    names = list(figures["intervals_95"])
    rows = [
        [name, f"{figures[name]:.4f}", "{:.4f} - {:.4f}".format(*figures["intervals_95"][name])]
        for name in names
    ]
    table(f"{figures['model']} on {split}, {figures['examples']} examples", ["metric", "mean", "95 %"], rows)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text}: write it as name=value, for example --set dim=100")
    return name.strip(), value.strip()


class _TrainingProgress:
    """Shows steps as a bar with an estimate, and a line for every finished epoch."""

    def __enter__(self) -> "_TrainingProgress":
        self._drawn = bar("training")
        self._bar, self._task = self._drawn.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.__exit__(None, None, None)

    def phase(self, name: str) -> None:
        note(
            {"select": "training, validation picks the epoch", "refit": "training once more on everything"}[
                name
            ]
        )

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self._bar.update(
            self._task, description=f"epoch {epoch + 1}  loss {loss:.4f}", completed=step, total=steps
        )

    def epoch(self, record: dict[str, Any]) -> None:
        shown = {k: v for k, v in record.items() if k in ("loss", "recall@20", "mrr@20")}
        note(f"epoch {record['epoch']}: " + ", ".join(f"{k} {v:.4f}" for k, v in shown.items()))

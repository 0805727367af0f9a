"""train."""

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from srec.cli.console import note
from srec.cli.progress import bar
from srec.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(train)


def train(
    data: Annotated[Path, typer.Option(help="Folder that `srec prepare` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write the run to.")],
    model: Annotated[str, typer.Option(help="Model, by its registry name.")] = "gce-gnn",
    preset: Annotated[
        str, typer.Option(help="Settings to start from: srec, steady, paper, best or tiny.")
    ] = "srec",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting over the preset's, name=value; repeat.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted training stood.")
    ] = False,
    earlier: Annotated[
        Path | None, typer.Option("--from", help="A run to start from; games are matched by appid.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of a process; unset: all cores.")
    ] = None,
) -> None:
    """Train a model on DATA; validation picks the epoch, test is never looked at."""
    from srec.training.memory import ready_cpu

    ready_cpu()
    import torch

    from srec.data.dataset import Dataset
    from srec.training.distributed import join_group
    from srec.training.run import Run
    from srec.training.settings import resolve
    from srec.training.train import Silence
    from srec.training.train import train as run_training

    group = join_group()
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) // group.beside))
    settings = resolve(model, preset, dict(pair(text) for text in change or []))
    dataset = Dataset(data)
    dataset.verify()
    before = Run(earlier) if earlier else None
    with TrainingProgress() if group.first else contextlib.nullcontext(Silence()) as report:
        run_training(dataset, settings, out, resume=resume, report=report, earlier=before, group=group)
    group.leave()
    if group.first:
        note(f"wrote {out}")


def pair(text: str, option: str = "--set") -> tuple[str, str]:
    """The name and value of an option; ``InputError`` where it is not written so."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"{option} {text}: write it as name=value, for example --set dim=100")
    return name.strip(), value.strip()


class TrainingProgress:
    """Shows steps as a bar with an estimate, and a line for every finished epoch."""

    def __enter__(self) -> "TrainingProgress":
        self._drawn = bar("training")
        self._bar, self._task = self._drawn.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._drawn.__exit__(None, None, None)

    def phase(self, name: str) -> None:
        """Say what begins."""
        note(
            {"select": "training, validation picks the epoch", "refit": "training once more on everything"}[
                name
            ]
        )

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Move the bar."""
        self._bar.update(
            self._task, description=f"epoch {epoch + 1}  loss {loss:.4f}", completed=step, total=steps
        )

    def epoch(self, record: dict[str, Any]) -> None:
        """Print the epoch's line."""
        shown = {k: v for k, v in record.items() if k in ("loss", "recall@20", "mrr@20")}
        note(f"epoch {record['epoch']}: " + ", ".join(f"{k} {v:.4f}" for k, v in shown.items()))

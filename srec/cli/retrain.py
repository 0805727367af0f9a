"""add-games and retrain: what keeps a model up to date."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from srec.cli.console import note, table
from srec.cli.deploy import HERE, Management, deploy
from srec.cli.learn import TrainingProgress, pair
from srec.cli.measure import check_split
from srec.errors import InputError, nearest

if TYPE_CHECKING:
    from srec.prepare import ReviewSettings

REFUSED = 3  # exit code


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("add-games")(add_games)
    app.command()(retrain)


def add_games(
    run: Annotated[Path, typer.Option(help="Folder that `srec train` wrote, on reviews with games.")],
    games: Annotated[str, typer.Option(help="Games, the new ones among them: as for `srec prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder to write the run with the new games to.")],
    until: Annotated[datetime | None, typer.Option(help="Later releases are left out. [today]")] = None,
    days: Annotated[int, typer.Option(min=1, help="Releases before these days are no new games.")] = 730,
    share: Annotated[
        float, typer.Option(min=0, max=1, help="Of an answer's games at most this share is new.")
    ] = 0.2,
    data: Annotated[
        Path | None, typer.Option(help="The run's DATA: measure how often new games are found.")
    ] = None,
    split: Annotated[str, typer.Option(help="With --data: validation or test.")] = "validation",
) -> None:
    """Let a trained model recommend games that came after it, by their tags and other content."""
    from srec.data.dataset import Dataset
    from srec.evaluation.new_games import evaluate_new_games
    from srec.prepare.engine import Engine
    from srec.prepare.games_files import read_games
    from srec.training.new_games import add_games as add
    from srec.training.new_games import released_lately
    from srec.training.run import Run

    check_split(split)
    trained = Run(run)
    with Engine(None) as engine:
        known, _ = read_games(engine, games)
    new = released_lately(known, trained, (until or datetime.now(UTC)).date(), days)
    about = add(trained, new, out, share)
    note(f"wrote {out}: {about['games']:,} new games, at most {share:.0%} of an answer")
    if data is not None:
        figures = evaluate_new_games(Run(out), Dataset(data), split)
        rows = [[name, f"{value:,.4g}"] for name, value in figures.items()]
        table(f"reviews of games that training does not know, {split}", ["what", ""], rows)


def retrain(
    state: Annotated[Path, typer.Option(help="Folder of versions; made on first use.")],
    reviews: Annotated[
        list[str] | None, typer.Option(help="All reviews, old and new: as for `srec prepare`; repeat.")
    ] = None,
    games: Annotated[str | None, typer.Option(help="Games, as for `srec prepare`.")] = None,
    prepare: Annotated[
        list[str] | None,
        typer.Option(help="A setting of preparation, such as test_days=1; repeat."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model, by its registry name.")] = "gce-gnn",
    preset: Annotated[str, typer.Option(help="Settings of the training to start from.")] = "srec",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting over the preset's, name=value; repeat.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Refuse a model that loses a larger share of the current one's figure."
        ),
    ] = 0.05,
    warm: Annotated[bool, typer.Option(help="Start from the current run, or at random.")] = True,
    new_games: Annotated[bool, typer.Option(help="Add games that came after the training.")] = False,
    keep: Annotated[int, typer.Option(min=1, help="Good versions to keep before the current one.")] = 3,
    then_deploy: Annotated[
        bool, typer.Option("--deploy", help="Deploy what is accepted to the running service.")
    ] = False,
    management: Management = HERE,
    back: Annotated[bool, typer.Option("--back", help="Only go back to the version before.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = os.cpu_count() or 1,
) -> None:
    """Make a new archive from new reviews, or refuse it: exit code 3, and the last good one stays."""
    from srec.retraining.state import State

    folder = State(state)
    if back:
        with folder.locked():
            note(f"current is {folder.go_back()}; `srec rollback` does the same to a service that runs")
        return
    if not reviews or games is None:
        raise InputError("retrain takes --reviews FILE (repeated for several) and --games FILE")
    from srec.training.memory import ready_cpu

    ready_cpu()
    import torch

    from srec.retraining.retrain import RetrainSettings
    from srec.retraining.retrain import retrain as run
    from srec.training.settings import resolve

    torch.set_num_threads(threads)
    settings = RetrainSettings(
        prepare=_preparation(prepare or []),
        run=resolve(model, preset, dict(pair(text) for text in change or [])),
        tolerance=tolerance,
        warm=warm,
        new_games=new_games,
        keep=keep,
    )
    with TrainingProgress() as report:
        done = run(folder, reviews, games, settings, report=report, say=note)
    note(f"{done.decision}: {done.reason}")
    if done.archive is not None:
        note(f"current is {done.archive}")
    if done.decision == "refused":
        raise typer.Exit(REFUSED)
    if then_deploy and done.decision == "accepted" and done.archive is not None:
        deploy(done.archive, management)


def _preparation(changes: list[str]) -> "ReviewSettings":
    from srec.prepare import ReviewSettings

    known = [name for name in ReviewSettings.model_fields if name != "columns"]
    given = dict(pair(text, "--prepare") for text in changes)
    for name in given:
        if name not in known:
            named = f"{nearest(name, known)}: {', '.join(sorted(known))}"
            raise InputError(f"--prepare {name}: there is no such setting{named}")
    try:
        return ReviewSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--prepare {first['loc'][0]}={first['input']}: {first['msg'].lower()}") from None

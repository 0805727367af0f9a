"""blend."""

from pathlib import Path
from typing import Annotated

import typer

from srec.cli.console import note, table
from srec.cli.progress import bar
from srec.errors import InputError, nearest

TUNE = "tune"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(blend)


def blend(
    run: Annotated[Path, typer.Option(help="Run of the model for long sessions.")],
    with_run: Annotated[Path, typer.Option("--with", help="Run of the model for short ones, like v-sknn.")],
    out: Annotated[Path, typer.Option(help="Folder to write the run of both to.")],
    mode: Annotated[
        str,
        typer.Option(help="blended: a weight for each length; routed: short sessions to --with alone."),
    ] = "blended",
    short_clicks: Annotated[
        int | None,
        typer.Option(min=1, help="With routed: clicks of a short session, at most; unset: chosen."),
    ] = None,
    penalty: Annotated[
        str, typer.Option(help="This times ln(1 + clicks in training) is taken off every score; or tune.")
    ] = "0",
    select_by: Annotated[str, typer.Option(help="Metric that chooses on validation.")] = "mrr@20",
    examples: Annotated[int, typer.Option(min=1, help="Validation examples to choose by, at most.")] = 10_000,
    prefer: Annotated[
        str,
        typer.Option(help="best, or steady: answers that change least with a click, see --keep."),
    ] = "best",
    keep: Annotated[
        float,
        typer.Option(min=0, max=1, help="With steady: share of the blend's gain that must stay."),
    ] = 0.5,
    data: Annotated[Path | None, typer.Option(help="DATA, where it has moved since training.")] = None,
) -> None:
    """Make one run of two; validation chooses their weights by session length, test is never looked at."""
    from srec.training.blend import blend_runs
    from srec.training.blend_weights import BlendWish, checked
    from srec.training.run import Run

    loss = None if penalty == TUNE else _penalty(penalty)
    asked = checked(BlendWish(mode, short_clicks, loss, select_by, examples, prefer, keep))
    with bar("weighing") as (progress, task):
        record = blend_runs(
            Run(run),
            Run(with_run),
            out,
            asked,
            data_folder=data,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    groups = record["settings"]["parameters"]["groups"]
    rows = [[f"up to {g['longest'] or 'any'}", f"{g['weight']}", f"{g['sharpness']}"] for g in groups]
    table(f"weights of {run} before {with_run}", ["clicks", "weight", "sharpness"], rows)
    measured = record["validation"]
    note(f"validation: recall@20 {measured['recall@20']:.4f}, mrr@20 {measured['mrr@20']:.4f}; wrote {out}")


def _penalty(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"--penalty {text}{nearest(text, [TUNE])}: it is a number from 0 to 1, or {TUNE}")
    return value

"""bench levers, service and request: what the service costs around its model."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from srec.cli.bench import bench
from srec.cli.console import note, out, save_json
from srec.errors import InputError, nearest
from srec.io import new_file

Mar = Annotated[Path, typer.Option(help="Archive that `srec archive` wrote.")]
Json = Annotated[
    Path | None, typer.Option("--json", help="Write the figures there, and the table beside it as .md.")
]
Workers = Annotated[int, typer.Option(min=1, help="Worker processes of each service.")]
Pairs = Annotated[int, typer.Option(min=1, help="Slices of each service, by turns.")]
Seconds = Annotated[float, typer.Option(min=1, help="Length of a slice.")]
CORES = os.cpu_count() or 1
DEFAULT_MAR = Path("model_store/srec.mar")


def register(_app: typer.Typer) -> None:
    """Add the verbs to the group."""
    bench.command("levers")(bench_levers)
    bench.command("service")(bench_service)
    bench.command("request")(bench_request)


def bench_levers(
    mar: Mar = DEFAULT_MAR,
    only: Annotated[list[str] | None, typer.Option(help="Measure this lever; repeat.")] = None,
    workers: Workers = CORES,
    pairs: Pairs = 5,
    seconds: Seconds = 4,
    json_file: Json = None,
) -> None:
    """Each lever of the service's speed, changed alone, against the service as shipped; needs wrk."""
    from srec.loadtest.service.compare import compare
    from srec.loadtest.service.levers import LEVERS
    from srec.loadtest.service.tables import levers_table

    known = {lever.name: lever for lever in LEVERS}
    for name in only or ():
        if name not in known:
            raise InputError(f'lever "{name}" is unknown{nearest(name, known)}: one of {", ".join(known)}')
    levers = [known[name] for name in only or known]
    figures = compare(mar, levers, workers=workers, pairs=pairs, seconds=seconds, progress=note)
    _keep(json_file, figures, levers_table(figures))


def bench_service(
    mar: Mar = DEFAULT_MAR,
    workers: Workers = CORES,
    pairs: Pairs = 5,
    seconds: Seconds = 4,
    json_file: Json = None,
) -> None:
    """Our service beside one with a no-op model, which shows the server's share; needs wrk."""
    from srec.loadtest.service.compare import NOOP, compare
    from srec.loadtest.service.tables import baseline_table

    figures = compare(mar, [NOOP], workers=workers, pairs=pairs, seconds=seconds, progress=note)
    _keep(json_file, figures, baseline_table(figures))


def bench_request(
    mar: Mar = DEFAULT_MAR,
    batch: Annotated[list[int] | None, typer.Option(min=1, max=32, help="Requests a call; repeat.")] = None,
    repeats: Annotated[int, typer.Option(min=10, help="Measured batches of each size.")] = 500,
    json_file: Json = None,
) -> None:
    """Where a worker's time for a request goes: receive, parse, graph, store, model, top-k, write."""
    from srec.loadtest.service.request import request_shares, shares_table

    figures = request_shares(mar, batches=batch or (1, 32), repeats=repeats, progress=note)
    _keep(json_file, figures, shares_table(figures))


def _keep(json_file: Path | None, figures: dict[str, Any], table: str) -> None:
    out.print(table, markup=False, soft_wrap=True)
    save_json(json_file, figures)
    if json_file is not None:
        with new_file(json_file.with_suffix(".md")) as temporary:
            temporary.write_text(table)

"""export, archive, keygen and load-neighbours."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srec.cli.console import note, print_json
from srec.cli.progress import bar

if TYPE_CHECKING:
    from srec.stores.load import LoadReport


def describe_load(report: "LoadReport") -> str:
    """What loading the neighbours did, in a line."""
    if report.already_there:
        return f"{report.server} already holds graph {report.digest[:12]}: {report.rows:,} rows"
    there = report.rows - report.written
    before = f", {there:,} of them were there" if there else ""
    return f"loaded graph {report.digest[:12]} into {report.server}: {report.rows:,} rows{before}"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(export)
    app.command()(archive)
    app.command()(keygen)
    app.command()(load_neighbours)


def export(
    run: Annotated[Path, typer.Option(help="Folder that `srec train` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder to write the artifact to.")],
    backend: Annotated[
        str, typer.Option(help="fast, torchscript, or ipex on hosts with AVX2 and its package.")
    ] = "fast",
    variant: Annotated[
        str, typer.Option(help="exact, or cheaper and only almost right: cached-neighbours, distilled.")
    ] = "exact",
    short_run: Annotated[
        Path | None, typer.Option(help="A second run over the same data: its model answers short sessions.")
    ] = None,
    short_clicks: Annotated[
        int, typer.Option(help="With --short-run: known clicks of a short session, at most.")
    ] = 3,
    tags_run: Annotated[
        Path | None, typer.Option(help="A run of the tag recommender: it answers clicks on rare games.")
    ] = None,
    tags_below: Annotated[
        int, typer.Option(help="With --tags-run: a rare game has less clicks in training.")
    ] = 5,
) -> None:
    """Trace and freeze the trained model, and prove that it answers as before."""
    from srec.export.pipeline import ShortSessionRun, TagsRun, export_run
    from srec.training.run import Run

    short = ShortSessionRun(Run(short_run), short_clicks) if short_run else None
    tags = TagsRun(Run(tags_run), tags_below) if tags_run else None
    manifest = export_run(Run(run), out, backend, short, variant, tags=tags)
    proof = manifest["proof"]
    note(
        f"{proof['sessions']} sessions answered alike before and after export, "
        f"largest difference {proof['largest_difference']:.2g}; wrote {out} ({manifest['digest'][:12]})"
    )


def archive(
    artifact: Annotated[Path, typer.Option(help="Folder that `srec export` wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of archives.")] = Path("model_store"),
    version: Annotated[
        str | None, typer.Option(help="Version in answers; unset: from the artifact's digest.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(help="Private key of `srec keygen`: write srec.mar.sig, too.")
    ] = None,
) -> None:
    """Pack the artifact into srec.mar with torch-model-archiver; the same artifact gives the same bytes."""
    from srec.export.archive import build_archive
    from srec.serving.artifact import Artifact

    mar = build_archive(artifact, out, version, check=lambda folder: Artifact(folder).self_test())
    note(f"wrote {mar}")
    if sign:
        from srec.export import signature

        note(f"wrote {signature.sign(mar, sign)}")


def keygen(
    out: Annotated[Path, typer.Option(help="Private key to write; the public one gets the ending .pub.")],
) -> None:
    """Make a pair of Ed25519 keys, to sign archives with and to verify them before they are served."""
    from srec.export.signature import make_keys

    note(f"wrote {out}, keep it secret, and {make_keys(out)}, give it to every server")


def load_neighbours(
    artifact: Annotated[Path, typer.Option(help="Folder that `srec export` wrote.")],
    redis: Annotated[
        str, typer.Option(envvar="SREC_REDIS_URL", help="redis://host:port/db, or as in docs/settings.md.")
    ],
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Load the artifact's global graph into Redis; other graphs stay untouched.

    A second load only renews the expiry; an interrupted one goes on where it ended when started again.
    """
    from dataclasses import asdict

    from srec.serving.artifact import Artifact
    from srec.stores.load import load_graph

    graph = Artifact(artifact).graph
    with bar("loading neighbours") as (progress, task):
        report = load_graph(
            redis,
            graph,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if json:
        print_json(asdict(report))
    else:
        note(describe_load(report))

"""deploy and rollback: change what a running service serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srec.cli.console import note
from srec.cli.ship import describe_load

if TYPE_CHECKING:
    from srec.serving.artifact import Artifact

Management = Annotated[
    str, typer.Option(envvar="SREC_MANAGEMENT", help="Management address of the running `srec serve`.")
]
HERE = "http://127.0.0.1:8081"


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(deploy)
    app.command()(rollback)


def deploy(
    mar: Annotated[Path, typer.Argument(help="Archive that `srec archive` wrote.")],
    management: Management = HERE,
    shadow: Annotated[
        Path | None,
        typer.Option(
            help="Sessions that both versions answer first, a line of appids each; unset: the golden ones."
        ),
    ] = None,
    min_overlap: Annotated[
        float, typer.Option(min=0, max=1, help="Refuse below this share of equal games among the ten best.")
    ] = 0.0,
    keep: Annotated[int, typer.Option(min=1, help="Earlier archives to keep for a rollback.")] = 5,
) -> None:
    """Serve a new archive in place of the old one, without losing a request; a failure changes nothing."""
    from srec.serve_config.checks import golden_sessions, read_sessions
    from srec.serve_config.deploy import Shadow
    from srec.serve_config.deploy import deploy as run

    sessions = read_sessions(shadow) if shadow else None
    sample = Shadow(lambda artifact: sessions or golden_sessions(artifact), min_overlap)
    version = run(mar, management, _load, sample, note, keep=keep)
    note(f"deployed version {version}; `srec rollback` goes back")


def rollback(management: Management = HERE) -> None:
    """Serve again what was served before the last deployment."""
    from srec.serve_config.deploy import rollback as run

    note(f"went back to version {run(management, _load, note)}")


def _load(artifact: "Artifact", url: str) -> None:
    from srec.stores.load import load_graph

    note(describe_load(load_graph(url, artifact.graph)))

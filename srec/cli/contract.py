"""openapi."""

from pathlib import Path
from typing import Annotated

import typer

from srec.cli.console import print_json, save_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(openapi)


def openapi(
    out: Annotated[Path | None, typer.Option(help="Write it there; unset: to standard output.")] = None,
) -> None:
    """Write the HTTP contract as an OpenAPI 3.1 document."""
    from srec.serving.openapi import document

    if out is None:
        print_json(document())
    else:
        save_json(out, document())

"""How the command speaks: progress and notes to stderr, results to stdout."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from srec.io import write_json

notes = Console(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False)


def fail(message: str) -> NoReturn:
    """Say what is wrong and exit with 1."""
    notes.print(f"[bold red]error:[/] {_plain(message)}")
    sys.exit(1)


def note(message: str) -> None:
    """Say how work goes on."""
    notes.print(_plain(message))


def print_json(value: Any) -> None:
    """Print for another program."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def save_json(path: Path | None, value: Any) -> None:
    """Write a result where it was asked for."""
    if path is not None:
        write_json(path, value)
        note(f"wrote {path}")


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(_plain(cell) for cell in row))
    out.print(drawn)


def _plain(text: str) -> str:
    """Brackets in values are text, not markup."""
    return text.replace("[", r"\[")

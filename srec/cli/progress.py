"""A progress bar on stderr, for steps whose length is known."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from srec.cli.console import notes


@contextmanager
def bar(what: str) -> Iterator[tuple[Progress, TaskID]]:
    """Show ``what`` as a bar until the block ends; its length is told with the first update."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as progress:
        yield progress, progress.add_task(what, total=None)

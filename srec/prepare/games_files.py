# ruff: noqa: S608 - the path is quoted by its source
"""The file of games -> metadata by appid. Games are few: one record after another."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from srec.errors import InputError, nearest
from srec.prepare import files
from srec.prepare.engine import Engine
from srec.prepare.files import Source
from srec.prepare.games import NAMES, Game, cents_to_units, in_cents, parse_game
from srec.prepare.read import SHOWN, check_reading
from srec.prepare.report import BadRow, FileReport, Reading


def read_games(engine: Engine, path: str | Path) -> tuple[dict[int, Game], Reading]:
    """Read JSON lines, CSV or Parquet; of several records with one appid the last counts.

    ``InputError`` for a missing file, no appid column, or more than 5 % unparsable records.
    """
    games: dict[int, Game] = {}
    reports, shown, notes = [], [], []
    for source in files.sources([path], "games"):
        _check_columns(source, files.columns(engine, source))
        records, bad = _records(engine, source)
        rows = len(records) + len(bad)
        cents = in_cents(records)
        for record in records:
            try:
                game = parse_game(record)
            except ValueError as error:
                bad.append(BadRow(file=source.name, why=str(error), row=str(dict(record))))
            else:
                games[game.appid] = cents_to_units(game) if cents and "price" in record else game
        if cents:
            notes.append(f"{source.name}: prices are taken as cents")
        reports.append(FileReport(path=source.name, rows=rows, unparsable=len(bad)))
        shown += bad[:SHOWN]
    unparsable = sum(report.unparsable for report in reports)
    reading = Reading(files=reports, unparsable=unparsable, shown=shown[:SHOWN], notes=notes)
    check_reading(reading, "games")
    if repeated := reading.rows - unparsable - len(games):
        reading = reading.model_copy(
            update={"notes": [*notes, f"{repeated:,} games occur more than once: the last record counts"]}
        )
    return games, reading


def _check_columns(source: Source, present: list[str]) -> None:
    if not set(NAMES["appid"]) & set(present):
        raise InputError(
            f'{source.name} has no column "appid"{nearest("appid", present)}; it has: {", ".join(present)}. '
            f"Name it one of {', '.join(NAMES['appid'])}"
        )


def _records(engine: Engine, source: Source) -> tuple[list[Mapping[str, Any]], list[BadRow]]:
    try:
        if source.format == "jsonl":
            return _objects(engine, source)
        if source.format == "parquet":
            return engine.arrow(f"SELECT * FROM read_parquet({source.sql})").to_pylist(), []
        names = list(dict.fromkeys(files.columns(engine, source)))
        engine.run(f"CREATE OR REPLACE TABLE records AS {files.text_relation(engine, source, names)}")
        records = engine.arrow("SELECT * EXCLUDE (broken) FROM records").to_pylist()
        engine.drop("records")
    except duckdb.Error as error:
        raise files.refuse(source, error) from error
    refused = files.rejected(engine)
    return records, [BadRow(file=source.name, why=f"line {n}: {why}", row=row) for n, row, why in refused]


def _objects(engine: Engine, source: Source) -> tuple[list[Mapping[str, Any]], list[BadRow]]:
    records: list[Mapping[str, Any]] = []
    lines, bad = files.read_lines(engine, source)
    for line in lines.to_pylist():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        else:
            bad.append(BadRow(file=source.name, why="not a JSON object", row=line))
    return records, bad

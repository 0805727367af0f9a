"""Reviews and games -> DATA."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from ibis.expr.types import Table  # type: ignore[import-untyped]
from safetensors.numpy import save_file

from srec.errors import HostError
from srec.graph.neighbours import build_graph
from srec.io import new_folder, write_json
from srec.manifest import DATA
from srec.prepare.context import build_context
from srec.prepare.engine import Engine
from srec.prepare.engines import ReviewEngine, open_engine
from srec.prepare.games import Game
from srec.prepare.games_files import read_games
from srec.prepare.new_games import write_new_game_examples
from srec.prepare.overview import Days, coverage, days_read, overview
from srec.prepare.read import read_reviews
from srec.prepare.report import Reading, Report, Step
from srec.prepare.sequences import Clicks
from srec.prepare.sessions import item_columns, train_counts
from srec.prepare.settings import ReviewSettings
from srec.prepare.split import Split, clicks_of, split_by_time
from srec.prepare.steps import Pipeline, filter_reviews
from srec.prepare.tags import decompose, tag_matrix
from srec.prepare.write import cut_inputs, write_examples, write_items, write_manifest, write_sequences

Progress = Callable[[str], None]
_COLUMNS = {
    "name": pa.string(), "developer": pa.string(), "publisher": pa.string(),
    "year": pa.int32(), "price": pa.float64(), "free": pa.bool_(),
}  # fmt: skip


def prepare_reviews(
    reviews: Sequence[str | Path],
    games: str | Path,
    out: Path,
    settings: ReviewSettings,
    progress: Progress = lambda _: None,
    *,
    engine: str = "duckdb",
) -> Report:
    """Write the DATA of a log of reviews; ``out`` is replaced when the new one is complete.

    Several review files are one log, in the order given. ``engine`` is a name of ``engines.ENGINES``; all
    give the same DATA. ``InputError`` says which file, column, row or setting cannot be used; whatever
    stood at ``out`` is then untouched.
    """
    DATA.check_target(out)
    moment = settings.until or datetime.now(UTC)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with Engine(out.parent) as reader:
            known, games_reading = read_games(reader, games)
            clicks, reading, steps, days = _filtered(
                reader, engine, reviews, settings, moment=moment, progress=progress
            )
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise HostError(
            f"{out} cannot be made: {str(error).splitlines()[0]}. Filtering needs about 40 bytes of disk a "
            f"review beside {out}, and 4 GB of memory; what stood there is untouched"
        ) from error
    split = split_by_time(clicks, settings)
    details = [known.get(appid) for appid in split.vocabulary.appids.tolist()]
    with new_folder(out) as folder, ThreadPoolExecutor(1) as beside:
        # Both take a core for as long: neither needs the other's result.
        writing = beside.submit(_write_clicks, folder, clicks, split, settings, progress)
        progress("factorising the tag matrix")
        write_items(folder / "items.parquet", _items(split, details))
        metadata = _write_metadata(folder, details, settings)
        writing.result()
        seen = overview(split.train, clicks.known_times, days)
        report = _report({"reviews": reading, "games": games_reading}, steps, split, metadata, seen)
        write_manifest(folder, report, settings.model_dump(mode="json"), "seconds")
    return report


def _filtered(
    reader: Engine,
    engine_name: str,
    paths: Sequence[str | Path],
    settings: ReviewSettings,
    *,
    moment: datetime,
    progress: Progress,
) -> tuple[Clicks, Reading, list[Step], Days]:
    with open_engine(engine_name, reader) as engine:
        table, reading = read_reviews(engine, reader, paths, settings.columns, progress)
        days = days_read(engine, table)
        pipeline = filter_reviews(engine, table, settings, moment, progress)
        progress("putting the reviews in order")
        return clicks_of(engine.fetch(_in_order(engine, table, pipeline))), reading, pipeline.steps, days


def _in_order(engine: ReviewEngine, every: Table, pipeline: Pipeline) -> Table:
    """What is left by user, time and place; users in the order in which they first appear in the input."""
    kept = engine.keep("kept", pipeline.reviews)
    first = every.semi_join(kept, "user").group_by("user").agg(first=lambda rows: rows.row.min())
    ordered = kept.inner_join(first, "user").order_by(["first", "time", "row"])
    return ordered.select("user", "appid", "time")


def _write_clicks(
    folder: Path, clicks: Clicks, split: Split, settings: ReviewSettings, progress: Progress
) -> None:
    progress("building the global graph")
    train = split.train
    graph = build_graph(
        train.ids.astype(np.int32), train.offsets, len(split.vocabulary), settings.window, settings.neighbours
    )
    graph.save(folder / "graph.safetensors")
    progress("writing sequences and examples")
    write_sequences(folder / "train.parquet", train)
    write_examples(folder / "validation.parquet", split.validation)
    write_examples(folder / "test.parquet", split.test)
    write_new_game_examples(folder, clicks, split)


def _items(split: Split, details: Sequence[Game | None]) -> pa.Table:
    table = item_columns(split.vocabulary, split.train)
    for name, kind in _COLUMNS.items():
        table = table.append_column(name, pa.array([game and getattr(game, name) for game in details], kind))
    for name in ("genres", "tags"):
        texts = [list(getattr(game, name)) if game else [] for game in details]
        table = table.append_column(name, pa.array(texts, pa.list_(pa.string())))
    return table


def _write_metadata(
    folder: Path, details: Sequence[Game | None], settings: ReviewSettings
) -> Mapping[str, Any]:
    matrix, names = tag_matrix(details)
    sp.save_npz(folder / "tag_matrix.npz", matrix)
    write_json(folder / "tag_names.json", names)
    factorised = decompose(matrix, settings.tag_width, settings.seed)
    save_file({"factors": factorised.factors}, folder / "tags.safetensors")
    context = build_context(details)
    save_file({"indices": context.indices}, folder / "context.safetensors")
    write_json(folder / "context.json", context.describe())
    return {
        "games_without_metadata": sum(game is None for game in details),
        "games_without_tags": sum(not (game and game.tags) for game in details),
        "known": coverage(details),
        "tags": len(names),
        "tag_width": settings.tag_width,
        "tag_reconstruction_error": round(factorised.error, 6),
        "tag_factors_converged": factorised.converged,
        "context_values": len(context.values),
    }


def _report(
    readings: dict[str, Reading],
    steps: list[Step],
    split: Split,
    metadata: Mapping[str, Any],
    seen: dict[str, Any],
) -> Report:
    counts = {"items": len(split.vocabulary), **train_counts("train", split.train)}
    counts["train_sequences_of_one_click"] = int((np.diff(split.train.offsets) == 1).sum())
    counts |= {"validation_examples": len(split.validation), "test_examples": len(split.test)}
    notes = [note for reading in readings.values() for note in reading.notes]
    if split.bounds["time_resolution"] == "days":
        notes.append("all times are whole days apart: within a day the order is that of the input")
    notes += cut_inputs(split.validation, split.test)
    return Report(
        kind="reviews",
        readings=readings,
        steps=steps,
        split=split.bounds,
        dropped=split.dropped,
        counts=counts,
        metadata=dict(metadata),
        overview=seen,
        notes=notes,
    )

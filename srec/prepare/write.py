"""Writing the tables of DATA (their columns: docs/architecture.md). The same content gives the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from srec.data.dataset import LONGEST_INPUT
from srec.io import write_json
from srec.manifest import DATA
from srec.prepare.page import page
from srec.prepare.report import Report
from srec.prepare.sequences import Clicks, Examples

# Inputs of examples overlap, so all of them together can be far larger than the clicks they are made of.
ROWS_PER_GROUP, CLICKS_PER_GROUP = 50_000, 5_000_000
_ITEMS, _TIMES = pa.list_(pa.int32()), pa.list_(pa.int64())


def write_sequences(path: Path, clicks: Clicks) -> None:
    """A row per sequence: ``items`` and ``times``."""
    every = np.arange(len(clicks.ids))
    columns = {"items": _lists(clicks.ids[every].astype(np.int32), clicks.offsets, _ITEMS)}
    columns["times"] = _times(clicks, every, clicks.offsets)
    _write(path, pa.schema({"items": _ITEMS, "times": _TIMES}), iter([pa.table(columns)]))


def write_examples(path: Path, examples: Examples) -> None:
    """A row per example: ``items`` (the input, its newest ``LONGEST_INPUT``), ``target``, and ``times``."""
    schema = pa.schema({"items": _ITEMS, "target": pa.int32(), "times": _TIMES})
    _write(path, schema, _example_tables(examples))


def cut_inputs(*parts: Examples) -> list[str]:
    """The note on inputs that ``write_examples`` cuts; no note where it cuts none."""
    cut = sum(int((part.targets - part.starts > LONGEST_INPUT).sum()) for part in parts)
    return [f"{cut:,} inputs have more than {LONGEST_INPUT:,} clicks: the newest are written"] if cut else []


def write_items(path: Path, items: pa.Table) -> None:
    """A row per item, in order."""
    _write(path, items.schema, iter([items]))


def write_manifest(folder: Path, report: Report, settings: dict[str, object], time_unit: str | None) -> None:
    """Write the report and, as the folder's last file, the manifest over all files before it.

    The report names input paths, so it stays outside of the digests: equal content has an equal digest.
    """
    sealed = DATA.seal(folder)
    write_json(folder / "report.json", report.model_dump(mode="json"))
    (folder / "report.html").write_text(page(report))
    manifest = {
        "kind": report.kind,
        "settings": settings,
        "counts": report.counts,
        "time_unit": time_unit,
        "split": report.split,
        **sealed,
    }
    write_json(folder / DATA.name, manifest)


def _example_tables(examples: Examples) -> Iterator[pa.Table]:
    begins = np.maximum(examples.starts, examples.targets - LONGEST_INPUT)
    for first, last in _groups(examples.targets - begins):
        starts, targets = begins[first:last], examples.targets[first:last]
        lengths = targets - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        clicks = examples.clicks
        columns = {
            "items": _lists(clicks.ids[places].astype(np.int32), offsets, _ITEMS),
            "target": pa.array(clicks.ids[targets], pa.int32()),
            "times": _times(clicks, places, offsets),
        }
        yield pa.table(columns)


def _groups(lengths: np.ndarray) -> Iterator[tuple[int, int]]:
    """Examples of ``lengths`` clicks in groups of which none has too many rows or clicks."""
    passed = np.concatenate([[0], np.cumsum(lengths)])
    first = 0
    while first < len(lengths):
        enough = int(np.searchsorted(passed, passed[first] + CLICKS_PER_GROUP, side="right")) - 1
        last = min(max(enough, first + 1), first + ROWS_PER_GROUP, len(lengths))
        yield first, last
        first = last


def _times(clicks: Clicks, places: np.ndarray, offsets: np.ndarray) -> pa.Array:
    if clicks.times is None:
        return pa.nulls(len(offsets) - 1, _TIMES)
    return _lists(clicks.times[places], offsets, _TIMES)


def _lists(values: np.ndarray, offsets: np.ndarray, kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, kind.value_type)).cast(
        kind
    )


def _write(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)

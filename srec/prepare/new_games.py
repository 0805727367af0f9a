"""Examples whose target is a game that training does not know: what new games are measured by."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from srec.ids import Vocabulary
from srec.prepare.sequences import Clicks
from srec.prepare.split import Split

_SCHEMA = pa.schema({"items": pa.list_(pa.int32()), "appid": pa.int64()})


def write_new_game_examples(folder: Path, clicks: Clicks, split: Split) -> None:
    """Write ``new_validation.parquet`` and ``new_test.parquet``: the known ``items``, and the ``appid``."""
    bounds = [int(str(split.bounds[name])) for name in ("train_until", "validation_until", "test_until")]
    windows = {"validation": (bounds[0], bounds[1]), "test": (bounds[1], bounds[2])}
    for part, (after, until) in windows.items():
        examples = new_game_examples(clicks, split.vocabulary, after, until)
        pq.write_table(examples, folder / f"new_{part}.parquet", compression="zstd")


def new_game_examples(clicks: Clicks, vocabulary: Vocabulary, after: int, until: int) -> pa.Table:
    """An example of every click on an unknown game in a window that has a known one before it.

    Args:
        clicks: sequences of appids with times.
        vocabulary: the games of training.
        after: the window's begin, unix seconds, itself outside.
        until: its end, inside.
    """
    times = clicks.known_times
    known = np.isin(clicks.ids, vocabulary.appids)
    before = np.concatenate([[0], np.cumsum(known)])  # known clicks before each place, of all sequences
    first = before[clicks.offsets[clicks.sequence]]
    places = np.flatnonzero(~known & (times > after) & (times <= until) & (before[:-1] > first))
    starts, lengths = first[places], before[places] - first[places]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    inside = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    items = clicks.as_items(vocabulary).ids[inside].astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(items))
    return pa.table([lists, pa.array(clicks.ids[places], pa.int64())], schema=_SCHEMA)

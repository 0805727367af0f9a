"""Write a review log of any size as Parquet files, in the order of a crawl: game by game, newest first.

Blocks of users are drawn one after another and their rows put down by the part of the crawl that they belong
to; then each part is sorted and written. Memory holds one block or one part, whatever the size of the log.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from srec.demo.shape import Lengths, Reviews, Shape, Store, draw_block
from srec.demo.world import cumulated
from srec.errors import InputError
from srec.io import new_folder

SCALES = {"steam": Shape()}
BLOCK = 200_000  # users drawn at a time; the unit of randomness
ROWS_PER_PART = 4_000_000
UNTIL = 1_667_260_800  # 2022-11-01
# 64-bit account numbers of Steam's form, from a range that is given to nobody.
FIRST_STEAMID, STEAMIDS = 76_561_197_960_265_728 + 2_500_000_000, 1_500_000_001
TAGS, TAGS_PER_GAME = 446, 16
_ROW = np.dtype([("user", "<i8"), ("game", "<i4"), ("time", "<i8"), ("positive", "?")])
_SCHEMA = pa.schema(
    {"steamid": pa.int64(), "appid": pa.int32(), "timestamp_created": pa.int64(), "voted_up": pa.bool_()}
)


@dataclass(frozen=True)
class ScaleSummary:
    """What was written."""

    reviews: int
    users: int
    games: int
    positive: int
    files: int


def write_scale(
    out: Path,
    scale: str,
    *,
    reviews: int,
    users: int,
    games: int,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> ScaleSummary:
    """Write ``reviews/part-*.parquet`` and ``games.jsonl`` into ``out``, whole or not at all.

    The number of rows is ``reviews`` but for a thousandth or two. ``InputError`` for numbers that do not go
    together, or a folder that holds something else.
    """
    _check(out, scale, {"reviews": reviews, "users": users, "games": games}, seed)
    shape = SCALES[scale]
    world, *seeds = np.random.SeedSequence(seed).spawn(1 + -(-users // BLOCK))
    store, lengths = Store(shape, games, world), Lengths(shape, users, reviews)
    appids = 10 * (1 + np.arange(games))
    parts = _parts(store, reviews)
    rows = positive = 0
    with new_folder(out) as folder:
        with contextlib.ExitStack() as stack:
            piles = [
                stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in range(int(parts.max()) + 1)
            ]
            for number, block_seed in enumerate(seeds):
                numbers = np.arange(number * BLOCK, min((number + 1) * BLOCK, users))
                block = draw_block(store, lengths, numbers, UNTIL, np.random.default_rng(block_seed))
                rows, positive = rows + len(block.user), positive + int(block.positive.sum())
                for pile, content in _piled(block, parts):
                    piles[pile].write(content.tobytes())
                if number % 20 == 0:
                    progress(f"drawn: {len(numbers) + number * BLOCK:,} users, {rows:,} reviews")
            (folder / "reviews").mkdir()
            for number, stream in enumerate(piles):
                _write_part(folder / "reviews" / f"part-{number:04}.parquet", stream, appids)
                stream.close()
        progress("writing the games")
        _write_games(folder / "games.jsonl", appids, store, seed)
    return ScaleSummary(reviews=rows, users=users, games=games, positive=positive, files=len(piles))


def _check(out: Path, scale: str, numbers: dict[str, int], seed: int) -> None:
    if scale not in SCALES:
        raise InputError(f"scale {scale} is not known: give one of {', '.join(SCALES)}")
    for name, value in numbers.items():
        if value < 100:
            raise InputError(f"{name} is {value}: give an integer of at least 100")
    if numbers["users"] > STEAMIDS or numbers["games"] > 200_000_000 or seed < 0:
        raise InputError(f"at most {STEAMIDS:,} users and 200,000,000 games can be made, and no seed below 0")
    if out.exists() and not (
        out.is_dir() and {path.name for path in out.iterdir()} <= {"reviews", "games.jsonl"}
    ):
        raise InputError(f"{out} exists and is no folder of reviews made here: give another --out")


def _parts(store: Store, reviews: int) -> NDArray[np.int64]:
    """The part of the crawl in which each game is, [games]: parts are about equally long."""
    shares = np.zeros(len(store.order))
    shares[store.order[: len(store.charts)]] = np.diff(store.charts, prepend=0)
    passed = np.cumsum(shares) - shares / 2
    return (passed * max(1, reviews // ROWS_PER_PART)).astype(np.int64)


def _piled(block: Reviews, parts: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.void]]]:
    """The rows of a block by part."""
    rows = np.empty(len(block.user), _ROW)
    for name, column in zip(block._fields, block, strict=True):
        rows[name] = column
    of_row = parts[block.game]
    order = np.argsort(of_row, kind="stable")
    rows, piles = rows[order], of_row[order]
    starts = np.flatnonzero(np.diff(piles, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        yield int(piles[start]), rows[start:stop]


def _write_part(path: Path, pile: IO[bytes], appids: NDArray[np.int64]) -> None:
    """Sort one part by game, newest first, and write it."""
    pile.seek(0)
    rows = np.fromfile(pile, _ROW)
    rows = rows[np.lexsort((rows["user"], -rows["time"], rows["game"]))]
    columns = [
        FIRST_STEAMID + rows["user"] * 1_000_003 % STEAMIDS,
        appids[rows["game"]].astype(np.int32),
        rows["time"],
        rows["positive"],
    ]
    pq.write_table(pa.table(columns, _SCHEMA), path, compression="zstd", row_group_size=500_000)


def _write_games(path: Path, appids: NDArray[np.int64], store: Store, seed: int) -> None:
    """Metadata: each game has a kind, which chooses most of its tags; popular games have more votes."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    kinds = cumulated(rng.gamma(0.05, 1.0, (40, TAGS)) + 1e-9)  # [kinds, tags]
    common = cumulated(1 / np.linspace(1.0, TAGS, TAGS))
    years = rng.integers(2008, 2023, len(appids))
    prices = rng.choice([0, 0.99, 4.99, 9.99, 14.99, 19.99, 29.99, 59.99], len(appids))
    with path.open("w", encoding="utf-8") as stream:
        for game, appid in enumerate(appids.tolist()):
            own = rng.random(TAGS_PER_GAME) < 0.7
            pick = rng.random(TAGS_PER_GAME)
            tags = np.where(own, np.searchsorted(kinds[game % 40], pick), np.searchsorted(common, pick))
            votes = (5 + 20 * store.popularity[game]) * rng.random(TAGS_PER_GAME)
            record = {
                "appid": appid,
                "name": f"Game {appid}",
                "developer": f"Studio {game % 9_973}",
                "publisher": f"House {game % 1_009}",
                "release_date": f"{years[game]}-06-01",
                "price": float(prices[game]),
                "genres": [f"Genre {game % 40 % 12}"],
                "tags": {
                    f"Tag {tag:03}": 1 + int(vote) for tag, vote in zip(tags.tolist(), votes, strict=True)
                },
            }
            stream.write(json.dumps(record) + "\n")

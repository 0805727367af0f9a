"""Write the demo data: the catalogue, and reviews of it by simulated players."""

import dataclasses
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srec.demo.catalogue import Game, load_catalogue
from srec.demo.players import DAY, Reviews, play
from srec.demo.world import make_world
from srec.errors import InputError
from srec.io import new_file

UNTIL = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
BLOCK = 10_000  # players simulated at a time


@dataclass(frozen=True)
class DemoSummary:
    """What was written."""

    players: int
    games: int
    reviews: int
    positive_reviews: int


def write_demo(
    out: Path,
    *,
    players: int = 6_000,
    days: int = 1_000,
    until: datetime.date = UNTIL,
    seed: int = 0,
) -> DemoSummary:
    """Write ``reviews.csv`` and ``games.jsonl`` into ``out``, the same bytes for the same arguments.

    Reviews (``steamid,appid,timestamp_created,voted_up``, in order of time) fall on the ``days`` days
    before ``until`` (UTC; a date means its midnight). No one reviews a game before its release. Players
    are called 1, 2, ...: nobody's account on Steam.

    Raises ``InputError`` for arguments out of range or a folder that cannot be written; files that stood
    there before are then as they were.
    """
    for name, value, least in (("players", players, 1), ("days", days, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name} is {value}: give an integer of at least {least}")
    games = load_catalogue()
    end = _unix_seconds(until)
    blocks = list(_blocks(games, players, end - days * DAY, end, seed))
    reviews = _by_time(blocks)
    if not len(reviews.player):
        raise InputError(f"until is {until}: no game of the catalogue was out; give a later date")
    appids = np.array([game.appid for game in games])
    _write(out, _csv(reviews, appids), "".join(_json_line(game) for game in games))
    return DemoSummary(
        players=len(np.unique(reviews.player)),
        games=len(games),
        reviews=len(reviews.player),
        positive_reviews=int(reviews.liked.sum()),
    )


def _blocks(games: tuple[Game, ...], players: int, start: int, until: int, seed: int) -> Iterator[Reviews]:
    """Reviews block by block, players numbered from 1; a block depends on the seed and its number only."""
    world_seed, *seeds = np.random.SeedSequence(seed).spawn(1 + -(-players // BLOCK))
    world = make_world(games, np.random.default_rng(world_seed))
    for number, block_seed in enumerate(seeds):
        first = number * BLOCK
        count = min(BLOCK, players - first)
        block = play(world, count, start, until, np.random.default_rng(block_seed))
        yield block._replace(player=block.player + first + 1)


def _by_time(blocks: list[Reviews]) -> Reviews:
    player = np.concatenate([block.player for block in blocks])
    time = np.concatenate([block.time for block in blocks])
    order = np.lexsort((player, time))
    return Reviews(
        player=player[order],
        game=np.concatenate([block.game for block in blocks])[order],
        time=time[order],
        liked=np.concatenate([block.liked for block in blocks])[order],
    )


def _csv(reviews: Reviews, appids: NDArray[np.int64]) -> str:
    columns = (reviews.player, appids[reviews.game], reviews.time, reviews.liked.astype(np.int64))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return "steamid,appid,timestamp_created,voted_up\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows)


def _json_line(game: Game) -> str:
    return json.dumps(dataclasses.asdict(game), ensure_ascii=False) + "\n"


def _write(out: Path, reviews: str, games: str) -> None:
    """Put both files in place together: neither replaces its predecessor before both are complete."""
    try:
        with new_file(out / "reviews.csv") as reviews_file, new_file(out / "games.jsonl") as games_file:
            reviews_file.write_text(reviews, encoding="utf-8", newline="\n")
            games_file.write_text(games, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"cannot write the demo data to {out} ({error}): give another folder") from None


def _unix_seconds(moment: datetime.date) -> int:
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.combine(moment, datetime.time())
    return int((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp())

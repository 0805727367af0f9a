"""How often the new games of a run are found by those who then reviewed them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.ids import Vocabulary
from srec.serving.new_games import NewGames
from srec.topk import Selection, TopK
from srec.training.run import Run

ANSWERED, BATCH = 20, 64


def evaluate_new_games(run: Run, data: Dataset, split: str) -> dict[str, float]:
    """Recall@20 over the reviews of games that training does not know; clicked games are left out.

    Args:
        run: what ``srec add-games`` wrote.
        data: the DATA of the run that it was made from.
        split: ``validation`` or ``test``.

    Returns:
        ``examples``; ``known``, the share whose game is among the new ones; ``recall@20``, found in an
        answer as it is served; ``recall@20_among_new``, found when only new games compete; ``by_chance``,
        what a random order of the new games would find there.
    """
    if "new_games" not in run.record:
        raise InputError(f"{run.folder} has no new games: add some with `srec add-games`")
    if data.digest != run.record["data"]["digest"]:
        raise DataError(
            f"{data.folder} is not the data that {run.folder} was trained on: name the right folder"
        )
    about = run.record["new_games"]
    is_new = torch.tensor(run.items()["train_clicks"].to_pylist()) == 0
    games = NewGames(is_new, about["bonus"], about["share"])
    sessions, targets = _examples(run, data.folder / f"new_{split}.parquet", data)
    answers, among = [], []
    ranker = run.ranker()
    for start in range(0, len(sessions), BATCH):
        batch = sessions[start : start + BATCH]

        def rank(
            places: Sequence[int], chosen: Sequence[Selection], batch: list[list[int]] = batch
        ) -> list[TopK]:
            return ranker.rank([batch[place] for place in places], chosen)

        answers += games.rank(rank, [Selection(ANSWERED, session) for session in batch])
        among += ranker.rank(batch, [Selection(ANSWERED, session, is_new) for session in batch])
    known = float(np.mean([target > 0 for target in targets]))
    return {
        "examples": len(targets),
        "known": known,
        "recall@20": _found(answers, targets),
        "recall@20_among_new": _found(among, targets),
        "by_chance": known * min(1.0, ANSWERED / int(is_new.sum())),
    }


def _examples(run: Run, path: Path, data: Dataset) -> tuple[list[list[int]], list[int]]:
    """Sessions and targets in the run's items; 0 for a target that it does not know."""
    if not path.is_file():
        raise DataError(f"{path} is missing: prepare the reviews again")
    table = pq.read_table(path)
    if not len(table):
        raise InputError(f"{path} holds no example: nobody reviewed a game that training does not know")
    vocabulary = Vocabulary(run.items()["appid"].to_pylist())
    place = [0, *vocabulary.items(data.vocabulary.appids.tolist())]
    sessions = [[place[item] for item in session] for session in table["items"].to_pylist()]
    return sessions, vocabulary.items(table["appid"].to_pylist())


def _found(answers: Sequence[TopK], targets: Sequence[int]) -> float:
    return float(np.mean([target in best.items for best, target in zip(answers, targets, strict=True)]))

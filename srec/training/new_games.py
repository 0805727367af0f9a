"""Games that came after a training: their vectors from content, in a copy of the run.

What a model has learnt of a game lies in rows of its tables. Ridge regression maps content (tags, genres,
makers, year, price) to these rows, from the games of the run, each counted by the root of its clicks; games
without a click get what it predicts. So any model with item tables can recommend them, and serving pays
nothing for it. In the global graph they stand alone.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from srec.errors import InputError
from srec.graph.neighbours import GlobalGraph
from srec.io import new_folder, write_json
from srec.manifest import RUN
from srec.models import ItemFeatures, SessionModel, model_class
from srec.prepare.content import ContentSpace, game_of
from srec.prepare.context import OTHER, context_values
from srec.prepare.games import Game
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.ridge import Ridge
from srec.training.run import Run

RIDGE = 1.0  # chosen on validation: recall of new games among new games
SHARE = 0.2
DAYS = 730
CALIBRATED_AT = 20  # games of an answer


@dataclass(frozen=True)
class Widening:
    """A run's items among more of them.

    Attributes:
        games: all games in ascending order of appid, the run's and the new ones.
        places: where the run's items and padding stand among them, int64 [V+1].
        new: where the new ones stand, int64 [new].
    """

    games: Sequence[Game]
    places: NDArray[np.int64]
    new: NDArray[np.int64]

    @classmethod
    def of(cls, known: Sequence[Game], new: Sequence[Game]) -> "Widening":
        """Merge the run's games with new ones."""
        games = sorted([*known, *new], key=lambda game: game.appid)
        place = {game.appid: item for item, game in enumerate(games, start=1)}
        return cls(
            games,
            np.array([0, *(place[game.appid] for game in known)], np.int64),
            np.array([place[game.appid] for game in new], np.int64),
        )


def released_lately(games: Mapping[int, Game], run: Run, until: date, days: int = DAYS) -> list[Game]:
    """Games with tags that the run does not know, released in the ``days`` before ``until``.

    An older game that nobody reviewed is no new game: it would take their places.
    """
    known = set(run.items()["appid"].to_pylist())
    return [
        game
        for appid, game in sorted(games.items())
        if appid not in known and game.tags and game.released and 0 <= (until - game.released).days <= days
    ]


def add_games(run: Run, new: Sequence[Game], out: Path, share: float = SHARE) -> dict[str, Any]:
    """Write a copy of ``run`` that knows ``new`` games, too; returns what it says of them.

    Args:
        run: a run with metadata whose model is trained by gradient.
        new: games that it does not know, see ``released_lately``.
        out: folder of the copy.
        share: of an answer's games at most this share is new.

    Raises:
        InputError: the run cannot take games, or there is none.
    """
    RUN.check_target(out)
    known = [game_of(row) for row in run.items().to_pylist()]
    _check(run, known, new)
    wide = Widening.of(known, new)
    space = ContentSpace.of(known)
    fitted = Ridge(space.rows(known), np.sqrt(run.items()["train_clicks"].to_numpy()), RIDGE)
    content = space.rows(new)
    features = _features(run, wide, fitted, content)
    model = _model(run, wide, features, fitted, content)
    graph = _graph(run.graph(), wide)
    sessions = [wide.places[session].tolist() for session in run.sample_sessions()]
    bonus = _bonus(
        Ranker(EagerScorer(model, model.hops), ArrayStore(graph), features.max_clicks), wide, sessions, share
    )
    about = {"games": len(new), "share": share, "bonus": bonus, "run": run.digest}
    with new_folder(out) as folder:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
        graph.save(folder / "graph.safetensors")
        known_of = {"tags": features.tags, "context": features.context}
        save_file({k: v for k, v in known_of.items() if v is not None}, folder / "features.safetensors")
        pq.write_table(_items(run.items(), new), folder / "items.parquet")
        if (run.folder / "context.json").is_file():
            shutil.copyfile(run.folder / "context.json", folder / "context.json")
        write_json(folder / "sessions.json", sessions)
        record = json.loads(json.dumps(run.record)) | {"n_items": features.n_items, "new_games": about}
        write_json(folder / RUN.name, record | RUN.seal(folder))
    return about


def _check(run: Run, known: Sequence[Game], new: Sequence[Game]) -> None:
    if not new:
        raise InputError("there is no new game: none has tags, is unknown to the run and was released lately")
    if "new_games" in run.record:
        raise InputError(f"{run.folder} has new games already: give the run that it was made from")
    if run.refitted or not any(game.tags for game in known):
        raise InputError(f"{run.folder} knows no tags of its games: train on reviews with --games")
    if not model_class(run.settings.model).trained_by_gradient:
        raise InputError(
            f"{run.settings.model} only counts clicks, and new games have none: name another run"
        )


def _features(run: Run, wide: Widening, fitted: Ridge, content: sp.csr_array[np.float32]) -> ItemFeatures:
    """Tag vectors and context of all games."""
    known = run.features()
    tags = context = None
    if known.tags is not None:
        tags = torch.from_numpy(_spread(known.tags.numpy(), wide))
        tags[wide.new] = torch.from_numpy(fitted.predict(known.tags.numpy()[1:], content)).clamp(min=0)
    if known.context is not None:
        context = torch.from_numpy(_spread(known.context.numpy(), wide))
        index = {value: number for number, value in enumerate(run.context_values())}
        for place in wide.new.tolist():
            for column, value in context_values(wide.games[place - 1]):
                context[place, column] = index.get(value, index.get((value[0], OTHER), 0))
    return ItemFeatures(len(wide.games), known.max_clicks, tags, context, known.n_context)


def _model(
    run: Run, wide: Widening, features: ItemFeatures, fitted: Ridge, content: sp.csr_array[np.float32]
) -> SessionModel:
    """The run's model over all games: learnt rows spread out and predicted, the rest as it is."""
    old = dict(run.model().state_dict())
    model = model_class(run.settings.model)(run.settings.model_settings(), features).eval()
    learnt = {name for name, weights in model.named_parameters() if weights.requires_grad}
    n_items, state = run.record["n_items"], {}
    for name, fresh in model.state_dict().items():
        weights = old[name]
        if fresh.shape == weights.shape:
            state[name] = weights
        elif name not in learnt:
            state[name] = fresh  # made from the features
        else:
            padded = len(weights) == n_items + 1
            rows = weights.numpy() if padded else np.concatenate([weights[:1].numpy(), weights.numpy()])
            all_rows = _spread(rows, wide)
            all_rows[wide.new] = fitted.predict(rows[1:], content)
            state[name] = torch.from_numpy(all_rows if padded else all_rows[1:])
    model.load_state_dict(state)
    return model


def _spread(rows: NDArray[Any], wide: Widening) -> NDArray[Any]:
    """Rows [V+1, ...] at their new places; zeros for the new games."""
    spread = np.zeros((len(wide.games) + 1, *rows.shape[1:]), rows.dtype)
    spread[wide.places] = rows
    return spread


def _graph(graph: GlobalGraph, wide: Widening) -> GlobalGraph:
    neighbours = wide.places[graph.neighbours].astype(np.int32)
    return GlobalGraph(_spread(neighbours, wide), _spread(graph.weights, wide))


def _items(items: pa.Table, new: Sequence[Game]) -> pa.Table:
    rows = [
        {name: getattr(game, name, None) for name in items.column_names}
        | {"train_clicks": 0, "genres": list(game.genres), "tags": list(game.tags)}
        for game in new
    ]
    table = pa.concat_tables([items, pa.Table.from_pylist(rows, schema=items.schema)]).sort_by("appid")
    numbers = pa.array(range(1, len(table) + 1), pa.int32())
    return table.set_column(table.schema.get_field_index("item"), "item", numbers)


def _bonus(ranker: Ranker, wide: Widening, sessions: Sequence[list[int]], share: float) -> float:
    """What puts new games on half of their share of the places in the median session.

    Nothing is known of how popular a new game is, and the regression draws its vector to the middle: without
    a bonus hardly one would reach an answer.
    """
    wanted = max(1, round(share * CALIBRATED_AT / 2))
    is_new = torch.zeros(len(wide.games), dtype=torch.bool)
    is_new[wide.new - 1] = True
    lacks = []
    for session in sessions:
        scores = ranker.scores([session])[0].index_fill(0, torch.tensor(session) - 1, -torch.inf)
        others, new = scores[~is_new], scores[is_new]
        place = min(CALIBRATED_AT - wanted, len(others) - 1)
        lacks.append(others.topk(place + 1).values[-1] - new.topk(min(wanted, len(new))).values[-1])
    return float(torch.stack(lacks).nan_to_num(posinf=0.0, neginf=0.0).median())

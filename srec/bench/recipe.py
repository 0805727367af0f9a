"""What a trained model's tables and weights look like, as a few dozen numbers.

``learn`` reads them off a trained run; ``recipe.json`` is what one run on Steam gave (its digest stands
inside), and ``srec.bench.synthetic`` builds models of any size from it. Everything is written in the basis of
the item table's right singular vectors: direction 0 carries popularity, the others carry taste.
"""

import json
from importlib import resources
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from srec.errors import InputError
from srec.graph.inputs import model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks
from srec.models import SessionModel
from srec.models.gce_gnn import GceGnn, GlobalAggregator
from srec.stores.array import ArrayStore

POPULARITY = (0.0, 0.002, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DIRECTIONS = (1, 2, 3, 4, 6, 8, 12, 20, 32, 64, 128, 192, 256, 320, 351)
CORNER = 4
LEAST_DIM = 64  # the farthest direction that ``portrait`` tells of
DRAWN = 500


class Recipe(BaseModel):
    """A trained model in numbers.

    Attributes:
        run: digest of the run that was read; its width D and its items V beside it.
        popularity: mean of coordinate 0 at the shares POPULARITY of the items, most clicked first.
        popularity_std: spread of coordinate 0 around that mean.
        ones: cosine of direction 0 with the vector of ones (ReLU leaves its mark).
        spread: standard deviation of the coordinates DIRECTIONS.
        mix_self, mix_neighbours: the two halves of the global aggregator's W2 in this basis, the first 4 x 4.
        mix_rows, mix_columns: standard deviation of W2's rows and columns, coordinates 0 and DIRECTIONS.
        weights: mean and standard deviation of every other weight.
        session_length: mean length of the session vectors of 1 to 5 random items.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    dim: int
    items: int
    popularity: list[float]
    popularity_std: float
    ones: float
    spread: list[float]
    mix_self: list[list[float]]
    mix_neighbours: list[list[float]]
    mix_rows: list[float]
    mix_columns: list[float]
    weights: dict[str, tuple[float, float]]
    session_length: float


def committed() -> Recipe:
    """The recipe that the benchmarks use."""
    return Recipe(**json.loads(resources.files("srec.bench").joinpath("recipe.json").read_text()))


def learn(
    model: SessionModel, graph: GlobalGraph, clicks: NDArray[np.int64], digest: str
) -> tuple[Recipe, dict[str, Any]]:
    """Read a trained GCE-GNN; returns its recipe and, to compare with, how its session vectors lie.

    Args:
        model: one with dot-product scoring.
        graph: the global graph that goes with it.
        clicks: clicks of each item in training, [V].
        digest: of the run.

    Raises:
        InputError: the model is another one, narrower than ``LEAST_DIM``, or has fewer items than its width.
    """
    if not isinstance(model, GceGnn) or model.settings.scoring != "dot":
        raise InputError("a recipe is read off a gce-gnn with scoring=dot: train one with --preset srec")
    width = model.settings.dim
    if width < LEAST_DIM or model.n_items < width:
        raise InputError(
            f"this run has {model.n_items} items of width {width}: a recipe is read off a width of at least "
            f"{LEAST_DIM} and as many items as the width; train with another --set dim=N"
        )
    with torch.inference_mode():
        table = model.item_vectors()
        basis = _basis(table)
        coordinates = (table @ basis.T).numpy()  # [V, D]
        order = np.argsort(-clicks, kind="stable")
        first = coordinates[order, 0]
        smooth = _running_mean(first)
        dim = table.shape[1]
        picked = [min(j, dim - 1) for j in DIRECTIONS]
        mix = cast(GlobalAggregator, model.aggregators[0]).w2.weight
        mine, theirs = (basis @ half @ basis.T for half in torch.tensor_split(mix, 2, dim=1))
        rest = torch.cat([mine[CORNER:], theirs[CORNER:]], dim=1)
        sessions = session_vectors(model, graph)
        recipe = Recipe(
            run=digest,
            dim=dim,
            items=len(table),
            popularity=_rounded(smooth[[round(p * (len(table) - 1)) for p in POPULARITY]]),
            popularity_std=round(float((first - smooth).std()), 4),
            ones=round(float(basis[0].sum() / dim**0.5), 4),
            spread=_rounded(coordinates[:, picked].std(axis=0)),
            mix_self=[_rounded(row) for row in mine[:CORNER, :CORNER].numpy()],
            mix_neighbours=[_rounded(row) for row in theirs[:CORNER, :CORNER].numpy()],
            mix_rows=_rounded(torch.cat([mine, theirs], dim=1)[[0, *picked], 2 * CORNER :].std(1).numpy()),
            mix_columns=_rounded(rest[:, [0, *picked]].std(0).numpy()),
            weights=_weights(model),
            session_length=round(float(sessions.norm(dim=1).mean()), 3),
        )
    return recipe, portrait(model, graph)


def session_vectors(model: SessionModel, graph: GlobalGraph) -> Tensor:
    """Session vectors of 1 to 5 random items each, the benchmark's inputs, [DRAWN, D]."""
    random = np.random.default_rng(0)
    drawn = [random.integers(1, graph.n_items + 1, random.integers(1, 6)).tolist() for _ in range(DRAWN)]
    with torch.inference_mode():
        inputs = model_inputs(pad_clicks(drawn, 5), ArrayStore(graph).fetch, model.hops)
        return model.encode(*inputs)


def portrait(model: SessionModel, graph: GlobalGraph) -> dict[str, Any]:
    """How the table and session vectors of random items lie: what pruning and few bits depend on."""
    with torch.inference_mode():
        table, sessions = model.item_vectors(), session_vectors(model, graph)
        energy = _basis_energy(table)
        norms = table.norm(dim=1)
        scores = sessions @ table.T  # [S, V]
        spread = scores.std(dim=1)
        standard = ((scores - scores.mean(dim=1, keepdim=True)) / spread.unsqueeze(1)).sort(1).values
        _, _, directions = torch.linalg.svd(table[:: max(1, len(table) // 50_000)], full_matrices=False)
        along = (sessions @ directions.T).square()
        along = (along / along.sum(1, keepdim=True)).mean(0).cumsum(0)
        best = scores.topk(20, dim=1).indices
        lengths = sessions.norm(dim=1)
        cosine = (scores.gather(1, best) / lengths.unsqueeze(1) / norms[best]).mean(0)

        def at(share: float) -> float:
            return round(float(standard[:, -1 - int(share * len(table))].median()), 2)

        return {
            "row norm, 1 / 50 / 99 %": _rounded(norms.quantile(torch.tensor([0.01, 0.5, 0.99])).numpy()),
            "mean row / mean norm": round(float(table.mean(0).norm() / norms.mean()), 3),
            "table energy in 1 / 4 / 16 / 64 directions": _rounded(energy[[0, 3, 15, 63]].numpy()),
            "session energy in the same": _rounded(along[[0, 3, 15, 63]].numpy()),
            "session length, mean": round(float(lengths.mean()), 2),
            "score spread / (session length x row norm)": round(
                float((spread / lengths).mean() / norms.mean()), 3
            ),
            "standard score at 0.1 / 1 / 10 / 50 %": [at(0.001), at(0.01), at(0.1), at(0.5)],
            "cosine with best, 5th, 20th": _rounded(cosine[[0, 4, 19]].numpy()),
            "norm of the best 20 / mean norm": round(float(norms[best].mean() / norms.mean()), 3),
            "different items among all best 20": int(torch.bincount(best.flatten()).count_nonzero()),
        }


def _basis(table: Tensor) -> Tensor:
    """Right singular vectors, rows; the first points to the mean row, the others are signed freely."""
    basis: Tensor = torch.linalg.svd(table, full_matrices=False)[2]
    basis[0] *= torch.sign(basis[0] @ table.mean(0))
    return basis


def _basis_energy(table: Tensor) -> Tensor:
    squares = torch.linalg.eigvalsh(table.T @ table).flip(0)
    shares: Tensor = squares / squares.sum()
    return shares.cumsum(0)


def _running_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over a window that is narrow at the head, where few items differ much, and wide in the tail."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    place = np.arange(len(values))
    reach = np.minimum(2 + place // 8, len(values) // 20)
    low, high = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    means: NDArray[np.float64] = (sums[high] - sums[low]) / (high - low)
    return means.astype(np.float32)


def _weights(model: GceGnn) -> dict[str, tuple[float, float]]:
    tables = ("items.", "tags.")
    found: dict[str, Tensor] = {
        name: p for name, p in model.named_parameters() if not name.startswith(tables)
    }
    found["aggregators.0.w1.counts"] = found["aggregators.0.w1.weight"][:, -1]
    del found["aggregators.0.w2.weight"]
    return {name: (round(float(p.mean()), 5), round(float(p.std()), 5)) for name, p in found.items()}


def _rounded(values: NDArray[Any]) -> list[float]:
    return [round(float(value), 4) for value in values]

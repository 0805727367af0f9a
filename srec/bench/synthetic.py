"""Models of any size that lie as trained ones do, from ``recipe.json`` and a seed.

Random tables flatter some tricks and punish others: a trained table has a strong common direction that
carries popularity, a falling spectrum, and session vectors that use both. Here every weight is drawn with the
mean and spread that training gave it, the item table and W2 (equation 7) in the basis of the table's
directions. ``results/bench/README.md`` compares trained and synthetic.
"""

import math
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from srec.bench.recipe import CORNER, DIRECTIONS, POPULARITY, Recipe, committed, session_vectors
from srec.graph.neighbours import GlobalGraph
from srec.models import ItemFeatures, SessionModel
from srec.models.gce_gnn import GceGnn, GceGnnSettings, GlobalAggregator

ITEMS = 42_429  # SRec's catalogue
NEIGHBOURS = 12
MAX_CLICKS = 50
CONTEXT_FIELDS, CONTEXT_VALUES = 4, 900
TAGS_AN_ITEM = 12
ROWS_PER_CHUNK = 1 << 16

# Steam's reviews: a neighbour is at share u^6.8 of the popularity order, counts fall as count^-1.43.
NEIGHBOUR_SKEW, COUNT_POWER, MOST_COUNT = 6.8, 1.43, 100

_FILLED_BELOW = ("items.weight", "tags.factors", "aggregators.0.w2.weight")


def synthetic_model(
    items: int = ITEMS, dim: int = 352, seed: int = 0, metadata: bool = True
) -> tuple[SessionModel, GlobalGraph]:
    """Build the model of ``--preset srec`` and its global graph; the same arguments give the same bits.

    Args:
        items: V, at least 100.
        dim: D, at least 8.
        seed: of all that is drawn.
        metadata: with tags and context, as SRec; without them (as in the paper) it takes half the memory.
    """
    recipe, generator = committed(), torch.Generator().manual_seed(seed)
    random = np.random.default_rng(seed)
    place = random.permutation(items)  # of each item in the order of popularity, 0 the most clicked
    basis = _basis(dim, recipe.ones, generator)
    features = ItemFeatures(items, MAX_CLICKS)
    if metadata:
        features = ItemFeatures(
            items,
            MAX_CLICKS,
            _tags(items, dim, generator),
            _context(items, random),
            CONTEXT_VALUES,
        )
    with torch.no_grad(), torch.device("meta"):  # nothing is drawn twice
        settings = GceGnnSettings.model_validate({"dim": dim, "tags": metadata, "context": metadata})
        model = GceGnn(settings, features)
    model.requires_grad_(False).eval()
    graph = _graph(items, place, random)
    _fill(model, features, recipe, basis, generator)
    _fill_table(model.items.weight, recipe, basis, place, generator)
    mean_length = session_vectors(model, graph).norm(dim=1).mean()
    model.attention.q2.mul_(recipe.session_length / mean_length)
    return model, graph


def _fill(
    model: GceGnn, features: ItemFeatures, recipe: Recipe, basis: Tensor, generator: torch.Generator
) -> None:
    """Draw or copy everything but the item table."""
    dim = model.settings.dim
    model.to_empty(device="cpu")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name not in _FILLED_BELOW:
                mean, spread = _at_width(name, *recipe.weights[name], dim / recipe.dim)
                parameter.normal_(mean, spread, generator=generator)
        counts = recipe.weights["aggregators.0.w1.counts"]
        aggregator = cast(GlobalAggregator, model.aggregators[0])
        aggregator.w1.weight[:, -1].normal_(*counts, generator=generator)
        aggregator.w2.weight.copy_(_mix(recipe, basis, generator))
        if model.tags is not None and features.tags is not None:
            model.tags.factors.copy_(features.tags)
        if model.context is not None and features.context is not None:
            model.context.indices.copy_(features.context)


def _at_width(name: str, mean: float, spread: float, ratio: float) -> tuple[float, float]:
    """Weights that sum over D inputs shrink as D grows, so that the sums stay as they were."""
    if name.endswith((".q1", ".q2")):
        return mean / ratio, spread / math.sqrt(ratio)
    if name.endswith(("w3.weight", "w4.weight", "w5.weight")):
        return mean / math.sqrt(ratio), spread / math.sqrt(ratio)
    return mean, spread


def _basis(dim: int, ones: float, generator: torch.Generator) -> Tensor:
    """Orthonormal rows [D, D]; the first has the cosine ``ones`` with the vector of ones."""
    drawn = torch.randn(dim, dim, generator=generator)
    flat = torch.full((dim,), 1 / math.sqrt(dim))
    aside = F.normalize(drawn[0] - drawn[0] @ flat * flat, dim=0)
    drawn[0] = ones * flat + math.sqrt(1 - ones**2) * aside
    rows: Tensor = torch.linalg.qr(drawn.T).Q.T.contiguous()
    rows[0] *= torch.sign(rows[0] @ flat)
    return rows


def _profile(values: list[float], recipe: Recipe, dim: int) -> Tensor:
    """Values at DIRECTIONS -> one for each direction 1..D-1 of another width, of the same energy."""
    wanted = torch.arange(1, dim).numpy().astype(np.float64)
    # The leading directions keep their place, the tail is stretched.
    stretched = np.where(wanted < CORNER, wanted, CORNER + (wanted - CORNER) * recipe.dim / dim)
    found = np.interp(np.log(stretched), np.log(np.array(DIRECTIONS)), np.array(values))
    found[CORNER - 1 :] *= math.sqrt(recipe.dim / dim)
    return torch.from_numpy(found.astype(np.float32))


def _fill_table(
    weight: Tensor, recipe: Recipe, basis: Tensor, place: NDArray[np.int64], generator: torch.Generator
) -> None:
    """Draw the item table [V+1, D] in chunks of rows, so that ten million items need no second table."""
    items, dim = len(place), weight.shape[1]
    share = place / max(items - 1, 1)
    popularity = torch.from_numpy(np.interp(share, POPULARITY, recipe.popularity).astype(np.float32))
    spread = torch.cat([torch.tensor([recipe.popularity_std]), _profile(recipe.spread, recipe, dim)])
    turned = spread.unsqueeze(1) * basis  # [D, D]
    weight[0] = 0
    for start in range(0, items, ROWS_PER_CHUNK):
        stop = min(start + ROWS_PER_CHUNK, items)
        noise = torch.randn(stop - start, dim, generator=generator)
        rows = weight[start + 1 : stop + 1]
        torch.mm(noise, turned, out=rows)
        rows.addcmul_(popularity[start:stop].unsqueeze(1), basis[0])


def _mix(recipe: Recipe, basis: Tensor, generator: torch.Generator) -> Tensor:
    """W2 [D, 2D]: the leading directions as trained, the others drawn with the spread of row and column."""
    dim = len(basis)
    rows = torch.cat([torch.tensor(recipe.mix_rows[:1]), _profile(recipe.mix_rows[1:], recipe, dim)])
    columns = torch.cat([torch.tensor(recipe.mix_columns[:1]), _profile(recipe.mix_columns[1:], recipe, dim)])
    scale = rows.unsqueeze(1) * columns / columns.square().mean().sqrt()  # [D, D]
    halves = []
    for corner in (recipe.mix_self, recipe.mix_neighbours):
        half = torch.randn(dim, dim, generator=generator) * scale
        half[:CORNER, :CORNER] = torch.tensor(corner)
        halves.append(basis.T @ half @ basis)
    return torch.cat(halves, dim=1)


def _tags(items: int, dim: int, generator: torch.Generator) -> Tensor:
    """Few factors of the tag matrix an item, none negative, [V+1, D], rows of length 1."""
    tags = torch.zeros(items + 1, dim)
    which = torch.randint(dim, (items, min(TAGS_AN_ITEM, dim)), generator=generator)
    tags[1:].scatter_(1, which, torch.rand(which.shape, generator=generator) + 0.05)
    return F.normalize(tags, dim=-1)


def _context(items: int, random: np.random.Generator) -> Tensor:
    """A value for each context field of each item, int64 [V+1, C]; a few values are far more frequent."""
    share = random.random((items + 1, CONTEXT_FIELDS)) ** 3
    indices = 1 + (share * (CONTEXT_VALUES - 1)).astype(np.int64)
    indices[0] = 0
    return torch.from_numpy(indices)


def _graph(items: int, place: NDArray[np.int64], random: np.random.Generator) -> GlobalGraph:
    """Neighbours drawn by popularity with power-law counts; no item is twice in a row."""
    size = min(NEIGHBOURS, items)
    by_place = np.argsort(place).astype(np.int32)  # place -> item - 1
    neighbours = np.zeros((items + 1, size), np.int32)
    weights = np.zeros((items + 1, size), np.float32)
    step = np.arange(size)
    for start in range(0, items, ROWS_PER_CHUNK):
        rows = min(ROWS_PER_CHUNK, items - start)
        places = np.sort((items * random.random((rows, size)) ** NEIGHBOUR_SKEW).astype(np.int64), axis=1)
        distinct = np.maximum.accumulate(places - step, axis=1) + step
        drawn = by_place[np.minimum(distinct, items - size + step)] + 1
        neighbours[start + 1 : start + rows + 1] = random.permuted(drawn, axis=1)
        counts = np.floor((1 - random.random((rows, size))) ** (-1 / COUNT_POWER))
        weights[start + 1 : start + rows + 1] = -np.sort(-np.minimum(counts, MOST_COUNT), axis=1)
    return GlobalGraph(neighbours, weights)

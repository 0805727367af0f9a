"""GCE-GNN's encoder for one session, as loops; equation numbers are the paper's (arXiv 2106.05081).

It computes what ``srec.export.fold_gce_gnn`` computes for a batch. As calls of torch that takes dozens, most
of which are over before they have begun; here loops stand around the one product that is worth a library.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from srec.compiled import compiled
from srec.graph.inputs import LoneInputs
from srec.matmul import rows_by_columns
from srec.serving.loops import Floats, add_product

KEPT: Final = 128  # rows of the largest product that memory is kept for
ABSENT: Final = np.float32(-1e30)  # far below any score of attention, and still a number
SHORTEST: Final = np.float32(1e-12)  # a vector is not scaled up from less, as in ``srec.models.scoring``
ONE, TWO = np.float32(1), np.float32(2)
LARGEST: Final = np.float32(87)  # e to more is no float32
PER_TWO: Final = np.float32(1 / math.log(2))
LN2: Final = np.float32(355 / 512)  # so few bits that its products with whole numbers are exact
LN2_REST: Final = np.float32(math.log(2) - 355 / 512)
TAYLOR: Final = tuple(np.float32(1 / math.factorial(n)) for n in range(8))  # right to 6e-9 up to ln 2 / 2
EXPONENT, BIAS = np.int32(23), np.int32(127)  # of float32: its first bit, and what stands for 2 ** 0


class Weights(NamedTuple):
    """What the loops multiply by, float32; a matrix as [in, out].

    Attributes:
        w1_weight: of W1 of equation 3, the weight's column, [D].
        q1: [D].
        slope: of the LeakyReLUs, [1].
        w2: of equation 7, the neighbours' half, [D, D].
        kinds: of equation 8, by kind of edge, [4, D].
        w3: of equation 13, the clicks' part, [D, D].
        positions: the positions' part of it, the last click's first, [clicks, D].
        w4, b4, w5, q2: of equation 15, [D, D], [D], [D, D], [D].
        scale: length of a session vector in cosine scoring, [1]; 0 leaves it as it is.
    """

    w1_weight: Floats
    q1: Floats
    slope: Floats
    w2: Floats
    kinds: Floats
    w3: Floats
    positions: Floats
    w4: Floats
    b4: Floats
    w5: Floats
    q2: Floats
    scale: Floats


class Tables(NamedTuple):
    """What an item alone decides, float32 [V+1, D]; ``side`` [0, D] where the model has none."""

    items: Floats
    own: Floats
    side: Floats


class Room(NamedTuple):
    """Memory for W1's product.

    Attributes:
        left, around: what it multiplies [rows, D], as tensor and as array.
        out, raw: what it gives, the same.
    """

    left: Tensor
    around: Floats
    out: Tensor
    raw: Floats


class LoneGceGnn:
    """Session vectors of one hop, one at a time; for one thread, since calls share the memory they write to.

    Args:
        tables: of the artifact; in it ``lone.w1``, the rest of W1 as [in, out], and the fields of ``Weights``
            with ``lone.`` before their names.
    """

    def __init__(self, tables: Mapping[str, Tensor]) -> None:
        items = tables["items"]
        side = tables.get("side", items[:0])
        self._tables = Tables(items.numpy(), tables["own"].numpy(), side.numpy())
        # Read by every request, so worth pages of this process' own: those of a mapped file are small.
        self._w1 = tables["lone.w1"].clone()
        self._weights = Weights(*(tables[f"lone.{name}"].clone().numpy() for name in Weights._fields))
        self._rooms: dict[int, Room] = {}

    def __call__(self, session: LoneInputs) -> Floats:
        """The session's vector, float32 [1, D]."""
        room = self._room(session.ids.size)
        look_around(self._tables, session, room.around)
        rows_by_columns(room.left, self._w1, room.out)
        vector = np.empty((1, len(self._w1)), np.float32)
        encode(self._tables, self._weights, session, room.raw, vector)
        return vector

    def _room(self, rows: int) -> Room:
        """Memory for W1's product; kept where sessions are short, as most are."""
        room = self._rooms.get(rows)
        if room is None:
            with torch.inference_mode(False):  # a batch's memory may be a lone session's next
                left, out = torch.empty(2, rows, len(self._w1))
            room = Room(left, left.numpy(), out, out.numpy())
            if rows <= KEPT:
                self._rooms[rows] = room
        return room


ENCODER: Final = LoneGceGnn


@compiled
def look_around(tables: Tables, session: LoneInputs, around: Floats) -> None:
    """Write what W1 of equation 3 multiplies: neighbours times the session's mean, [N * K, D]."""
    items, alias, ids = tables.items, session.alias, session.ids
    mean, share = np.zeros(items.shape[1], np.float32), np.float32(1 / len(alias))
    for click in range(len(alias)):
        item = session.nodes[alias[click]]
        for d in range(len(mean)):
            mean[d] += items[item, d] * share
    for node in range(len(ids)):
        for i in range(ids.shape[1]):
            item = ids[node, i]
            for d in range(len(mean)):
                around[node * ids.shape[1] + i, d] = items[item, d] * mean[d]


@compiled
def encode(tables: Tables, weights: Weights, session: LoneInputs, raw: Floats, vector: Floats) -> None:
    """Write the session's vector [1, D], with ``raw`` [N * K, D] the product by W1."""
    h = _from_global_graph(tables, weights, session, raw)
    _add_local(tables, weights, session, h)
    gates = _gates(tables, weights, session, h)
    vector[:] = 0
    for click in range(len(gates)):  # equations 15 and 16
        node, beta = session.alias[click], np.float32(0)
        for d in range(gates.shape[1]):
            beta += weights.q2[d] * gates[click, d]
        for d in range(gates.shape[1]):
            vector[0, d] += beta * h[node, d]
    if weights.scale[0] > 0:
        _scale(vector, weights.scale[0])


@compiled
def _gates(tables: Tables, weights: Weights, session: LoneInputs, h: Floats) -> Floats:
    """The sigmoid of equation 15, [L, D], of clicks on nodes with the vectors h' [N, D]."""
    alias, (clicks, dim) = session.alias, (len(session.alias), h.shape[1])
    mean, into = np.zeros((1, dim), np.float32), np.zeros(h.shape, np.float32)
    z, gates = np.empty((clicks, dim), np.float32), np.empty((clicks, dim), np.float32)
    for click in range(clicks):
        for d in range(dim):
            mean[0, d] += h[alias[click], d] / np.float32(clicks)
    add_product(h, weights.w3, into)
    for click in range(clicks):
        for d in range(dim):
            z[click, d] = into[alias[click], d] + weights.positions[clicks - 1 - click, d]
        if len(tables.side):
            item = session.nodes[alias[click]]
            for d in range(dim):
                z[click, d] += tables.side[item, d]
    _tanh(z.ravel())  # equation 13
    of_mean = np.zeros((1, dim), np.float32)
    add_product(mean, weights.w5, of_mean)
    for click in range(clicks):
        for d in range(dim):
            gates[click, d] = of_mean[0, d] + weights.b4[d]
    add_product(z, weights.w4, gates)
    _sigmoid(gates.ravel())
    return gates


@compiled
def _from_global_graph(tables: Tables, weights: Weights, session: LoneInputs, raw: Floats) -> Floats:
    """Equations 3 to 7, [N, D]."""
    items, ids, slope = tables.items, session.ids, weights.slope[0]
    n, k = ids.shape
    mixed, h = np.zeros((n, items.shape[1]), np.float32), np.empty((n, items.shape[1]), np.float32)
    shares = np.empty(k, np.float32)
    for node in range(n):
        for i in range(k):
            row, count, score = node * k + i, session.weights[node, i], np.float32(0)
            for d in range(raw.shape[1]):
                value = raw[row, d] + count * weights.w1_weight[d]
                score += weights.q1[d] * max(value, slope * value)
            shares[i] = score if ids[node, i] else ABSENT
        _softmax(shares)
        # Where no neighbour is present all count the same, and are the zeros of the padding row.
        for i in range(k):
            item, share = ids[node, i], shares[i]
            for d in range(items.shape[1]):
                mixed[node, d] += share * items[item, d]
        item = session.nodes[node]
        for d in range(items.shape[1]):
            h[node, d] = tables.own[item, d]
    add_product(mixed, weights.w2, h)
    for node in range(n):
        for d in range(h.shape[1]):
            h[node, d] = max(h[node, d], np.float32(0))
    return h


@compiled
def _add_local(tables: Tables, weights: Weights, session: LoneInputs, h: Floats) -> None:
    """Add the local vectors of equations 8 to 10 to those of the global graph [N, D]."""
    items, nodes, slope = tables.items, session.nodes, weights.slope[0]
    shares = np.empty(len(nodes), np.float32)
    for node in range(len(nodes)):
        item = nodes[node]
        for other in range(len(nodes)):
            kind, beside, score = session.edges[node, other] - 1, nodes[other], np.float32(0)
            shares[other] = ABSENT
            if kind >= 0:
                for d in range(items.shape[1]):
                    score += items[item, d] * weights.kinds[kind, d] * items[beside, d]
                shares[other] = max(score, slope * score)
        _softmax(shares)
        for other in range(len(nodes)):
            beside, share = nodes[other], shares[other]
            for d in range(items.shape[1]):
                h[node, d] += share * items[beside, d]


@compiled
def _softmax(scores: Floats) -> None:
    """Scores [n] -> shares that sum to 1."""
    largest, total = scores[0], np.float32(0)
    for score in scores:
        largest = max(largest, score)
    for i in range(len(scores)):
        scores[i] = np.exp(scores[i] - largest)
        total += scores[i]
    for i in range(len(scores)):
        scores[i] /= total


@compiled
def _exp(values: Floats) -> None:
    """e to the values [n], in place; as two plain loops, which a library's function would not be."""
    powers_of_two = np.empty(len(values), np.int32)
    for i in range(len(values)):
        value = min(max(values[i], -LARGEST), LARGEST)
        whole = np.rint(value * PER_TWO)
        x = value - whole * LN2 - whole * LN2_REST
        tail = ((TAYLOR[7] * x + TAYLOR[6]) * x + TAYLOR[5]) * x + TAYLOR[4]
        values[i] = (((tail * x + TAYLOR[3]) * x + TAYLOR[2]) * x + ONE) * x + ONE
        powers_of_two[i] = np.int32(np.int32(np.int32(whole) + BIAS) << EXPONENT)
    factors = powers_of_two.view(np.float32)
    for i in range(len(values)):
        values[i] *= factors[i]


@compiled
def _tanh(values: Floats) -> None:
    for i in range(len(values)):
        values[i] *= TWO
    _exp(values)
    for i in range(len(values)):
        values[i] = ONE - TWO / (values[i] + ONE)


@compiled
def _sigmoid(values: Floats) -> None:
    for i in range(len(values)):
        values[i] = -values[i]
    _exp(values)
    for i in range(len(values)):
        values[i] = ONE / (values[i] + ONE)


@compiled
def _scale(vector: Floats, length: np.float32) -> None:
    """Scale a vector [1, D] to a length."""
    square = np.float32(0)
    for value in vector[0]:
        square += value * value
    vector *= length / max(np.sqrt(square), SHORTEST)

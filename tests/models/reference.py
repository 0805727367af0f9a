"""GCE-GNN and SRec's modification in loops over single numbers: slow, and written from the formulas alone.

h item vectors, s mean of the session's item vectors, p positions from the last click, * element-wise:

    local:    e_ij = LeakyReLU(a_r(ij)^T (h_i * h_j)), softmax over the neighbours j of i,
              h^l_i = sum_j alpha_ij h_j
    global:   pi_ij = q1^T LeakyReLU(W1 [s * h_j ; w_ij]), softmax over the neighbours that exist,
              h_N = sum_j pi_ij h_j, h^g_i = ReLU(W2 [h_i ; h_N]), repeated per hop
    together: h'_i = h^l_i + h^g_i
    session:  z_i = tanh(W3 [h'_i ; p_(L-i+1) ; side_i] + b3),
              beta_i = q2^T sigmoid(W4 z_i + W5 mean(h') + b4),
              S = sum_i beta_i h'_i
    score:    S^T h_v
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Vector: TypeAlias = list[float]
Matrix: TypeAlias = list[Vector]

LEAKY_SLOPE = 0.2


def edge_kinds(session: Sequence[int]) -> dict[tuple[int, int], str]:
    """The kind of every edge of a session's graph, seen from the first item to the second."""
    followed = set(itertools.pairwise(session))
    kinds = {}
    for u in session:
        for v in session:
            if u == v:
                kinds[u, v] = "self"
            elif (u, v) in followed and (v, u) in followed:
                kinds[u, v] = "in-out"
            elif (u, v) in followed:
                kinds[u, v] = "out"
            elif (v, u) in followed:
                kinds[u, v] = "in"
    return kinds


@dataclass
class Hop:
    """Weights of one global aggregator."""

    w1: Matrix
    q1: Vector
    w2: Matrix


@dataclass
class Reference:
    """The model's weights by the names of the formulas; ``items[0]`` is padding.

    ``neighbours[v]`` are the (item, weight) pairs of v that exist; ``side[v]`` is what SRec's modification
    concatenates for item v, empty without it. With ``scale`` the score is that times the cosine.
    """

    items: Matrix
    a: dict[str, Vector]
    hops: list[Hop]
    positions: Matrix
    w3: Matrix
    b3: Vector
    w4: Matrix
    b4: Vector
    w5: Matrix
    q2: Vector
    neighbours: list[list[tuple[int, float]]]
    side: list[Vector] = field(default_factory=list)
    scale: float | None = None

    def scores(self, session: Sequence[int]) -> Vector:
        """The score of every item 1..V after ``session``, oldest click first."""
        s = mean([self.items[click] for click in session])
        h = {
            item: plus(self.local(item, session), self.globally(item, s, len(self.hops)))
            for item in set(session)
        }
        around = times(self.w5, mean([h[click] for click in session]))
        vector = [0.0] * len(s)
        for i, click in enumerate(session):
            position = self.positions[len(session) - 1 - i]
            side = self.side[click] if self.side else []
            z = [math.tanh(x) for x in plus(times(self.w3, [*h[click], *position, *side]), self.b3)]
            gate = [sigmoid(x) for x in plus(plus(times(self.w4, z), around), self.b4)]
            vector = plus(vector, [dot(self.q2, gate) * x for x in h[click]])
        if self.scale is None:
            return [dot(vector, item) for item in self.items[1:]]
        return [self.scale * dot(unit(vector), unit(item)) for item in self.items[1:]]

    def local(self, i: int, session: Sequence[int]) -> Vector:
        """h^l of item i."""
        seen = [(j, kind) for (u, j), kind in edge_kinds(session).items() if u == i]
        e = [leaky(dot(self.a[kind], product(self.items[i], self.items[j]))) for j, kind in seen]
        return weighted(softmax(e), [self.items[j] for j, _ in seen])

    def globally(self, i: int, s: Vector, hop: int) -> Vector:
        """h^g of item i after ``hop`` hops; its plain vector after none."""
        if hop == 0:
            return self.items[i]
        weights = self.hops[hop - 1]
        around = [self.globally(j, s, hop - 1) for j, _ in self.neighbours[i]]
        pi = []
        for vector, (_, weight) in zip(around, self.neighbours[i], strict=True):
            pi.append(dot(weights.q1, [leaky(x) for x in times(weights.w1, [*product(s, vector), weight])]))
        mixed = weighted(softmax(pi), around) if around else [0.0] * len(s)
        return [max(0.0, x) for x in times(weights.w2, [*self.globally(i, s, hop - 1), *mixed])]


def dot(x: Vector, y: Vector) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def product(x: Vector, y: Vector) -> Vector:
    return [a * b for a, b in zip(x, y, strict=True)]


def plus(x: Vector, y: Vector) -> Vector:
    return [a + b for a, b in zip(x, y, strict=True)]


def times(matrix: Matrix, x: Vector) -> Vector:
    return [dot(row, x) for row in matrix]


def mean(vectors: list[Vector]) -> Vector:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def weighted(weights: Vector, vectors: list[Vector]) -> Vector:
    return [dot(weights, list(column)) for column in zip(*vectors, strict=True)]


def softmax(x: Vector) -> Vector:
    powers = [math.exp(a - max(x)) for a in x]
    return [a / sum(powers) for a in powers]


def leaky(x: float) -> float:
    return x if x > 0 else LEAKY_SLOPE * x


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def unit(x: Vector) -> Vector:
    return [a / math.sqrt(dot(x, x)) for a in x]

"""SR-GNN in loops over single numbers, one session at a time: slow, and written from the equations alone.

    message:  a_i = [ sum_j in_ij (H1 h_j + e1) ; sum_j out_ij (H2 h_j + e2) ] + b
    cell:     z = sigmoid(W_z a + U_z h), r = sigmoid(W_r a + U_r h)
              h~ = tanh(W a + U (r * h)), h' = (1 - z) * h + z * h~
    pooling:  alpha_i = q^T sigmoid(W1 h_n + W2 h_i + c), s_g = sum_i alpha_i h_i
    session:  s = W3 [h_n ; s_g]
    score:    s^T v

The authors' form: an edge j -> i weighs 1 however often it occurs, in_ij is that divided by i's in-degree and
out_ij (i -> j) by i's out-degree; biases e1, e2, and in every gate and product; h~ = tanh(W a + r * (U h));
the sums of the pooling are over clicks. The guide's form: an edge weighs how often it occurs over its
source's out-degree, both ways; no biases but b and c; the sums of the pooling are over distinct items.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.models.reference import Vector, dot, leaky, plus, product, sigmoid, softmax, times, unit

Edges = dict[tuple[int, int], float]
Row = list[tuple[int, float]]


@dataclass
class SrGnnReference:
    """The model's weights by their names in the state; ``items[0]`` is padding.

    ``neighbours[v]`` are the (item, weight) pairs of v in the global graph, heaviest first.
    """

    weights: dict[str, Any]
    neighbours: list[Row]
    form: str = "authors"
    attention: bool = False
    steps: int = 1
    scale: float | None = None
    beta: float | None = None
    borrow_up_to: int = 0
    borrow: int = 0

    def scores(self, session: Sequence[int], gaps: Sequence[float] | None = None) -> Vector:
        """The score of every item 1..V after ``session``; ``gaps`` in units of time, before each click."""
        items = self.weights["items.weight"]
        edges, lasting = self.edges(session, gaps)
        h = {item: items[item] for item in {*session, *(u for u, _ in edges)}}
        for _ in range(self.steps):
            h = {item: self.cell(self.message(item, h, edges, lasting), h[item]) for item in h}
        last = h[session[-1]]
        pooled = list(session) if self.form == "authors" else sorted(set(session))
        mixed = [0.0] * len(last)
        for item in pooled:
            inside = plus(self.affine("readout.w1", last), self.affine("readout.w2", h[item]))
            alpha = dot(self.weights["readout.q"], [sigmoid(x) for x in inside])
            mixed = plus(mixed, [alpha * x for x in h[item]])
        vector = plus(self.affine("readout.local", last), self.affine("readout.globally", mixed))
        if self.scale is None:
            return [dot(vector, item) for item in items[1:]]
        return [self.scale * dot(unit(vector), unit(item)) for item in items[1:]]

    def edges(self, session: Sequence[int], gaps: Sequence[float] | None) -> tuple[Edges, Edges]:
        """How often u -> v occurs, borrowed edges among them, and what is left of each after its time."""
        counts: Edges = {}
        left: dict[tuple[int, int], list[float]] = {}
        for place, (u, v) in enumerate(itertools.pairwise(session), start=1):
            counts[u, v] = counts.get((u, v), 0) + 1
            gap = 0.0 if gaps is None else gaps[place]
            left.setdefault((u, v), []).append(math.exp(-(self.beta or 0) * gap))
        lasting = {edge: sum(factors) / len(factors) for edge, factors in left.items()}
        if len(session) <= self.borrow_up_to:
            last = session[-1]
            found = [(j, w) for j, w in self.neighbours[last][: self.borrow] if j not in session]
            for j, weight in found:
                counts[last, j] = counts[j, last] = weight / sum(w for _, w in found)
                lasting[last, j] = lasting[j, last] = 1.0
        return counts, lasting

    def message(self, i: int, h: dict[int, Vector], edges: Edges, lasting: Edges) -> Vector:
        """a_i."""
        weigh = {e: 1.0 if self.form == "authors" and n >= 1 else n for e, n in edges.items()}
        before = [u for u, v in edges if v == i]
        behind = [v for u, v in edges if u == i]
        if self.attention:
            incoming = self.attended(0, "messages.incoming", i, before, h)
            outgoing = self.attended(1, "messages.outgoing", i, behind, h)
        elif self.form == "authors":
            incoming = [weigh[j, i] / sum(weigh[u, i] for u in before) for j in before]
            outgoing = [weigh[i, j] / sum(weigh[i, v] for v in behind) for j in behind]
        else:
            incoming = [weigh[j, i] / sum(n for (u, _), n in weigh.items() if u == j) for j in before]
            outgoing = [weigh[i, j] / sum(weigh[i, v] for v in behind) for j in behind]
        dim = len(h[i])
        heard, said = [0.0] * dim, [0.0] * dim
        for j, w in zip(before, incoming, strict=True):
            heard = plus(heard, [w * lasting[j, i] * x for x in self.affine("messages.incoming", h[j])])
        for j, w in zip(behind, outgoing, strict=True):
            said = plus(said, [w * lasting[i, j] * x for x in self.affine("messages.outgoing", h[j])])
        return plus([*heard, *said], self.weights["messages.bias"])

    def attended(self, way: int, name: str, i: int, around: list[int], h: dict[int, Vector]) -> Vector:
        """softmax_j LeakyReLU(a^T [W h_i ; W h_j])."""
        own, other = self.weights["messages.attention"][way]
        mine = dot(own, self.affine(name, h[i]))
        return softmax([leaky(mine + dot(other, self.affine(name, h[j]))) for j in around]) if around else []

    def cell(self, a: Vector, h: Vector) -> Vector:
        """h'."""
        dim = len(h)
        heard = self.affine("cell.message", a)
        own = self.affine("cell.gates", h)
        r = [sigmoid(x) for x in plus(heard[:dim], own[:dim])]
        z = [sigmoid(x) for x in plus(heard[dim : 2 * dim], own[dim:])]
        if self.form == "authors":
            kept = product(r, self.affine("cell.candidate", h))
        else:
            kept = self.affine("cell.candidate", product(r, h))
        new = [math.tanh(x) for x in plus(heard[2 * dim :], kept)]
        return [(1 - gate) * old + gate * x for gate, old, x in zip(z, h, new, strict=True)]

    def affine(self, name: str, x: Vector) -> Vector:
        result = times(self.weights[f"{name}.weight"], x)
        bias = self.weights.get(f"{name}.bias")
        return result if bias is None else plus(result, bias)

"""GRU4Rec, NARM, STAMP and FPMC, a session at a time, in loops over single numbers, from the equations alone.

Weights are the models' own, by name; row 0 of a table is padding. Each function returns the vector whose dot
product with an item's row of ``items.weight`` is that item's score.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.models.reference import Matrix, Vector, dot, mean, plus, product, sigmoid, times, unit, weighted

Weights = dict[str, Any]


def gru(weights: Weights, name: str, inputs: Sequence[Vector]) -> list[Vector]:
    """States after each input: r reset, z update, n new gate, each a third of the rows."""
    size = len(weights[f"{name}.of_state.weight"]) // 3
    state, states = [0.0] * size, []
    for x in inputs:
        from_x = plus(times(weights[f"{name}.of_input.weight"], x), weights[f"{name}.of_input.bias"])
        from_h = plus(times(weights[f"{name}.of_state.weight"], state), weights[f"{name}.of_state.bias"])
        r = [sigmoid(a + b) for a, b in zip(from_x[:size], from_h[:size], strict=True)]
        z = [sigmoid(a + b) for a, b in zip(from_x[size : 2 * size], from_h[size : 2 * size], strict=True)]
        n = [math.tanh(a) for a in plus(from_x[2 * size :], product(r, from_h[2 * size :]))]
        state = [(1 - g) * new + g * old for g, new, old in zip(z, n, state, strict=True)]
        states.append(state)
    return states


def gru4rec(weights: Weights, session: Sequence[int]) -> Vector:
    table: Matrix = weights["inputs.weight" if "inputs.weight" in weights else "items.weight"]
    states = [table[click] for click in session]
    layers = sum(name.endswith(".of_state.bias") for name in weights)
    for layer in range(layers):
        states = gru(weights, f"layers.{layer}", states)
    return states[-1]


def narm(weights: Weights, session: Sequence[int]) -> Vector:
    states = gru(weights, "gru", [weights["items.weight"][click] for click in session])
    from_last = times(weights["a1.weight"], states[-1])
    alpha = [
        dot(weights["v"], [sigmoid(a) for a in plus(from_last, times(weights["a2.weight"], state))])
        for state in states
    ]
    return times(weights["b.weight"], [*states[-1], *weighted(alpha, states)])


def stamp(weights: Weights, session: Sequence[int]) -> Vector:
    x = [weights["items.weight"][click] for click in session]
    m_s, m_t = mean(x), x[-1]
    anchor = plus(times(weights["w2.weight"], m_t), times(weights["w3.weight"], m_s))
    alpha = []
    for x_i in x:
        into = plus(plus(times(weights["w1.weight"], x_i), anchor), weights["w1.bias"])
        alpha.append(dot(weights["w0"], [sigmoid(a) for a in into]))
    m_a = plus(weighted(alpha, x), m_s)
    h_s = [math.tanh(a) for a in plus(times(weights["ws.weight"], m_a), weights["ws.bias"])]
    h_t = [math.tanh(a) for a in plus(times(weights["wt.weight"], m_t), weights["wt.bias"])]
    return product(h_s, h_t)


def fpmc(weights: Weights, session: Sequence[int]) -> Vector:
    """Without a user: v_l^LI of the last click."""
    return list(weights["clicked.weight"][session[-1]])


def fpmc_with_user(weights: Weights, session: Sequence[int]) -> Vector:
    """[v_l^LI ; mean of v^UI over the earlier clicks], which is zero where there is none."""
    rows: Matrix = weights["clicked.weight"]
    half = len(rows[0]) // 2
    earlier = [rows[click][half:] for click in session[:-1]]
    return [*rows[session[-1]][:half], *(mean(earlier) if earlier else [0.0] * half)]


REFERENCES: Final[dict[str, Callable[[Weights, Sequence[int]], Vector]]] = {
    "gru4rec": gru4rec,
    "narm": narm,
    "stamp": stamp,
    "fpmc": fpmc,
    "fpmc user": fpmc_with_user,
}


def scores(name: str, weights: Weights, session: Sequence[int], scale: float | None = None) -> Vector:
    """The score of every item 1..V; with ``scale`` that times the cosine."""
    vector, items = REFERENCES[name](weights, session), weights["items.weight"][1:]
    if scale is None:
        return [dot(vector, item) for item in items]
    return [scale * dot(unit(vector), unit(item)) for item in items]

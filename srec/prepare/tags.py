"""The tag matrix games x tags, and its non-negative factors."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from srec.prepare.games import Game

# Sixty sweeps bring the error of real tags to within a tenth of where it settles, in seconds.
MAX_SWEEPS = 60


@dataclass(frozen=True)
class Factorisation:
    """Factors float32 [V+1, width], the relative error of the product, and whether the solver settled."""

    factors: NDArray[np.float32]
    error: float
    converged: bool


def tag_matrix(games: Sequence[Game | None]) -> tuple[sp.csr_array[np.float32], list[str]]:
    """Weights of tags [V+1, tags], every row summing to 1 or, without tags, to 0; and the tags' names.

    Votes are the weights; where only an order is known the weights decay as 1, 1/2, 1/3, ...
    Row 0 is padding; ``games`` are the items from 1. Names are in alphabetical order.
    """
    names = sorted({tag for game in games if game for tag in game.tags})
    column = {name: index for index, name in enumerate(names)}
    entries = [
        (item, column[tag], weight / sum(game.tags.values()))
        for item, game in enumerate(games, start=1)
        if game
        for tag, weight in game.tags.items()
    ]
    rows, columns, weights = zip(*entries, strict=True) if entries else ((), (), ())
    shape = (len(games) + 1, len(names))
    matrix = sp.csr_array(
        (np.array(weights, np.float32), (np.array(rows, np.int32), np.array(columns, np.int32))), shape=shape
    )
    matrix.sort_indices()
    return matrix, names


def factorise(matrix: sp.csr_array[np.float32], width: int, seed: int) -> tuple[NDArray[np.float32], float]:
    """Reduce the tag matrix [V+1, tags] to factors float32 [V+1, width] and a relative error (Frobenius)."""
    done = decompose(matrix, width, seed)
    return done.factors, done.error


def decompose(matrix: sp.csr_array[np.float32], width: int, seed: int) -> Factorisation:
    """``factorise``, and whether it converged.

    Non-negative matrix factorisation (Lee & Seung, 1999) by coordinate descent from a singular value
    decomposition; equal arguments give equal factors.
    """
    rows, tags = matrix.shape
    factors = np.zeros((rows, width), np.float32)
    norm = float(np.sqrt((matrix.data.astype(np.float64) ** 2).sum()))
    if tags <= width:
        # There is nothing to reduce: the weights themselves lose nothing and each column means a known tag.
        factors[:, :tags] = matrix.toarray()
        return Factorisation(factors, 0.0, True)
    components = min(width, rows)
    if norm == 0:
        return Factorisation(factors, 0.0, True)
    solver = NMF(components, init="nndsvda", solver="cd", max_iter=MAX_SWEEPS, random_state=seed)
    with warnings.catch_warnings():
        # Whether it converged is part of the result instead.
        warnings.simplefilter("ignore", ConvergenceWarning)
        factors[:, :components] = solver.fit_transform(matrix)
    return Factorisation(factors, float(solver.reconstruction_err_) / norm, solver.n_iter_ < MAX_SWEEPS)

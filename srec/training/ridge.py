"""Ridge regression from sparse rows to several targets at once, by conjugate gradients."""

from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

STEPS: Final = 200
SETTLED: Final = 1e-6  # of the first residual


class Ridge:
    """min over B of sum_i w_i |x_i B - (y_i - mean)|^2 + strength |B|^2, the weights' mean being 1."""

    def __init__(
        self, rows: sp.csr_array[np.float32], weights: NDArray[np.floating], strength: float
    ) -> None:
        """Take examples [n, features] and what each counts, [n], at least one above 0."""
        self._rows = rows.astype(np.float64)
        self._weights = (weights / weights.mean()).astype(np.float64)[:, None]
        self._strength = strength

    def predict(self, targets: NDArray[Any], rows: sp.csr_array[np.float32]) -> NDArray[np.float32]:
        """Fit to ``targets`` [n, ...] of the examples and predict those of other rows, float32 [m, ...]."""
        wanted = targets.reshape(len(targets), -1).astype(np.float64)
        mean = (wanted * self._weights).mean(0)
        predicted = (
            rows.astype(np.float64) @ self._solve(self._rows.T @ (self._weights * (wanted - mean))) + mean
        )
        shaped: NDArray[np.float32] = predicted.astype(np.float32).reshape(rows.shape[0], *targets.shape[1:])
        return shaped

    def _solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients [features, targets]: (X^T W X + strength) B = right, each column on its own."""
        found = np.zeros_like(right)
        residual, direction = right.copy(), right.copy()
        size = first = (residual**2).sum(0)
        for _ in range(STEPS):
            if (size <= first * SETTLED**2).all():
                break
            image = self._rows.T @ (self._weights * (self._rows @ direction)) + self._strength * direction
            step = size / np.maximum((direction * image).sum(0), np.finfo(float).tiny)
            found += step * direction
            residual -= step * image
            size, before = (residual**2).sum(0), size
            direction = residual + size / np.maximum(before, np.finfo(float).tiny) * direction
        return found

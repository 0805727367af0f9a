"""Dropout on item vectors as a model looks them up, one mask a session (as in Gal & Ghahramani, 2016)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from srec.errors import InputError


class TableDropout(TorchFunctionMode):
    """While entered, rows of item tables lose the same components wherever one session looks them up.

    It watches ``F.embedding``, through which every model reads its tables, so that none has to know of it.
    Tables that are not trained, such as fixed tag vectors, are left alone.
    """

    def __init__(self, rate: float, tables: Callable[[], list[Tensor]]) -> None:
        """Prepare for a model.

        Args:
            rate: share of the components that are zeroed; the others grow by 1 / (1 - rate).
            tables: gives the item tables [V+1, *] as the model is about to read them.
        """
        super().__init__()
        self.rate = rate
        self._find = tables
        self.tables: list[Tensor] = []
        self.sessions = 0
        self.masks: dict[int, Tensor] = {}

    def renew(self, sessions: int) -> None:
        """Forget the masks: a batch of so many sessions is to be encoded."""
        self.sessions = sessions
        self.masks = {}
        self.tables = [table for table in self._find() if table.requires_grad]

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func is not F.embedding:
            return found
        table: Tensor = args[1] if len(args) > 1 else (kwargs or {})["weight"]
        return found * self._mask(found) if any(table is each for each in self.tables) else found

    def _mask(self, vectors: Tensor) -> Tensor:
        """The masks of the sessions, [B, 1, ..., D], for vectors [B, ..., D]."""
        if len(vectors) != self.sessions:
            raise InputError(
                f"table_dropout={self.rate} needs a model that looks items up session by session, and this "
                f"one looked up {len(vectors)} rows for {self.sessions} sessions: leave it out"
            )
        width = vectors.size(-1)
        if width not in self.masks:
            kept = torch.full((self.sessions, width), 1 - self.rate, device=vectors.device).bernoulli()
            self.masks[width] = kept / (1 - self.rate)
        mask = self.masks[width].to(vectors.dtype)
        return mask.view(self.sessions, *[1] * (vectors.dim() - 2), width)

"""Top-k of inner products by scoring every item; ``certified`` finds the same without."""

from collections.abc import Sequence

from torch import Tensor

from srec.topk import Selection, TopK, select


class FullScan:
    """Scores every item; for catalogues so small that nothing is gained by less.

    Args:
        items: the item table, float32 [V+1, D]; row 0 is padding. Rows are read in place.
        norms: what each item's product is divided by, float32 [V]; None for one.
    """

    fallbacks = 0

    def __init__(self, items: Tensor, norms: Tensor | None) -> None:
        self.items, self.norms = items, norms
        self.n_items = items.size(0) - 1

    def best(self, sessions: Tensor, selections: Sequence[Selection]) -> list[TopK]:
        """Answer every session exactly.

        Args:
            sessions: session vectors, float32 [B, D].
            selections: one a session.
        """
        return select(self.scores(sessions), selections)

    def scores(self, sessions: Tensor) -> Tensor:
        """Score all items, float32 [B, V]."""
        scores = sessions @ self.items[1:].T
        return scores if self.norms is None else scores / self.norms

    def vectors(self, items: Tensor) -> Tensor:
        """The item table as scored, for items int64 [n] from 1: float32 [n, D]."""
        rows = self.items.index_select(0, items)
        return rows if self.norms is None else rows / self.norms[items - 1].unsqueeze(1)

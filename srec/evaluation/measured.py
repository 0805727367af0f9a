"""Every example's rank by one model, as it is kept for comparisons."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from srec.data.dataset import Dataset
from srec.errors import DataError
from srec.evaluation.evaluate import Ranks
from srec.io import new_file

FACTS: Final = ("model", "data", "split", "exclude_clicked")


@dataclass(frozen=True)
class Measured:
    """Where one model's right items stood.

    Attributes:
        facts: what was measured: ``FACTS``, as text.
        ranks: from 1, 0 where not among the first 20, int64 [E].
    """

    facts: dict[str, str]
    ranks: NDArray[np.int64]

    @classmethod
    def of(cls, model: str, data: Dataset, split: str, exclude_clicked: bool, ranks: Ranks) -> "Measured":
        """What ``ranks`` tell of a model on a split of DATA."""
        facts = {
            "model": model,
            "data": data.digest,
            "split": split,
            "exclude_clicked": str(exclude_clicked).lower(),
        }
        return cls(facts, ranks.ranks)

    def save(self, path: Path) -> None:
        """Write as safetensors, whole or not at all."""
        with new_file(path) as temporary:
            save_file({"ranks": self.ranks.astype(np.uint8)}, temporary, metadata=self.facts)

    @classmethod
    def load(cls, path: Path) -> "Measured":
        """Read what ``save`` wrote; ``DataError`` where it is something else."""
        try:
            with safe_open(path, "numpy") as stored:
                metadata = stored.metadata() or {}
                facts = {name: metadata[name] for name in FACTS}
                return cls(facts, stored.get_tensor("ranks").astype(np.int64))
        except (OSError, KeyError, SafetensorError) as error:
            raise DataError(
                f"{path} holds no ranks ({error}): write them with `srec evaluate --ranks`"
            ) from error

"""Every example's rank by one model, as it is kept for comparisons."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from srec.data.dataset import Dataset
from srec.data.groups import groups_of
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
        groups: the session of each example, for reviews its visitor, from 0, int64 [E]; empty where
            an earlier version wrote the file.
    """

    facts: dict[str, str]
    ranks: NDArray[np.int64]
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, model: str, data: Dataset, split: str, exclude_clicked: bool, ranks: Ranks) -> "Measured":
        """What ``ranks`` tell of a model on a split of DATA."""
        facts = {
            "model": model,
            "data": data.digest,
            "split": split,
            "exclude_clicked": str(exclude_clicked).lower(),
        }
        return cls(facts, ranks.ranks, groups_of(data, split))

    def save(self, path: Path) -> None:
        """Write as safetensors, whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {
            "ranks": self.ranks.astype(np.uint8),
            "groups": self.groups.astype(np.int32),
        }
        with new_file(path) as temporary:
            save_file(arrays, temporary, metadata=self.facts)

    @classmethod
    def load(cls, path: Path) -> "Measured":
        """Read what ``save`` wrote; ``DataError`` where it is something else."""
        try:
            with safe_open(path, "numpy") as stored:
                metadata = stored.metadata() or {}
                facts = {name: metadata[name] for name in FACTS}
                ranks = stored.get_tensor("ranks").astype(np.int64)
                known = "groups" in stored.keys()  # noqa: SIM118 (it is no dict)
                groups = stored.get_tensor("groups").astype(np.int64) if known else np.zeros(0, np.int64)
                return cls(facts, ranks, groups)
        except (OSError, KeyError, SafetensorError) as error:
            raise DataError(
                f"{path} holds no ranks ({error}): write them with `srec evaluate --ranks`"
            ) from error

"""Reading DATA, the folder that ``srec prepare`` writes (formats: docs/architecture.md)."""

import functools
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from srec.errors import DataError
from srec.graph.neighbours import GlobalGraph
from srec.ids import Vocabulary
from srec.io import read_json
from srec.manifest import DATA

LONGEST_INPUT: Final = 1_000
"""Clicks of an example's input in DATA, the newest: as many as the longest session that a model may read."""


def moment(seconds: int) -> str:
    """A time of DATA, unix seconds, for a person to read."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass(frozen=True)
class Sequences:
    """Several lists of items, end to end.

    Attributes:
        items: int32 [clicks].
        offsets: where each list starts, and the end of the last, int64 [S+1].
        times: of the clicks, unix seconds, int64 [clicks]; None unless asked for.
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> list[int]:
        items: list[int] = self.items[self.offsets[index] : self.offsets[index + 1]].tolist()
        return items

    def times_of(self, index: int) -> list[int]:
        """Times of a list's clicks; ``ValueError`` where they were not asked for."""
        if self.times is None:
            raise ValueError("these sequences were read without times")
        times: list[int] = self.times[self.offsets[index] : self.offsets[index + 1]].tolist()
        return times


@dataclass(frozen=True)
class Examples:
    """Sessions and the item that came next: inputs S lists of items, targets int32 [S]."""

    inputs: Sequences
    targets: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.targets)


class Dataset:
    """One DATA folder; its tables are read when first asked for."""

    def __init__(self, folder: Path) -> None:
        """Open and check the manifest; ``InputError`` for no DATA, ``DataError`` for a damaged one."""
        self.folder = folder
        self.manifest: dict[str, Any] = DATA.read(folder)

    def verify(self) -> None:
        """Compare every file with the manifest's digests; ``DataError`` names the first that differs."""
        DATA.verify(self.folder, self.manifest)

    @property
    def digest(self) -> str:
        """Names the content of the whole folder."""
        return str(self.manifest["digest"])

    @property
    def kind(self) -> str:
        """``reviews`` (with metadata and times) or ``sessions``."""
        return str(self.manifest["kind"])

    @property
    def n_items(self) -> int:
        """Number of items V."""
        return int(self.manifest["counts"]["items"])

    @functools.cached_property
    def items(self) -> pa.Table:
        """The items, a row each, in order."""
        return self._table("items.parquet")

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """appid <-> item."""
        return Vocabulary(self.items["appid"].to_pylist())

    def sequences(self, full: bool = False, times: bool = False) -> Sequences:
        """Training sequences; ``full``: with the validation part of session files; ``times``: with those."""
        table = self._table("train_full.parquet" if full else "train.parquet")
        return _flat(table["items"], table["times"] if times else None)

    def graph(self, full: bool = False) -> GlobalGraph:
        """The global graph of the same sequences."""
        return GlobalGraph.load(self.folder / ("graph_full.safetensors" if full else "graph.safetensors"))

    def examples(self, split: str, times: bool = False) -> Examples:
        """The ``validation`` or ``test`` examples; ``times``: with those of the inputs."""
        table = self._table(f"{split}.parquet")
        inputs = _flat(table["items"], table["times"] if times else None)
        return Examples(inputs, table["target"].to_numpy().astype(np.int32))

    @property
    def has_times(self) -> bool:
        """Whether the clicks have times."""
        return self.manifest["time_unit"] is not None

    @property
    def has_metadata(self) -> bool:
        """Whether there are tags and context."""
        return "tags.safetensors" in self.manifest["files"]

    def tags(self) -> NDArray[np.float32]:
        """Factors of the tag matrix at the prepared width, [V+1, T]."""
        factors: NDArray[np.float32] = self._arrays("tags.safetensors")["factors"]
        return factors

    def tag_matrix(self) -> sp.csr_array[np.float32]:
        """The tag matrix itself, [V+1, tags]."""
        path = self.folder / "tag_matrix.npz"
        try:
            with path.open("rb") as stream:
                return sp.csr_array(sp.load_npz(stream))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} cannot be read ({error}): prepare again") from error

    def context(self) -> tuple[NDArray[np.int64], int]:
        """Context indices int64 [V+1, C], and the number of context values including 0 (unknown)."""
        indices = self._arrays("context.safetensors")["indices"].astype(np.int64)
        return indices, int(indices.max(initial=0)) + 1

    def context_values(self) -> list[tuple[str, str] | None]:
        """Field and text behind every context index, None at 0; empty where there is no context."""
        return read_context_values(self.folder) if self.has_metadata else []

    def _arrays(self, name: str) -> dict[str, Any]:
        try:
            return dict(load_file(self.folder / name))
        except (OSError, SafetensorError) as error:
            raise DataError(f"{self.folder / name} cannot be read ({error}): prepare again") from error

    def _table(self, name: str) -> pa.Table:
        try:
            return pq.read_table(self.folder / name)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.folder / name} cannot be read ({error}): prepare again") from error


def read_context_values(folder: Path) -> list[tuple[str, str] | None]:
    """Field and text behind every context index, from the ``context.json`` of DATA or RUN."""
    values = read_json(folder / "context.json")["values"]
    return [(value["field"], value["value"]) if value else None for value in values]


def _flat(column: pa.ChunkedArray, times: pa.ChunkedArray | None = None) -> Sequences:
    lists = column.combine_chunks()
    offsets = lists.offsets.to_numpy().astype(np.int64)
    items = lists.values.to_numpy()[offsets[0] : offsets[-1]].astype(np.int32)
    known = None if times is None else times.combine_chunks().flatten().to_numpy()
    return Sequences(items, offsets - offsets[0], known)

"""RUN, the folder of one training: everything that evaluation and export need."""

import json
import platform
import resource
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import srec
from srec.data.dataset import Dataset, read_context_values
from srec.errors import DataError, InputError
from srec.graph.neighbours import GlobalGraph
from srec.io import new_folder, read_json, write_json
from srec.manifest import RUN
from srec.models import ItemFeatures, SessionModel, model_class
from srec.models.blend import Blend, BlendSettings
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.settings import RunSettings

GOLDEN_CANDIDATES = 64
FIRST, SECOND = "first", "second"  # folders of the two runs inside a blend's
BLEND = "blend.json"  # a blend's weights, and what tells its run from others


@dataclass(frozen=True)
class Outcome:
    """What training brought.

    Attributes:
        weights: the model to serve.
        selection: the model that validation saw, where ``weights`` were trained once more on everything.
        record: history, chosen epoch, metrics, seconds.
    """

    weights: Mapping[str, Tensor]
    selection: Mapping[str, Tensor] | None
    record: dict[str, Any]


def write_run(
    out: Path, settings: RunSettings, data: Dataset, features: ItemFeatures, outcome: Outcome
) -> None:
    """Write RUN, whole or not at all."""
    refitted = outcome.selection is not None
    with new_folder(out) as folder:
        save_file(dict(outcome.weights), folder / "model.safetensors")
        data.graph(full=refitted).save(folder / "graph.safetensors")
        if outcome.selection is not None:
            save_file(dict(outcome.selection), folder / "selection.safetensors")
            data.graph().save(folder / "graph_selection.safetensors")
        known = {"tags": features.tags, "context": features.context}
        save_file({k: v for k, v in known.items() if v is not None}, folder / "features.safetensors")
        for name in ("items.parquet", *(["context.json"] if data.has_metadata else [])):
            shutil.copyfile(data.folder / name, folder / name)
        write_json(folder / "sessions.json", _sample_sessions(data))
        sealed = RUN.seal(folder)
        write_json(
            folder / RUN.name,
            {
                "srec": srec.__version__,
                "settings": json.loads(settings.model_dump_json()),
                "data": {
                    "path": str(data.folder.resolve()),
                    "digest": data.digest,
                    "kind": data.kind,
                    "counts": data.manifest["counts"],
                    "split": data.manifest["split"],
                },
                "n_items": features.n_items,
                "n_context": features.n_context,
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
                "threads": torch.get_num_threads(),
                "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                **outcome.record,
                **sealed,
            },
        )


class Run:
    """A finished RUN, opened for evaluation or export."""

    def __init__(self, folder: Path) -> None:
        """Open and verify; ``InputError`` where there is none, ``DataError`` where it is damaged."""
        self.folder = folder
        self.record = RUN.read(folder)
        RUN.verify(folder, self.record)
        self.settings = RunSettings(**self.record["settings"])

    @property
    def digest(self) -> str:
        """Names the content of the run."""
        return str(self.record["digest"])

    @property
    def refitted(self) -> bool:
        """Whether the served weights were trained on validation, too."""
        return (self.folder / "graph_selection.safetensors").is_file()

    def model(self, selection: bool = False) -> SessionModel:
        """The served model, or the one that validation saw; in evaluation mode."""
        if (self.folder / BLEND).is_file():
            settings = BlendSettings(**read_json(self.folder / BLEND))
            return blend_of(Run(self.folder / FIRST), Run(self.folder / SECOND), settings, selection)
        features = self.features()
        model = model_class(self.settings.model)(self.settings.model_settings(), features)
        name = "selection" if selection and self.refitted else "model"
        model.load_state_dict(load_file(self.folder / f"{name}.safetensors"))
        return model.eval()

    def ranker(self, selection: bool = False, model: SessionModel | None = None) -> Ranker:
        """The serving path of ``model``, eager; unset: of what ``model(selection)`` gives."""
        model = model or self.model(selection)
        store = ArrayStore(self.graph(selection))
        return Ranker(EagerScorer(model, model.hops), store, self.settings.training.max_clicks)

    def features(self) -> ItemFeatures:
        """What the model knows of the items besides clicks."""
        known = load_file(self.folder / "features.safetensors")
        return ItemFeatures(
            self.record["n_items"],
            self.settings.training.max_clicks,
            known.get("tags"),
            known.get("context"),
            self.record["n_context"],
        )

    def context_values(self) -> list[tuple[str, str] | None]:
        """Field and text behind every context index, None at 0; empty where there is no context."""
        return read_context_values(self.folder) if (self.folder / "context.json").is_file() else []

    def graph(self, selection: bool = False) -> GlobalGraph:
        """The global graph that goes with ``model``."""
        name = "graph_selection" if selection and self.refitted else "graph"
        return GlobalGraph.load(self.folder / f"{name}.safetensors")

    def items(self) -> pa.Table:
        """The items, a row each, in order."""
        return pq.read_table(self.folder / "items.parquet")

    def sample_sessions(self) -> list[list[int]]:
        """Some real sessions (items) that training did not see, for self-tests."""
        sessions: list[list[int]] = read_json(self.folder / "sessions.json")
        return sessions

    def data(self, folder: Path | None = None) -> Dataset:
        """The DATA that it was trained on; ``DataError`` where it has changed since."""
        if "new_games" in self.record:
            raise InputError(
                f"{self.folder} has new games beside its data: name the run that it was made from"
            )
        data = Dataset(folder or Path(self.record["data"]["path"]))
        if data.digest != self.record["data"]["digest"]:
            raise DataError(
                f"{data.folder} is not the data that {self.folder} was trained on "
                f"(digest {data.digest[:12]}, trained on {self.record['data']['digest'][:12]}): "
                "name the right folder with --data, or train again"
            )
        return data


def blend_of(first: Run, second: Run, settings: BlendSettings, selection: bool) -> Blend:
    """Two runs' served models as one, or those that validation saw; in evaluation mode."""
    clicks = torch.tensor(first.items()["train_clicks"].to_pylist(), dtype=torch.float32)
    return Blend(settings, first.model(selection), second.model(selection), clicks).eval()


def _sample_sessions(data: Dataset) -> list[list[int]]:
    """Validation inputs of different lengths, evenly drawn; those of training where there are none."""
    inputs = data.examples("validation").inputs
    source = inputs if len(inputs) else data.sequences()
    step = max(1, len(source) // GOLDEN_CANDIDATES)
    return [source[index] for index in range(0, len(source), step)][:GOLDEN_CANDIDATES]

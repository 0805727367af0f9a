"""What is measured: a model, its graph, its vocabulary and its inputs, in a folder that processes share."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from srec.bench.synthetic import synthetic_model
from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks
from srec.ids import Vocabulary
from srec.io import read_json, write_json
from srec.models import ItemFeatures, SessionModel, model_class
from srec.stores.array import ArrayStore

SHORTEST, LONGEST = 1, 5  # clicks of an input, as in SRec's benchmark
WEIGHTS, FEATURES, GRAPH, FACTS = (
    "model.safetensors",
    "features.safetensors",
    "graph.safetensors",
    "subject.json",
)


@dataclass(frozen=True)
class Subject:
    """A model as it was trained, in evaluation mode, with all that its inputs need.

    Attributes:
        appids: of the items in order, ascending, int64 [V].
        max_clicks: newest clicks of a session that the model sees.
        source: where the model is from, for the report.
    """

    model: SessionModel
    graph: GlobalGraph
    appids: NDArray[np.int64]
    max_clicks: int
    source: str

    def example(self, count: int = 256) -> ModelInputs:
        """The model's inputs for a batch of some sessions, for backends that trace or calibrate."""
        vocabulary = Vocabulary(self.appids)
        sessions = [vocabulary.items(appids) for appids in random_inputs(self.appids, count, seed=1)]
        return model_inputs(
            pad_clicks(sessions, self.max_clicks), ArrayStore(self.graph).fetch, self.model.hops
        )

    def facts(self) -> dict[str, Any]:
        """What the report says of the model."""
        tables = sum(m.weight.numel() for m in self.model.modules() if isinstance(m, nn.Embedding))
        tags = getattr(getattr(self.model, "tags", None), "factors", torch.empty(0)).numel()
        parameters = sum(p.numel() for p in self.model.parameters())
        return {
            "source": self.source,
            "items": self.graph.n_items,
            "dim": getattr(self.model.settings, "dim", None),
            "neighbours": self.graph.size,
            "parameters": parameters,
            "parameters_beside_tables": parameters - tables - tags,
        }

    def save(self, folder: Path) -> None:
        """Write everything into an existing folder."""
        save_file(dict(self.model.state_dict()), folder / WEIGHTS)
        self.graph.save(folder / GRAPH)
        # The shapes of the features are enough to build the module; its weights hold the values.
        state, known = self.model.state_dict(), {"appids": torch.from_numpy(self.appids)}
        for name, key in (("tags", "tags.factors"), ("context", "context.indices")):
            if key in state:
                known[name] = state[key]
        save_file(known, folder / FEATURES)
        n_context = len(state["context.values.weight"]) if "context" in known else 0
        write_json(
            folder / FACTS,
            {
                "model": self.model.name,
                "settings": json.loads(self.model.settings.model_dump_json()),
                "max_clicks": self.max_clicks,
                "n_context": n_context,
                **self.facts(),
            },
        )


def random_inputs(appids: NDArray[np.int64], count: int, seed: int = 0) -> list[list[int]]:
    """SRec's inputs: 1 to 5 random appids each."""
    random = np.random.default_rng(seed)
    lengths = random.integers(SHORTEST, LONGEST + 1, count)
    drawn = appids[random.integers(0, len(appids), int(lengths.sum()))]
    return [part.tolist() for part in np.split(drawn, np.cumsum(lengths)[:-1])]


def synthetic(items: int, dim: int, seed: int = 0, metadata: bool = True) -> Subject:
    """A synthetic model of ``--preset srec``; appids are multiples of ten, as Steam's."""
    model, graph = synthetic_model(items, dim, seed, metadata)
    appids = np.arange(1, items + 1, dtype=np.int64) * 10
    return Subject(model, graph, appids, 50, f"synthetic, seed {seed}")


def read_facts(folder: Path) -> dict[str, Any]:
    """What ``Subject.facts`` said when the folder was written."""
    facts: dict[str, Any] = read_json(folder / FACTS)
    return facts


def read_appids(folder: Path) -> NDArray[np.int64]:
    """The appids alone, without the weights."""
    from safetensors import safe_open  # noqa: PLC0415

    with safe_open(folder / FEATURES, "pt") as file:
        appids: NDArray[np.int64] = file.get_tensor("appids").numpy().copy()
    return appids


def load(folder: Path) -> Subject:
    """Read what ``save`` wrote; the weights lie in memory of this process, as after training."""
    facts, known = read_facts(folder), load_file(folder / FEATURES)
    features = ItemFeatures(
        facts["items"], facts["max_clicks"], known.get("tags"), known.get("context"), facts["n_context"]
    )
    kind = model_class(facts["model"])
    with torch.device("meta"):
        model = kind(kind.Settings(**facts["settings"]), features)
    model.to_empty(device="cpu")
    model.load_state_dict(load_file(folder / WEIGHTS))
    model.requires_grad_(False).eval()
    graph = GlobalGraph.load(folder / GRAPH)
    return Subject(model, graph, known["appids"].numpy(), facts["max_clicks"], facts["source"])

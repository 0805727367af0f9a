"""RUN -> ARTIFACT: write the model with a backend, prove it equal, add what its answers need."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import srec
from srec.export import backend
from srec.export.proof import prove_equal
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.io import new_folder, write_json
from srec.manifest import ARTIFACT
from srec.models import SessionModel
from srec.serving.artifact import CATALOGUE, GOLDEN, GRAPH
from srec.serving.golden import golden_answers
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.run import Run

GOLDEN_SESSIONS = 16


class ScoringModule(nn.Module):
    """A model as it is served: what is constant is computed once, the item table lies ready for the scan."""

    table: Tensor

    def __init__(self, model: SessionModel) -> None:
        """Take a trained model in evaluation mode."""
        super().__init__()
        self.model = model
        self.additive = model.additive
        # [D, V]: one session's scores are then read along the rows, about twice as fast as from [V, D].
        self.register_buffer("table", model.item_vectors().detach().T.contiguous())

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Raw logits, float32 [B, V]."""
        return self.model.encode(nodes, alias, edges, lengths, *rows) @ self.table

    def shares(
        self, items: Tensor, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor
    ) -> Tensor:
        """Split scores by clicks: items int64 [B, n] -> float32 [B, n, L]."""
        vectors = self.table.T[items - 1]  # [B, n, D]
        return vectors @ self.model.parts(nodes, alias, edges, lengths, *rows).transpose(1, 2)


def served_module(model: SessionModel) -> nn.Module:
    """What a backend writes: the module with its table laid out, or a counting model as it is."""
    return ScoringModule(model).eval() if model.trained_by_gradient else model


def export_run(run: Run, out: Path, backend_name: str) -> dict[str, Any]:
    """Write ARTIFACT and return its manifest; what was at ``out`` stays until the new one has proved itself.

    Raises:
        HostError: the backend cannot run here.
        DataError: the exported model does not answer as the trained one.
    """
    ARTIFACT.check_target(out)
    chosen = backend(backend_name)
    model, graph, sessions = run.model(), run.graph(), run.sample_sessions()
    max_clicks = run.settings.training.max_clicks
    store, eager = ArrayStore(graph), EagerScorer(model, model.hops)
    with new_folder(out) as folder:
        example = model_inputs(pad_clicks(sessions[:3], max_clicks), store.fetch, model.hops)
        facts = chosen.write(served_module(model), example, folder) | {"hops": model.hops}
        proof = prove_equal(eager, chosen.load(folder, facts), store, sessions, max_clicks)
        graph.save(folder / GRAPH)
        write_json(folder / CATALOGUE, _catalogue(run))
        golden = golden_answers(Ranker(eager, store, max_clicks), _spread(sessions))
        write_json(folder / GOLDEN, golden)
        manifest = {
            **ARTIFACT.seal(folder),
            "backend": backend_name,
            **facts,
            "model": run.settings.model,
            "max_clicks": max_clicks,
            "n_items": graph.n_items,
            "neighbours": graph.size,
            "graph": graph.digest,
            "srec": srec.__version__,
            "python": platform.python_version(),
            "run": {
                "digest": run.digest,
                "data": run.record["data"]["digest"],
                "settings": run.record["settings"],
                "epochs": run.record["epochs"],
                "validation": run.record["validation"],
            },
            "weights": sum(p.numel() for p in model.parameters()),
            "weights_beside_tables": _beside_tables(model),
            "proof": proof,
        }
        write_json(folder / ARTIFACT.name, manifest)
    return manifest


def _catalogue(run: Run) -> dict[str, list[Any]]:
    items = run.items()
    unnamed = [None] * len(items)
    return {
        "appid": items["appid"].to_pylist(),
        "name": items["name"].to_pylist() if "name" in items.column_names else unnamed,
        "train_clicks": items["train_clicks"].to_pylist(),
    }


def _spread(sessions: Sequence[list[int]]) -> list[list[int]]:
    """A few sessions of all lengths, the shortest and the longest among them."""
    by_length = sorted(sessions, key=len)
    count = min(GOLDEN_SESSIONS, len(by_length))
    last = len(by_length) - 1
    return [by_length[round(i * last / max(count - 1, 1))] for i in range(count)]


def _beside_tables(model: nn.Module) -> int:
    """Parameters that are not rows of an embedding table: SRec counted 1.1M of them."""
    tables = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trained - tables

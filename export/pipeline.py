"""RUN -> ARTIFACT: write the model with a backend, prove it equal, add what its answers need."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import srec
from srec.errors import InputError
from srec.export import backend
from srec.export.proof import prove_equal
from srec.export.variants import EXACT, variant
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.io import new_folder, write_json
from srec.manifest import ARTIFACT
from srec.models import SessionModel
from srec.serving.artifact import CATALOGUE, GOLDEN, GRAPH, SHORT, TAGS, facts_of
from srec.serving.golden import golden_answers
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.run import Run

GOLDEN_SESSIONS = 16
EXAMPLES = 128  # sessions that a backend may look at; of a number that the proof does not repeat
SECOND_BACKEND = "torchscript"  # runs any model, and those beside the main one are cheap


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
        products = self.model.encode(nodes, alias, edges, lengths, *rows) @ self.table
        return self.model.raised(products, nodes, alias, lengths)

    def shares(
        self, items: Tensor, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor
    ) -> Tensor:
        """Split scores by clicks: items int64 [B, n] -> float32 [B, n, L]."""
        vectors = self.table.T[items - 1]  # [B, n, D]
        shares = vectors @ self.model.parts(nodes, alias, edges, lengths, *rows).transpose(1, 2)
        return self.model.shared(shares, items, nodes, alias, lengths)


def served_module(model: SessionModel) -> nn.Module:
    """What a backend writes: the module with its table laid out, or a model without one as it is."""
    return ScoringModule(model).eval() if model.scores_by_product else model


@dataclass(frozen=True)
class ShortSessionRun:
    """A second run over the same DATA, whose model answers sessions of at most ``clicks`` known clicks."""

    run: Run
    clicks: int


@dataclass(frozen=True)
class TagsRun:
    """A run of the tag recommender, for sessions whose clicked games all have less than ``below`` clicks."""

    run: Run
    below: int


def export_run(
    run: Run,
    out: Path,
    backend_name: str,
    short: ShortSessionRun | None = None,
    variant_name: str = EXACT,
    *,
    tags: TagsRun | None = None,
) -> dict[str, Any]:
    """Write ARTIFACT and return its manifest; what was at ``out`` stays until the new one has proved itself.

    A variant is proved to answer as that variant does before export, not as the trained model.

    Raises:
        HostError: the backend cannot run here.
        DataError: the exported model does not answer as the trained one.
        InputError: a run beside the main one does not fit.
    """
    ARTIFACT.check_target(out)
    if short is not None:
        _check_short(run, short)
    if tags is not None:
        _check_tags(run, tags)
    graph, model = run.graph(), variant(run, variant_name)
    with new_folder(out) as folder:
        facts, proof = _write_model(run, model, folder, backend_name, run.sample_sessions())
        graph.save(folder / GRAPH)
        write_json(folder / CATALOGUE, _catalogue(run))
        beside = {}
        if short is not None:
            sessions = [session[-short.clicks :] for session in short.run.sample_sessions()]
            beside[SHORT] = _write_second(folder / SHORT, short.run, sessions, {"clicks": short.clicks})
        if tags is not None:
            sessions = tags.run.sample_sessions()
            beside[TAGS] = _write_second(folder / TAGS, tags.run, sessions, {"below": tags.below})
        manifest = {
            **ARTIFACT.seal(folder),
            **facts,
            "variant": variant_name,
            "n_items": graph.n_items,
            "neighbours": graph.size,
            "graph": graph.digest,
            "srec": srec.__version__,
            "python": platform.python_version(),
            "run": _about(run),
            "weights": sum(p.numel() for p in model.parameters()),
            "weights_beside_tables": _beside_tables(model),
            "proof": proof,
            **beside,
            **({"new_games": run.record["new_games"]} if "new_games" in run.record else {}),
        }
        write_json(folder / ARTIFACT.name, manifest)
    return manifest


def _write_model(
    run: Run, model: SessionModel, folder: Path, backend_name: str, sessions: Sequence[list[int]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write a run's model and its golden sessions; returns what loading needs to know, and the proof."""
    if model.needs_times:
        raise InputError(
            f"{run.folder} needs the times between clicks, and a request carries none: "
            "train with --set time_gaps=optional"
        )
    chosen = backend(backend_name)
    max_clicks = run.settings.training.max_clicks
    store, eager = ArrayStore(run.graph()), EagerScorer(model, model.hops)
    example = model_inputs(pad_clicks(sessions[:EXAMPLES], max_clicks), store.fetch, model.hops)
    facts = chosen.write(served_module(model), example, folder) | {"hops": model.hops}
    proof = prove_equal(eager, chosen.load(folder, facts), store, sessions, max_clicks)
    write_json(folder / GOLDEN, golden_answers(Ranker(eager, store, max_clicks), _spread(sessions)))
    return {
        "backend": backend_name,
        **facts,
        "model": run.settings.model,
        "max_clicks": max_clicks,
    }, proof


def _write_second(
    folder: Path, run: Run, sessions: Sequence[list[int]], rule: dict[str, int]
) -> dict[str, Any]:
    """Write a model beside the main one, and the rule of its use; returns what the manifest says of it."""
    folder.mkdir()
    facts, proof = _write_model(run, run.model(), folder, SECOND_BACKEND, sessions)
    write_json(folder / facts_of(folder.name), rule | facts)
    return {**rule, "model": facts["model"], "run": _about(run), "proof": proof}


def _check_short(run: Run, short: ShortSessionRun) -> None:
    longest = short.run.settings.training.max_clicks
    if not 1 <= short.clicks <= longest:
        raise InputError(f"--short-clicks {short.clicks}: the model for short sessions takes 1 to {longest}")
    _check_second(run, short.run, "--short-run")
    if short.run.model().hops and short.run.graph().digest != run.graph().digest:
        raise InputError(
            f"--short-run {short.run.folder} has another global graph than {run.folder}: "
            "an artifact holds one, train both with the same refit"
        )


def _check_tags(run: Run, tags: TagsRun) -> None:
    if tags.below < 1:
        raise InputError(f"--tags-below {tags.below}: it is a number of training clicks, at least 1")
    if tags.run.settings.model != TAGS:
        raise InputError(
            f"--tags-run {tags.run.folder} is a run of {tags.run.settings.model}: "
            "make one with `srec train --model tags`"
        )
    if run.settings.model == TAGS:
        raise InputError(f"{run.folder} is the tag recommender itself: leave out --tags-run")
    _check_second(run, tags.run, "--tags-run")


def _check_second(run: Run, second: Run, option: str) -> None:
    digests = [one.record["data"]["digest"] for one in (run, second)]
    if digests[0] != digests[1]:
        raise InputError(
            f"{option} {second.folder} was trained on other data than {run.folder} "
            f"({digests[1][:12]}, not {digests[0][:12]}): train both on the same DATA"
        )
    for one, other in ((run, second), (second, run)):
        if "new_games" in one.record:
            raise InputError(f"{one.folder} has new games, which {other.folder} does not know: leave one out")


def _about(run: Run) -> dict[str, Any]:
    """What a manifest says of a run."""
    return {
        "digest": run.digest,
        "data": run.record["data"]["digest"],
        "settings": run.record["settings"],
        "epochs": run.record["epochs"],
        "validation": run.record["validation"],
    }


def _catalogue(run: Run) -> dict[str, list[Any]]:
    """The columns of ``catalogue.json``; those that filters look at only where DATA has metadata."""
    items = run.items().to_pydict()
    columns = {
        "appid": items["appid"],
        "name": items.get("name", [None] * len(items["appid"])),
        "train_clicks": items["train_clicks"],
    }
    if "tags" not in items:
        return columns
    tags = [of_game or () for of_game in items["tags"]]
    names = sorted({tag for of_game in tags for tag in of_game})
    number = {name: index for index, name in enumerate(names)}
    numbered = [[number[tag] for tag in of_game] for of_game in tags]
    return columns | {"price": items["price"], "free": items["free"], "tag_names": names, "tags": numbered}


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

"""Two RUNs -> one that mixes them, with weights that validation chooses."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

import srec
from srec.data.dataset import Examples, Sequences
from srec.errors import InputError
from srec.evaluation.evaluate import Progress, rank_targets
from srec.io import new_folder, write_json
from srec.manifest import RUN
from srec.models.blend import Blend, BlendSettings, LengthGroup
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.blend_steady import try_steadiness
from srec.training.blend_weights import BlendWish, try_weights
from srec.training.run import BLEND, FIRST, SECOND, Run, blend_of

PENALTIES: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


class Pair:
    """Two runs that can be one: trained on the same DATA, over the same neighbours."""

    def __init__(self, first: Run, second: Run) -> None:
        """Check that they fit; ``InputError`` where they do not."""
        self.first, self.second = first, second
        for what, one, other in (
            ("other data than", *(run.record["data"]["digest"] for run in (first, second))),
            ("another refit than", *(run.refitted for run in (first, second))),
            ("another max_clicks than", *(run.settings.training.max_clicks for run in (first, second))),
        ):
            if one != other:
                raise InputError(f"{second.folder} was trained with {what} {first.folder}: train both alike")
        models = [run.model() for run in (first, second)]
        for run, model in zip((first, second), models, strict=True):
            if model.needs_times:
                raise InputError(f"{run.folder} needs the times of clicks, which a blend does not pass on")
        if all(model.hops for model in models) and first.graph().digest != second.graph().digest:
            raise InputError(f"{second.folder} has another global graph than {first.folder}: a run holds one")
        self.graph_of = first if models[0].hops or not models[1].hops else second
        self.store = ArrayStore(self.graph_of.graph(selection=True))
        self.max_clicks = first.settings.training.max_clicks

    def model(self, settings: BlendSettings) -> Blend:
        """The blend that validation measures."""
        return blend_of(self.first, self.second, settings, selection=True)

    def ranker(self, settings: BlendSettings) -> Ranker:
        """The serving path of that blend."""
        model = self.model(settings)
        return Ranker(EagerScorer(model, model.hops), self.store, self.max_clicks)


def blend_runs(
    first: Run,
    second: Run,
    out: Path,
    wish: BlendWish,
    *,
    data_folder: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Choose the weights on validation, write RUN and return its record; test is never looked at.

    Raises:
        InputError: the runs do not fit, or there are no validation examples to choose by.
    """
    RUN.check_target(out)
    pair, began = Pair(first, second), time.perf_counter()
    data = first.data(data_folder)
    data.verify()
    examples = sample(data.examples("validation"), wish.examples)
    if not len(examples):
        raise InputError(f"{data.folder} has no validation examples, by which the weights are chosen")
    excluded = data.kind == "reviews"
    any_weights = BlendSettings(groups=(LengthGroup(weight=1),))
    model, path = pair.model(any_weights), pair.ranker(any_weights)
    trials = try_weights(model, path, examples, excluded, progress)
    record: dict[str, Any] = {"examples": len(examples), "weights": trials.figures()}
    if wish.prefer == "steady":
        steadiness = try_steadiness(model, path, examples, trials.tried, progress)
        trials = replace(trials, steadiness=steadiness)
        record["steadiness"] = trials.steady_figures(wish.select_by)
    settings = BlendSettings(groups=trials.choose(wish), penalty=wish.penalty or 0.0)
    if wish.penalty is None:
        settings, record["penalties"] = _try_penalties(pair, settings, examples, excluded, wish.select_by)
    chosen = rank_targets(pair.ranker(settings), data.examples("validation"), excluded, progress)
    about = {"validation": chosen.metrics(), "seconds": time.perf_counter() - began, "tuning": record}
    return _write(out, pair, settings, wish, about)


def _try_penalties(
    pair: Pair, settings: BlendSettings, examples: Examples, excluded: bool, by: str
) -> tuple[BlendSettings, list[dict[str, float]]]:
    """The penalty that validation likes best, and the figures of all."""
    figures = []
    for penalty in PENALTIES:
        ranker = pair.ranker(settings.model_copy(update={"penalty": penalty}))
        figures.append({"penalty": penalty, **rank_targets(ranker, examples, excluded).metrics()})
    best = max(figures, key=lambda one: one[by])
    return settings.model_copy(update={"penalty": best["penalty"]}), figures


def sample(examples: Examples, count: int) -> Examples:
    """At most ``count`` examples, evenly drawn."""
    if len(examples) <= count:
        return examples
    chosen = np.linspace(0, len(examples) - 1, count).astype(np.int64)
    inputs = [examples.inputs[index] for index in chosen]
    items = np.concatenate([np.asarray(one, np.int32) for one in inputs])
    offsets = np.cumsum([0, *map(len, inputs)]).astype(np.int64)
    times = None
    if examples.inputs.times is not None:
        times = np.concatenate([np.asarray(examples.inputs.times_of(index), np.int64) for index in chosen])
    return Examples(Sequences(items, offsets, times), examples.targets[chosen])


def _write(
    out: Path, pair: Pair, settings: BlendSettings, wish: BlendWish, about: dict[str, Any]
) -> dict[str, Any]:
    """Write RUN with both runs inside, whole or not at all."""
    first, second = pair.first, pair.second
    parameters = json.loads(settings.model_dump_json())
    with new_folder(out) as folder:
        for name, run in ((FIRST, first), (SECOND, second)):
            shutil.copytree(run.folder, folder / name)
        for path in sorted(pair.graph_of.folder.glob("graph*.safetensors")):
            shutil.copyfile(path, folder / path.name)
        for name in ("items.parquet", "context.json", "sessions.json"):
            if (first.folder / name).is_file():
                shutil.copyfile(first.folder / name, folder / name)
        write_json(folder / BLEND, parameters)
        kept = {key: first.record[key] for key in ("data", "n_items", "n_context", "versions", "threads")}
        record = {
            "srec": srec.__version__,
            "settings": first.record["settings"] | {"model": Blend.name, "parameters": parameters},
            **kept,
            "history": [],
            "epochs": first.record["epochs"],
            "blend": {
                "mode": wish.mode,
                "select_by": wish.select_by,
                "prefer": wish.prefer,
                "keep": wish.keep,
                FIRST: {"model": first.settings.model, "run": first.digest},
                SECOND: {"model": second.settings.model, "run": second.digest},
            },
            **about,
            **RUN.seal(folder),
        }
        write_json(folder / RUN.name, record)
    return record

"""Forms of a trained model to export: as trained, or cheaper and only almost right.

Two ways to save time: neighbours weighed once an item instead of once a session, and a small head that
imitates the encoder. What they cost in quality is measured by ``srec bench variants``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from srec.errors import InputError, nearest
from srec.models import SessionModel
from srec.models.gce_gnn import GceGnn
from srec.training.distil import distil
from srec.training.run import Run

EXACT = "exact"


def _cached_neighbours(run: Run, _data: Path | None) -> SessionModel:
    model, graph = run.model(), run.graph()
    if not isinstance(model, GceGnn):
        raise InputError(f"only gce-gnn has neighbours to cache, this run is {run.settings.model}")
    model.eval().cache_neighbours(torch.from_numpy(graph.neighbours), torch.from_numpy(graph.weights))
    return model


def _distilled(run: Run, data: Path | None) -> SessionModel:
    model = run.model().eval()
    if not model.trained_by_gradient:
        raise InputError(f"{run.settings.model} has no session vectors to imitate")
    if model.needs_times:
        raise InputError(f"{run.folder} needs the times between clicks: train with --set time_gaps=optional")
    return distil(
        model, run.graph(), run.data(data).sequences(run.refitted), run.settings.training.max_clicks
    )


VARIANTS: Final[dict[str, Callable[[Run, Path | None], SessionModel]]] = {
    EXACT: lambda run, _data: run.model(),
    "cached-neighbours": _cached_neighbours,
    "distilled": _distilled,
}


def variant(run: Run, name: str, data: Path | None = None) -> SessionModel:
    """Build a form of a run's model; ``InputError`` where there is no such form, or the model has none.

    Args:
        run: with the trained model.
        name: one of ``VARIANTS``.
        data: DATA of the run, where it has moved; the head learns from its training sequences.
    """
    if name not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise InputError(f'there is no variant "{name}"{nearest(name, VARIANTS)}: known are {known}')
    return VARIANTS[name](run, data).eval()

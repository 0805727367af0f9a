"""A trained run as what is measured."""

import numpy as np

from srec.bench.subject import Subject
from srec.errors import InputError
from srec.models.blend import Blend
from srec.training.run import Run


def trained(run: Run) -> Subject:
    """Take the served model of a run, and the graph that goes with it."""
    model = run.model()
    model.requires_grad_(False)
    appids = np.array(run.items()["appid"].to_pylist(), dtype=np.int64)
    source = f"trained with --preset {run.settings.preset} (run {run.digest[:12]})"
    return Subject(model, run.graph(), appids, run.settings.training.max_clicks, source)


def trained_by_gradient(run: Run) -> Subject:
    """The same for ``srec bench model``, whose rows load the model by its name and read its item table.

    Raises:
        InputError: the model only counts, or is a blend.
    """
    subject = trained(run)
    if not subject.model.trained_by_gradient:
        blend = subject.model.name == Blend.name
        raise InputError(
            f"{run.folder} is a run of {subject.model.name}, and what is measured is trained by gradient: "
            f"give {'one of the two runs that it is made of' if blend else 'a run of gce-gnn'}"
        )
    return subject

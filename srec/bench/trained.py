"""A trained run as what is measured."""

import numpy as np

from srec.bench.subject import Subject
from srec.training.run import Run


def trained(run: Run) -> Subject:
    """Take the served model of a run, and the graph that goes with it."""
    model = run.model()
    model.requires_grad_(False)
    appids = np.array(run.items()["appid"].to_pylist(), dtype=np.int64)
    source = f"trained with --preset {run.settings.preset} (run {run.digest[:12]})"
    return Subject(model, run.graph(), appids, run.settings.training.max_clicks, source)

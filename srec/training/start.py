"""Where a training starts: a freshly built model, its item table, its content."""

import numpy as np
import torch

from srec.data.dataset import Sequences
from srec.errors import InputError
from srec.models import ItemFeatures, SessionModel, model_class
from srec.models.content import add_content, item_table, item_tables
from srec.training.initial import item_vectors
from srec.training.settings import RunSettings, TrainSettings
from srec.training.warm import WarmStart


def new_model(
    settings: RunSettings,
    features: ItemFeatures,
    sequences: Sequences,
    earlier: WarmStart | None,
    selection: bool,
) -> SessionModel:
    """Build the model that training starts with; the same arguments give the same weights.

    Args:
        settings: of the run; their seed decides the random weights.
        features: what is known of the items, content included.
        sequences: those that it will be trained on.
        earlier: the run to go on from, if any.
        selection: start at the weights of that run that validation saw.
    """
    torch.manual_seed(settings.training.seed)
    model = model_class(settings.model)(settings.model_settings(), features)
    if earlier is not None:
        earlier.apply(model, selection)
    elif settings.training.initial != "random":
        _place(model, sequences, settings.training)
    if settings.training.content != "none":
        clicked = torch.zeros(features.n_items + 1, dtype=torch.bool)
        clicked[torch.from_numpy(np.unique(sequences.items))] = True
        add_content(model, features, settings.training.content, clicked, settings.training.content_dropout)
    return model


def _place(model: SessionModel, sequences: Sequences, settings: TrainSettings) -> None:
    """Put vectors of the co-click graph into every item table of the width of the scored one."""
    width = item_table(model).embedding_dim
    if width >= model.n_items:
        raise InputError(
            f"initial={settings.initial} finds fewer directions than there are items, {model.n_items}, "
            f"and the table is {width} wide: leave it out, or lower the width"
        )
    vectors, known = item_vectors(sequences, model.n_items, width, settings)
    for table in item_tables(model).values():
        if table.embedding_dim == width:
            with torch.no_grad():
                size = table.weight[1:].square().mean().sqrt()
                table.weight[known] = vectors[known] * size

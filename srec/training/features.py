"""What a model may know of the items besides clicks, at the width it asks for."""

import torch

from srec.data.dataset import Dataset
from srec.models import ItemFeatures
from srec.prepare.tags import factorise
from srec.training.settings import RunSettings


def item_features(data: Dataset, settings: RunSettings) -> ItemFeatures:
    """Tag vectors of the model's width and context indices, where DATA has them and the model wants them."""
    tags = context = None
    n_context = 0
    wanted = settings.parameters.get("tags")
    if data.has_metadata and wanted == "matrix":
        tags = torch.from_numpy(data.tag_matrix().toarray())
    elif data.has_metadata and wanted:
        factors = data.tags()
        if factors.shape[1] != settings.parameters["dim"]:
            factors, _ = factorise(data.tag_matrix(), settings.parameters["dim"], settings.training.seed)
        tags = torch.from_numpy(factors)
    if data.has_metadata and settings.parameters.get("context"):
        indices, n_context = data.context()
        context = torch.from_numpy(indices)
    return ItemFeatures(data.n_items, settings.training.max_clicks, tags, context, n_context)

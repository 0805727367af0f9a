"""What a model may know of the items besides clicks, at the width it asks for."""

import torch

from srec.data.dataset import Dataset
from srec.models import ItemFeatures
from srec.prepare.tags import factorise
from srec.training.settings import RunSettings


def item_features(data: Dataset, settings: RunSettings) -> ItemFeatures:
    """Tag vectors and context indices, where DATA has them and the model or the option ``content`` asks.

    A model that takes tags takes them at its own width; content alone takes them as prepared.
    """
    tags = context = None
    n_context = 0
    content = settings.training.content != "none"
    wanted = settings.parameters.get("tags")
    if data.has_metadata and wanted == "matrix":
        tags = torch.from_numpy(data.tag_matrix().toarray())
    elif data.has_metadata and wanted:
        factors = data.tags()
        if factors.shape[1] != settings.parameters["dim"]:
            factors, _ = factorise(data.tag_matrix(), settings.parameters["dim"], settings.training.seed)
        tags = torch.from_numpy(factors)
    elif data.has_metadata and content:
        tags = torch.from_numpy(data.tags())
    if data.has_metadata and (content or settings.parameters.get("context")):
        indices, n_context = data.context()
        context = torch.from_numpy(indices)
    return ItemFeatures(data.n_items, settings.training.max_clicks, tags, context, n_context)

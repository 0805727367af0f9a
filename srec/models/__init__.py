"""The registry of models: a new model is one file and one line here."""

from typing import Final

from srec.errors import InputError, nearest
from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.gce_gnn import GceGnn
from srec.models.markov import LastItemMarkov
from srec.models.popularity import Popularity

MODELS: Final[dict[str, type[SessionModel]]] = {
    model.name: model for model in (GceGnn, LastItemMarkov, Popularity)
}

__all__ = ["MODELS", "ItemFeatures", "ModelSettings", "SessionModel", "model_class"]


def model_class(name: str) -> type[SessionModel]:
    """Look a model up; ``InputError`` naming the nearest known one."""
    if name not in MODELS:
        raise InputError(f'there is no model "{name}"{nearest(name, MODELS)}: known are {", ".join(MODELS)}')
    return MODELS[name]

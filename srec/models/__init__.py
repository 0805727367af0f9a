"""The registry of models: a new model is one file and one line here."""

from typing import Final

from srec.errors import InputError, nearest
from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.fpmc import Fpmc
from srec.models.gce_gnn import GceGnn
from srec.models.gru4rec import Gru4Rec
from srec.models.markov import LastItemMarkov
from srec.models.narm import Narm
from srec.models.popularity import Popularity
from srec.models.stamp import Stamp

MODELS: Final[dict[str, type[SessionModel]]] = {
    model.name: model
    for model in (
        GceGnn,
        Gru4Rec,
        Narm,
        Stamp,
        Fpmc,
        LastItemMarkov,
        Popularity,
    )
}

__all__ = ["MODELS", "ItemFeatures", "ModelSettings", "SessionModel", "model_class"]


def model_class(name: str) -> type[SessionModel]:
    """Look a model up; ``InputError`` naming the nearest known one."""
    if name not in MODELS:
        raise InputError(f'there is no model "{name}"{nearest(name, MODELS)}: known are {", ".join(MODELS)}')
    return MODELS[name]

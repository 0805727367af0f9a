"""The registry of models: a new model is one file and one line here."""

from typing import Final

from srec.errors import InputError, nearest
from srec.models.base import ItemFeatures, ModelSettings, SessionModel
from srec.models.blend import Blend
from srec.models.fpmc import Fpmc
from srec.models.gce_gnn import GceGnn
from srec.models.gru4rec import Gru4Rec
from srec.models.item_knn import ItemKnn
from srec.models.markov import LastItemMarkov
from srec.models.narm import Narm
from srec.models.popularity import Popularity
from srec.models.session_popularity import SessionPopularity
from srec.models.sr_gnn import SrGnn
from srec.models.stamp import Stamp
from srec.models.tags import Tags
from srec.models.v_sknn import VSknn

MODELS: Final[dict[str, type[SessionModel]]] = {
    model.name: model
    for model in (
        GceGnn,
        SrGnn,
        Gru4Rec,
        Narm,
        Stamp,
        Fpmc,
        LastItemMarkov,
        Popularity,
        SessionPopularity,
        ItemKnn,
        VSknn,
        Tags,
    )
}

__all__ = ["MODELS", "ItemFeatures", "ModelSettings", "SessionModel", "model_class"]


def model_class(name: str) -> type[SessionModel]:
    """Look a model up; ``InputError`` naming the nearest known one."""
    if name == Blend.name:
        raise InputError("a blend is made of two runs: train each, then `srec blend`")
    if name not in MODELS:
        raise InputError(f'there is no model "{name}"{nearest(name, MODELS)}: known are {", ".join(MODELS)}')
    return MODELS[name]

"""The contract, for every model of the registry and for the variants that are shipped."""

import functools

import pytest

from srec.models import MODELS
from srec.models.gce_gnn import GceGnn
from tests.models.contract import Make, ModelContract, build


@pytest.mark.parametrize("name", MODELS)
class TestRegistry(ModelContract):
    @pytest.fixture
    def make(self, name: str) -> Make:
        return functools.partial(build, MODELS[name])


class TestSRec(ModelContract):
    @pytest.fixture
    def make(self) -> Make:
        return functools.partial(build, GceGnn, dim=8, tags=True, context=True)


class TestTrainableTagsAndCosine(ModelContract):
    @pytest.fixture
    def make(self) -> Make:
        return functools.partial(build, GceGnn, dim=8, tags=True, tags_trainable=True, scoring="cosine")


class TestTwoHops(ModelContract):
    @pytest.fixture
    def make(self) -> Make:
        return functools.partial(build, GceGnn, dim=8, hops=2, dropout_aggregator=0.2)

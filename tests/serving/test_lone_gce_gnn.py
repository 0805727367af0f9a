"""The encoder for one session answers as the model does: any session, with tags and context or without."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from srec import matmul
from srec.export import fast
from srec.export.fold_gce_gnn import FoldedGceGnn
from srec.graph.inputs import LoneInputs, batch_of_one, lone_inputs
from srec.models import ItemFeatures
from srec.models.gce_gnn import GceGnn, GceGnnSettings
from srec.serving import lone_gce_gnn
from srec.serving.artifact import Artifact
from srec.serving.lone_gce_gnn import LoneGceGnn, encode, look_around
from srec.serving.loops import Floats
from srec.serving.repeats import Gains
from tests.conftest import Line

ITEMS, K, MAX_CLICKS = 60, 5, 12


def model(dim: int, scoring: str, metadata: bool) -> GceGnn:
    """Weights of the size that training gives them, so that no part is too small to be seen."""
    torch.manual_seed(dim)
    features = ItemFeatures(ITEMS, MAX_CLICKS)
    if metadata:
        context = torch.randint(0, 8, (ITEMS + 1, 3))
        features = replace(features, tags=torch.rand(ITEMS + 1, 7), context=context, n_context=8)
    settings = {"dim": dim, "scoring": scoring, "tags": metadata, "context": metadata}
    made = GceGnn(GceGnnSettings.model_validate(settings), features)
    with torch.no_grad():
        for weights in made.parameters():
            weights.mul_(3)
    return made.eval()


def fetch(items: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Neighbours that an item has always, some absent, of some items all."""
    neighbours = (items[:, np.newaxis] * 7 + np.arange(1, K + 1)) % (ITEMS + 1)
    neighbours[items % 5 == 0] = 0
    neighbours[neighbours % 9 == 0] = 0
    return neighbours.astype(np.int32), (neighbours % 4 + (neighbours > 0)).astype(np.float32)


def asked(session: list[int]) -> LoneInputs:
    return lone_inputs(session, fetch)


def encoded(tables: dict[str, Tensor], session: list[int]) -> Tensor:
    """The session vector [1, D]."""
    return torch.from_numpy(LoneGceGnn(tables)(asked(session)))


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("scoring", ["dot", "cosine"])
@pytest.mark.parametrize("dim", [16, 30, 33])
@settings(max_examples=20, deadline=None)  # the first one compiles
@given(session=st.lists(st.integers(1, ITEMS), min_size=1, max_size=MAX_CLICKS))
def test_encodes_as_the_model(
    dim: int, scoring: str, metadata: bool, onednn: bool, session: list[int]
) -> None:
    trained = model(dim, scoring, metadata)
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(matmul, "_ONEDNN", onednn)
        found = encoded(FoldedGceGnn(trained).tables, session)
        expected = trained.encode(*batch_of_one(session, fetch, 1))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_every_part_of_the_model_counts() -> None:
    """The comparison above would not see a part that is left out if it did not change the vector."""
    tables = FoldedGceGnn(model(16, "dot", metadata=True)).tables
    session = [3, 7, 3, 21]
    whole = encoded(tables, session)
    for name, weights in tables.items():
        if name == "lone.scale":
            continue
        without = encoded(tables | {name: torch.zeros_like(weights)}, session)
        assert (whole - without).abs().max() > 1e-3, name


def test_exponentials_are_right_to_float32() -> None:
    values = np.linspace(-87, 87, 100_001, dtype=np.float32)
    found, expected = values.copy(), np.exp(values.astype(np.float64))
    lone_gce_gnn._exp(found)
    assert np.abs(found / expected - 1).max() < 3e-7
    beyond = np.array([-1e30, -200, 200, 1e30], np.float32)
    lone_gce_gnn._exp(beyond)
    assert np.isfinite(beyond).all()
    assert (beyond[:2] < 1e-37).all()


def test_is_compiled_once_whatever_is_asked() -> None:
    for metadata in (True, False):
        encoder = LoneGceGnn(FoldedGceGnn(model(16, "dot", metadata)).tables)
        inputs = asked([5])
        encoder(inputs)
        encoder(asked([1, 2, 1, 9]))
        encoder(asked(list(range(1, ITEMS + 1)) * 2))
        parts = lone_inputs([5], lambda items: (fetch(items)[0], fetch(items)[1].repeat(2, axis=1)[:, ::2]))
        np.testing.assert_array_equal(encoder(parts), encoder(inputs))
    for loop in (look_around, encode):
        assert len(cast(Any, loop).signatures) == 1


def test_a_large_catalogue_is_served_by_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops encode requests that come alone or few at once, the module many; all are answered alike."""
    small = Artifact(line.artifact).ranker()  # loads its scorer
    monkeypatch.setattr(fast, "SMALL", 0)
    large = Artifact(line.artifact).ranker()
    sessions = [[3], [1, 2, 1, 5], [8, 8, 4]]
    calls: list[LoneInputs] = []
    plain = LoneGceGnn.__call__

    def counted(self: LoneGceGnn, inputs: LoneInputs) -> Floats:
        calls.append(inputs)
        return plain(self, inputs)

    monkeypatch.setattr(LoneGceGnn, "__call__", counted)
    for session, of_batch in zip(sessions, small.rank_all(sessions, 20), strict=True):
        (alone,) = large.rank_all([session], 20)
        assert alone.items.tolist() == of_batch.items.tolist()
        torch.testing.assert_close(alone.scores, of_batch.scores)
    assert len(calls) == len(sessions)
    fresh = Artifact(line.artifact).ranker()  # memory that a batch has made serves lone sessions
    for asked_for in (sessions, sessions[1:2], sessions):
        answers = fresh.rank_all(asked_for, 20)
    for left, right in zip(answers, large.rank_all(sessions, 20), strict=True):
        assert left.items.tolist() == right.items.tolist()
    few, many = sessions * 2, [*sessions * 2, [5]]
    assert len(few) == fast.FEW
    for asked_for, encoded_alone in ((few, len(few)), (many, 0)):
        calls.clear()
        found, expected = large.rank_all(asked_for, 20), small.rank_all(asked_for, 20)
        assert len(calls) == encoded_alone
        for left, right in zip(found, expected, strict=True):
            assert left.items.tolist() == right.items.tolist()
            torch.testing.assert_close(left.scores, right.scores)


def test_clicked_items_gain_alone_as_in_a_batch(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "SMALL", 0)
    ranker = Artifact(line.artifact).ranker()
    plain, scorer = ranker.rank_all([[3, 9, 3]], 20)[0], cast(fast.FastScorer, ranker.scorer)
    scorer.gains = Gains([0.5, 0.25], [1.0, 2.0], 0.1)
    assert scorer.lone is not None
    scorer.lone = fast.LoneFastScorer(scorer.lone.encoder, scorer.lone.scan, scorer.gains)
    for session in ([3, 9, 3], [1], list(range(1, 30))):
        (alone,), both = ranker.rank_all([session], 20), ranker.rank_all([session, [5]], 20)
        assert alone.items.tolist() == both[0].items.tolist()
        torch.testing.assert_close(alone.scores, both[0].scores)
    assert ranker.rank_all([[3, 9, 3]], 20)[0].items.tolist() != plain.items.tolist()

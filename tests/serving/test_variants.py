"""Cheaper forms of a trained model: what they change and keep, and that they are served as they are."""

from pathlib import Path

import pytest
import torch

from srec.bench.variants import measure_variants
from srec.errors import InputError
from srec.export.pipeline import export_run
from srec.export.variants import variant
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.serving.artifact import Artifact
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.run import Run
from tests.conftest import Line


def test_a_session_of_one_game_loses_nothing_by_cached_neighbours(line: Line) -> None:
    run = Run(line.run)
    exact, cached = run.model().eval(), variant(run, "cached-neighbours")
    assert (exact.hops, cached.hops) == (1, 0)
    store = ArrayStore(run.graph())
    with torch.no_grad():
        for session, alike in (([7], True), ([7, 7], True), ([7, 9, 30], False)):
            clicks = pad_clicks([session], 50)
            left = exact(*model_inputs(clicks, store.fetch, 1))
            right = cached(*model_inputs(clicks, store.fetch, 0))
            assert torch.allclose(left, right, rtol=1e-5, atol=1e-5) == alike


@pytest.mark.parametrize("backend", ["fast", "torchscript"])
def test_cached_neighbours_are_served_as_they_are(line: Line, tmp_path: Path, backend: str) -> None:
    run = Run(line.run)
    manifest = export_run(run, tmp_path / "artifact", backend, variant_name="cached-neighbours")
    assert manifest["variant"] == "cached-neighbours"
    artifact, model = Artifact(tmp_path / "artifact"), variant(run, "cached-neighbours")
    assert artifact.self_test() == 16
    eager = Ranker(EagerScorer(model, 0), ArrayStore(run.graph()), 50)
    sessions = [[3], [1, 2, 1, 5], list(range(1, 61))]
    for left, right in zip(
        artifact.ranker().rank_all(sessions, 20), eager.rank_all(sessions, 20), strict=True
    ):
        assert left.items.tolist() == right.items.tolist()


def test_variants_are_measured_beside_the_exact_model(line: Line) -> None:
    figures = measure_variants(Run(line.run), line.data, 50, lambda _: None)
    rows = {row["variant"]: row for row in figures["rows"]}
    assert rows.keys() == {"exact", "cached-neighbours", "distilled"}
    assert rows["exact"]["top20_kept"] == 1
    assert all(row["ms"] > 0 and len(row["ms_of_rounds"]) == 5 for row in rows.values())
    assert rows["cached-neighbours"]["top20_kept"] > 0.6
    # The head imitates the model: far nearer to it than any 20 of 266 games, which would share 20 / 266.
    assert rows["distilled"]["top20_kept"] > 0.4
    assert rows["distilled"]["p@20"] > 0.5 * rows["exact"]["p@20"]


def test_an_unknown_variant_names_the_nearest(line: Line) -> None:
    with pytest.raises(InputError, match=r'no variant "destilled" \(did you mean "distilled"\?\)'):
        variant(Run(line.run), "destilled")

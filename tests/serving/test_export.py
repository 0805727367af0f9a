"""RUN -> ARTIFACT: the proof, the manifest, and what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from srec.errors import DataError, HostError, InputError
from srec.export import BACKENDS, backend, ipex, pipeline, torchscript
from srec.export.pipeline import export_run
from srec.export.proof import prove_equal
from srec.graph.inputs import ModelInputs
from srec.io import sha256
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.serving.ranker import DenseScorer, EagerScorer, Ranker, Scorer
from srec.stores.array import ArrayStore
from srec.training.run import Run
from tests.conftest import Line, srec_ok


class BackendContract:
    """What every export backend keeps; a new one inherits it in three lines."""

    name: str
    splits_scores = True

    def test_proves_itself_and_answers_as_trained(self, line: Line, tmp_path: Path) -> None:
        run = Run(line.run)
        manifest = export_run(run, tmp_path / "artifact", self.name)
        artifact = Artifact(tmp_path / "artifact")
        assert artifact.self_test() == 16
        assert manifest["backend"] == self.name
        model = run.model()
        eager = Ranker(EagerScorer(model, model.hops), ArrayStore(run.graph()), 50)
        for session in ([3], [1, 2, 1, 5], list(range(1, 61))):
            expected, answered = (
                eager.rank_all([session], 20)[0],
                artifact.ranker().rank_all([session], 20)[0],
            )
            torch.testing.assert_close(answered.scores, expected.scores)
            assert answered.items.tolist() == expected.items.tolist()
        self.splits_scores_by_clicks_as_trained(eager, artifact.ranker())

    def splits_scores_by_clicks_as_trained(self, eager: Ranker, exported: Ranker) -> None:
        """The shares of all clicks sum to the score; a backend may also be unable to tell."""
        sessions = [[3], [1, 2, 1, 5], list(range(1, 61))]
        best = [ranking.items for ranking in eager.rank_all(sessions, 7)]
        best[1] = best[1][:2]
        expected, answered = eager.shares(sessions, best), exported.shares(sessions, best)
        assert expected is not None
        if answered is None:
            assert not self.splits_scores
            return
        for session, items, left, right in zip(sessions, best, expected, answered, strict=True):
            assert right.shape == (len(items), min(len(session), 50))
            torch.testing.assert_close(right, left)
            torch.testing.assert_close(right.sum(1), eager.scores([session])[0][items - 1])

    def test_two_processes_write_the_same_artifact(self, line: Line, tmp_path: Path) -> None:
        for name in ("a", "b"):
            srec_ok("export", "--run", line.run, "--backend", self.name, "--out", tmp_path / name)
        first, second = (Artifact(tmp_path / name).manifest for name in ("a", "b"))
        assert first == second


class TestTorchScript(BackendContract):
    name = "torchscript"


class TestFast(BackendContract):
    name = "fast"


@pytest.mark.skipif(ipex.why_not() is not None, reason=f"IPEX: {ipex.why_not()}")
class TestIpex(BackendContract):
    name = "ipex"


def test_manifest_names_what_it_was_made_of(line: Line) -> None:
    manifest = json.loads((line.artifact / "manifest.json").read_text())
    model = {"encoder.pt", "tables.safetensors"}
    assert manifest["files"].keys() == {*model, "catalogue.json", "graph.safetensors", "golden.json"}
    assert manifest["model"] == "gce-gnn"
    assert manifest["torch"] == torch.__version__
    assert manifest["run"]["settings"]["preset"] == "tiny"
    assert 0 < manifest["run"]["validation"]["mrr@20"] < 1
    assert manifest["proof"]["sessions"] > 100
    assert manifest["weights_beside_tables"] == 9 * 48**2 + 9 * 48


def _prove(line: Line, exported: Scorer) -> dict[str, Any]:
    run = Run(line.run)
    model = run.model()
    return prove_equal(
        EagerScorer(model, model.hops), exported, ArrayStore(run.graph()), run.sample_sessions(), 50
    )


def test_the_proof_finds_a_wrong_score(line: Line) -> None:
    right = Artifact(line.artifact).scorer

    class OffByALittle(DenseScorer):
        hops = 1

        def scores(self, inputs: ModelInputs) -> Tensor:
            scores = right.scores(inputs).clone()
            scores[-1, 7] += 0.01
            return scores

    with pytest.raises(DataError, match=r"differ by 0\.01 for 1 sessions"):
        _prove(line, OffByALittle())


def test_the_proof_finds_a_frozen_batch(line: Line) -> None:
    right = Artifact(line.artifact).scorer

    class OneRow(DenseScorer):
        hops = 1

        def scores(self, inputs: ModelInputs) -> Tensor:
            return right.scores(inputs)[:1]

    with pytest.raises(DataError, match="its trace has frozen a shape"):
        _prove(line, OneRow())


def test_a_failed_export_keeps_the_last_good_one(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "artifact"
    before = export_run(Run(line.run), out, "torchscript")["digest"]

    def refuse(*_: Any) -> dict[str, Any]:
        raise DataError("not equal")

    monkeypatch.setattr(pipeline, "prove_equal", refuse)
    with pytest.raises(DataError, match="not equal"):
        export_run(Run(line.run), out, "torchscript")
    assert Artifact(out).manifest["digest"] == before
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_ipex_says_why_it_cannot(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipex, "has_avx2", lambda: False)
    with pytest.raises(HostError, match="this CPU has no AVX2; use --backend torchscript"):
        export_run(Run(line.run), tmp_path / "artifact", "ipex")
    assert not (tmp_path / "artifact").exists()


def test_an_ipex_artifact_serves_plain_torchscript_where_ipex_is_not(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ipex, "has_avx2", lambda: False)
    manifest = export_run(Run(line.run), tmp_path / "artifact", "torchscript")
    scorer = ipex.BACKEND.load(tmp_path / "artifact", manifest)
    assert isinstance(scorer, torchscript.TorchScriptScorer)
    assert "serving plain TorchScript instead of IPEX: this CPU has no AVX2" in caplog.text


def test_an_unknown_backend_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r'no export backend "torchscrip" \(did you mean "torchscript"\?\)'):
        backend("torchscrip")
    assert {"torchscript", "ipex"} <= set(BACKENDS)


def test_a_folder_that_is_no_artifact_is_not_replaced(line: Line, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="exists and is no artifact"):
        export_run(Run(line.run), tmp_path, "torchscript")
    assert (tmp_path / "mine.txt").read_text() == "keep"


@pytest.mark.parametrize(
    "name", ["encoder.pt", "tables.safetensors", "catalogue.json", "graph.safetensors", "golden.json"]
)
def test_a_damaged_file_is_named(line: Line, tmp_path: Path, name: str) -> None:
    shutil.copytree(line.artifact, tmp_path / "artifact")
    with (tmp_path / "artifact" / name).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(DataError, match=rf"{name} is missing or damaged: run `srec export` again"):
        Artifact(tmp_path / "artifact")


def test_another_models_graph_is_refused(line: Line, tmp_path: Path) -> None:
    """Even where someone has made the digests of the files fit."""
    shutil.copytree(line.artifact, tmp_path / "artifact")
    manifest = json.loads((tmp_path / "artifact" / "manifest.json").read_text())
    manifest["graph"] = "0" * 64
    (tmp_path / "artifact" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="is the graph of another model"):
        Artifact(tmp_path / "artifact")


def test_names_and_versions_in_answers(line: Line) -> None:
    artifact = Artifact(line.artifact)
    answer = artifact.predictor().answer([Request(appids=[620, 400], k=3)], ["x"])[0]
    assert answer["model"]["version"] == artifact.manifest["digest"][:12]
    assert all(item["name"] for item in answer["items"])
    assert sha256(line.artifact / "encoder.pt") == artifact.manifest["files"]["encoder.pt"]

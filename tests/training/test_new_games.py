"""Games that came after a training: their rows from content, everything else as it was."""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
import torch

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.evaluation.new_games import evaluate_new_games
from srec.export.pipeline import ShortSessionRun, export_run
from srec.ids import Vocabulary
from srec.prepare.games import Game, parse_game
from srec.prepare.new_games import new_game_examples
from srec.prepare.sequences import Clicks
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.new_games import Widening, add_games, released_lately
from srec.training.ridge import Ridge
from srec.training.run import Run
from tests.training.small import quick, trained

NEW = [
    parse_game({"appid": appid, "name": "New", "tags": tags, "price": 2, "release_date": "2017-05-01"})
    for appid, tags in ((5, ["T1", "T2"]), (155, ["T0"]), (999, ["T4", "unheard of"]))
]


@pytest.fixture(scope="module")
def run(reviews: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = quick("gce-gnn", "srec", dim=8, epochs=2)
    return trained(reviews, tmp_path_factory.mktemp("new") / "RUN", settings)


@pytest.fixture(scope="module")
def wide(run: Run) -> Run:
    out = run.folder.with_name("WIDE")
    add_games(run, NEW, out, share=0.1)
    return Run(out)


def ranker(run: Run) -> Ranker:
    model = run.model()
    return Ranker(EagerScorer(model, model.hops), ArrayStore(run.graph()), 50)


def test_conjugate_gradients_reach_the_closed_form() -> None:
    random = np.random.default_rng(0)
    rows = sp.csr_array((random.random((40, 9)) * (random.random((40, 9)) < 0.4)).astype(np.float32))
    weights, targets, strength = random.random(40) + 0.1, random.normal(size=(40, 2, 3)), 0.7
    weight = weights / weights.mean()
    mean = np.tensordot(weight, targets, 1) / len(weight)
    x, w = rows.toarray().astype(np.float64), np.diag(weight)
    wanted = (targets - mean).reshape(40, 6)
    exact = np.linalg.solve(x.T @ w @ x + strength * np.eye(9), x.T @ w @ wanted)
    predicted = Ridge(rows, weights, strength).predict(targets, rows)
    np.testing.assert_allclose(predicted.reshape(40, 6), x @ exact + mean.reshape(6), atol=1e-5)


def test_known_games_keep_their_scores_to_the_last_bit(run: Run, wide: Run) -> None:
    before, after = run.items()["appid"].to_pylist(), wide.items()["appid"].to_pylist()
    assert sorted([*before, 5, 155, 999]) == after
    place = torch.tensor([after.index(appid) for appid in before])
    for session in run.sample_sessions()[:10]:
        moved = [int(place[item - 1]) + 1 for item in session]
        expected, found = ranker(run).scores([session])[0], ranker(wide).scores([moved])[0]
        torch.testing.assert_close(found[place], expected, rtol=0, atol=1e-6)


def test_the_new_rows_are_the_regression_of_the_old_ones(run: Run, wide: Run) -> None:
    rows = wide.items().to_pylist()
    new = [row for row in rows if not row["train_clicks"]]
    assert [(row["appid"], row["name"], row["tags"]) for row in new] == [
        (game.appid, "New", list(game.tags)) for game in NEW
    ]
    assert [row["item"] for row in rows] == list(range(1, len(rows) + 1))
    table = wide.model().state_dict()["items.weight"]
    assert not table[0].any()
    twin = next(row["item"] for row in rows if row["train_clicks"] and row["tags"] == ["T4", "T2"])
    others = torch.tensor([row["item"] for row in rows if row["tags"] and row["tags"][0] != "T4"])
    near = torch.nn.functional.cosine_similarity(table[new[2]["item"]][None], table)
    assert near[twin] > near[others].median()


def test_answers_hold_new_games_within_their_share(wide: Run, tmp_path: Path) -> None:
    export_run(wide, tmp_path / "artifact", "fast")
    predictor = Artifact(tmp_path / "artifact").predictor()
    assert predictor.new_games is not None
    requests = [Request(appids=[appid], k=20) for appid in (20, 50, 100, 155)]
    new = {game.appid for game in NEW}
    counts = []
    for request, answer in zip(requests, predictor.answer(requests, list("abcd")), strict=True):
        assert answer["source"] == "gce-gnn"
        assert answer["unknown_appids"] == []
        counts.append(len(new & {item["appid"] for item in answer["items"]}))
        assert not new & {item["appid"] for item in answer["items"]} & set(request.appids)
    assert 1 <= max(counts) <= 2
    assert Artifact(tmp_path / "artifact").self_test()


def test_which_games_are_new(run: Run) -> None:
    def game(appid: int, tags: list[str], release: object) -> Game:
        return parse_game({"appid": appid, "tags": tags, "release_date": release})

    games = [
        game(10, ["T1"], "2017-05-01"),
        game(11, ["T1"], "2017-05-01"),
        game(12, [], "2017-05-01"),
        game(13, ["T1"], "2013-05-01"),
        game(14, ["T1"], "2017-07-02"),
        game(15, ["T1"], {"coming_soon": True, "date": "Feb 1, 2017"}),
        game(16, ["T1"], {"coming_soon": False, "date": "1 Feb, 2017"}),
        game(17, ["T1"], "2017"),
        game(18, ["T1"], None),
    ]
    found = released_lately({game.appid: game for game in games}, run, date(2017, 7, 1))
    assert [game.appid for game in found] == [11, 16, 17]


def test_what_cannot_take_games_says_so(run: Run, wide: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no new game"):
        add_games(run, [], tmp_path / "out")
    with pytest.raises(InputError, match="has new games already"):
        add_games(wide, NEW, tmp_path / "out")
    with pytest.raises(InputError, match=r"has new games, which .* does not know"):
        export_run(run, tmp_path / "out", "fast", ShortSessionRun(wide, 1))
    with pytest.raises(InputError, match="name the run that it was made from"):
        wide.data()
    assert not (tmp_path / "out").exists()


def test_a_widening_keeps_the_order_of_appids() -> None:
    def games(*appids: int) -> list[Game]:
        return [parse_game({"appid": appid}) for appid in appids]

    wide = Widening.of(games(10, 30), games(20, 5))
    assert [game.appid for game in wide.games] == [5, 10, 20, 30]
    assert (wide.places.tolist(), wide.new.tolist()) == ([0, 2, 4], [3, 1])


def test_reviews_of_unknown_games_are_examples_of_their_own() -> None:
    ids = np.array([10, 99, 20, 98, 99, 20, 97, 10, 96])
    clicks = Clicks(ids, np.array([0, 4, 7, 9]), np.array([1, 5, 6, 7, 2, 5, 9, 3, 4]))
    found = new_game_examples(clicks, Vocabulary([10, 20]), after=4, until=8).to_pylist()
    # 99 by the second user has no known game before it, 97 is too late, 96 lies on the bound.
    assert found == [{"items": [1], "appid": 99}, {"items": [1, 2], "appid": 98}]


def test_new_games_are_measured_by_who_reviewed_them(run: Run, wide: Run, tmp_path: Path) -> None:
    data, folder = run.data(), tmp_path / "DATA"
    shutil.copytree(data.folder, folder)
    sessions = [run.sample_sessions()[i][-3:] for i in range(6)]
    appids = [5, 155, 999, 5, 4, 155]
    pq.write_table(pa.table({"items": sessions, "appid": appids}), folder / "new_validation.parquet")
    figures = evaluate_new_games(wide, Dataset(folder), "validation")
    assert figures["examples"] == 6
    assert figures["known"] == pytest.approx(5 / 6)
    assert figures["recall@20_among_new"] == pytest.approx(5 / 6) == figures["by_chance"]
    assert 0 <= figures["recall@20"] <= 5 / 6
    with pytest.raises(InputError, match="no new games"):
        evaluate_new_games(run, data, "validation")
    (folder / "new_validation.parquet").unlink()
    with pytest.raises(DataError, match="prepare the reviews again"):
        evaluate_new_games(wide, Dataset(folder), "validation")

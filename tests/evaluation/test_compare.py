from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.evaluation.compare import compare, measure
from srec.evaluation.measured import Measured
from srec.evaluation.metrics import gains
from tests.training.small import quick, trained

FACTS = {"model": "one", "data": "abc", "split": "test", "exclude_clicked": "false"}


def measured(ranks: list[int]) -> Measured:
    return Measured(FACTS, np.array(ranks))


def test_difference_and_doubt_by_pairs() -> None:
    """B is A but for one place lost on every tenth example: paired, there is no doubt which is better."""
    random = np.random.default_rng(0)
    first = random.integers(1, 20, 400)
    second = first + (np.arange(400) % 10 == 0)
    found = compare([measured(first.tolist())], [measured(second.tolist())])["mrr@20"]
    lost = gains(first)["mrr@20"] - gains(second)["mrr@20"]
    assert found["difference"] == pytest.approx(lost.mean())
    assert found["first"] - found["second"] == pytest.approx(found["difference"])
    low, high = found["interval_95"]
    assert 0 < low < found["difference"] < high
    assert high - low == pytest.approx(2 * 1.96 * lost.std() / 20, rel=0.15)
    assert found["p"] == 0


def test_seeds_count_by_their_mean_and_equals_do_not_differ() -> None:
    seeds = [measured([1, 0, 5]), measured([2, 0, 0])]
    found = compare(seeds, [measured([1, 2, 3])])
    assert found["recall@5"]["first"] == pytest.approx((1 + 0 + 0.5) / 3)
    same = compare(seeds, list(reversed(seeds)))["mrr@20"]
    assert (same["difference"], same["interval_95"], same["p"]) == (0, (0, 0), 1)


def test_only_what_was_measured_alike() -> None:
    other = replace(measured([1]), facts={**FACTS, "split": "validation"})
    with pytest.raises(InputError, match=r"not measured alike: split is test for one and validation"):
        compare([measured([1])], [other])


def test_a_run_and_its_file_of_ranks_are_the_same(sessions: Dataset, tmp_path: Path) -> None:
    run = trained(sessions, tmp_path / "RUN", quick("markov"))
    from_run = measure(run.folder, "test", None, lambda *_: None)
    from_run.save(tmp_path / "ranks")
    from_file = measure(tmp_path / "ranks", "test", None, lambda *_: None)
    assert from_file.facts == from_run.facts
    assert from_file.ranks.tolist() == from_run.ranks.tolist()
    assert len(from_file.ranks) == len(sessions.examples("test"))
    with pytest.raises(InputError, match="neither a run nor a file of ranks"):
        measure(tmp_path, "test", None, lambda *_: None)
    (tmp_path / "ranks").write_text("x")
    with pytest.raises(DataError, match="holds no ranks"):
        measure(tmp_path / "ranks", "test", None, lambda *_: None)

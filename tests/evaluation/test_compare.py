from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.evaluation.compare import compare, measure
from srec.evaluation.measured import Measured
from srec.evaluation.metrics import gains
from tests.training.small import quick, trained

FACTS = {"model": "one", "data": "abc", "split": "test", "exclude_clicked": "false"}


def measured(ranks: list[int], groups: list[int] | None = None) -> Measured:
    """Ranks of sessions with one example each, unless said."""
    return Measured(FACTS, np.array(ranks), np.arange(len(ranks)) if groups is None else np.array(groups))


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


def test_examples_of_one_session_are_drawn_together() -> None:
    """Every example four times: as one session each it is no more evidence than once."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, 21, 100), random.integers(0, 21, 100)
    once = compare([measured(first.tolist())], [measured(second.tolist())])["mrr@20"]
    four = np.repeat(first, 4).tolist(), np.repeat(second, 4).tolist()
    groups = np.repeat(np.arange(100), 4).tolist()
    together = compare([measured(four[0], groups)], [measured(four[1], groups)])["mrr@20"]
    apart = compare([measured(four[0])], [measured(four[1])])["mrr@20"]
    widths = [one["interval_95"][1] - one["interval_95"][0] for one in (once, together, apart)]
    assert widths[1:] == pytest.approx([widths[0], widths[0] / 2], rel=0.15)
    assert together["p"] == pytest.approx(once["p"], abs=0.1)


def test_ranks_without_sessions_need_one_that_knows_them() -> None:
    groups = [0, 0, 1, 1]
    old, new = measured([1, 0, 5, 2], []), measured([1, 2, 0, 3], groups)
    for sides in ((old, new), (new, old)):
        known = [replace(side, groups=np.array(groups)) for side in sides]
        assert compare(sides[:1], sides[1:]) == compare(known[:1], known[1:])
    with pytest.raises(InputError, match="none of these files of ranks says which examples are of one sess"):
        compare([old], [old])


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


def test_a_file_of_an_earlier_version_has_ranks_alone(tmp_path: Path) -> None:
    save_file({"ranks": np.array([1, 0], np.uint8)}, tmp_path / "ranks", metadata=FACTS)
    old = Measured.load(tmp_path / "ranks")
    assert (old.facts, old.ranks.tolist(), old.groups.tolist()) == (FACTS, [1, 0], [])


def test_a_run_and_its_file_of_ranks_are_the_same(sessions: Dataset, tmp_path: Path) -> None:
    run = trained(sessions, tmp_path / "RUN", quick("markov"))
    from_run = measure(run.folder, "test", None, lambda *_: None)
    from_run.save(tmp_path / "ranks")
    from_file = measure(tmp_path / "ranks", "test", None, lambda *_: None)
    assert from_file.facts == from_run.facts
    assert from_file.ranks.tolist() == from_run.ranks.tolist()
    assert from_file.groups.tolist() == from_run.groups.tolist()
    assert 1 < len(set(from_file.groups)) < len(from_file.ranks) == len(from_file.groups)
    assert len(from_file.ranks) == len(sessions.examples("test"))
    with pytest.raises(InputError, match="neither a run nor a file of ranks"):
        measure(tmp_path, "test", None, lambda *_: None)
    (tmp_path / "ranks").write_text("x")
    with pytest.raises(DataError, match="holds no ranks"):
        measure(tmp_path / "ranks", "test", None, lambda *_: None)

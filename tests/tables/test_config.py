from pathlib import Path

import pytest
import yaml

from srec.errors import InputError
from srec.tables.config import TableConfig, read_config
from srec.tables.plan import Job, Plan, input_files, prepare_command
from tests.conftest import ROOT

SMALL = """
title: Small
data:
  one: {train_sessions: one/train.txt, test_sessions: one/test.txt, set: {validation_share: 0.2}}
  two: {reviews: [r.csv], games: g.jsonl, set: {until: 2018-01-06, columns: {steamid: user}}}
rows:
  - {label: GCE-GNN, model: gce-gnn, set: {dim: 8}, set_for: {two: {dim: 16, tags: true}}, seeds: 2}
  - {label: "last item", model: markov, data: [one], seeds: [3]}
  - {label: both, blend: {run: GCE-GNN, with: last item, set: {short_clicks: 2}}, data: [one], seeds: 2}
  - {label: theirs, published: {one: {mrr@20: 1.5}}}
"""


def read(tmp_path: Path, old: str = "", new: str = "") -> TableConfig:
    assert old in SMALL
    path = tmp_path / "small.yaml"
    path.write_text(SMALL.replace(old, new, 1))
    return read_config(path)


def test_jobs_in_the_order_listed(tmp_path: Path) -> None:
    plan = Plan(read(tmp_path))
    assert [(job.dataset, job.name) for job in plan] == [
        ("one", "gce-gnn-s0"), ("one", "gce-gnn-s1"), ("two", "gce-gnn-s0"), ("two", "gce-gnn-s1"),
        ("one", "last-item-s3"), ("one", "both-s0"), ("one", "both-s1"),
    ]  # fmt: skip
    settings = [job.settings() for job in plan]
    assert [one.parameters["dim"] for one in settings[:4] if one] == [8, 8, 16, 16]
    assert [one.training.seed for one in settings[:5] if one] == [0, 1, 0, 1, 3]
    first, second = plan.parts(list(plan)[-1])
    assert (first.name, second.name) == ("gce-gnn-s1", "last-item-s3")  # the row's own first seed


def test_a_blend_may_be_blended_again(tmp_path: Path) -> None:
    more = "  - {label: all, blend: {run: both, with: last item}, data: [one]}\n  - {label: theirs"
    plan = Plan(read(tmp_path, "  - {label: theirs", more))
    *others, last = plan
    assert [part.name for part in plan.parts(last)] == ["both-s0", "last-item-s3"]
    assert plan.digest(last) not in {plan.digest(job) for job in others}


def test_data_sets_are_prepared_as_by_hand(tmp_path: Path) -> None:
    config = read(tmp_path)
    one, two = (prepare_command(config.data[name], Path("root"), Path("out")) for name in ("one", "two"))
    assert " ".join(one) == (
        "prepare --train-sessions root/one/train.txt --test-sessions root/one/test.txt "
        "--validation-share 0.2 --out out"
    )
    assert " ".join(two) == (
        "prepare --reviews root/r.csv --games root/g.jsonl --until 2018-01-06 --column steamid=user --out out"
    )
    assert input_files(config.data["two"], Path("root")) == [Path("root/r.csv"), Path("root/g.jsonl")]


def test_digests_name_what_decides_a_figure(tmp_path: Path) -> None:
    def digests(old: str = "", new: str = "") -> list[str]:
        plan = Plan(read(tmp_path, old, new))
        return [plan.digest(job) for job in plan]

    plain = digests()
    assert len(set(plain)) == 7
    # What is at its default, a label and what else is listed change nothing.
    assert digests("{dim: 8}", "{dim: 8, epochs: 12}") == plain
    assert digests("label: theirs", "label: others") == plain
    changed = digests("{dim: 8}", "{dim: 8, epochs: 3}")
    same = [old == new for old, new in zip(plain, changed, strict=True)]
    assert same == [False] * 4 + [True] + [False] * 2  # the blend holds the changed run
    assert not set(digests("title: Small", "title: Small\nsplit: validation")) & set(plain)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows:", "row:", 'there is no "row" (did you mean "rows"?): known are title'),
        ("seeds: 2", "seed: 2", 'rows.0: there is no "seed" (did you mean "seeds"?)'),
        ("with: last", "wiht: last", 'rows.2.blend: there is no "wiht" (did you mean "with"?)'),
        ("{dim: 8}", "{dimm: 8}", 'row "GCE-GNN" for one: --set dimm: gce-gnn has no such setting '),
        ("model: markov", "model: markow", 'row "last item" for one: there is no model "markow" '),
        ("data: [one]", "data: [onee]", 'there is no data set "onee" (did you mean "one"?)'),
        ("mrr@20", "mrr@30", 'rows.3: there is no metric "mrr@30" (did you mean "mrr@'),
        ("{run: GCE-GNN", "{run: GCE", 'there is no row with a model, or blend above, "GCE"'),
        ("with: last item", "with: both", 'there is no row with a model, or blend above, "both"'),
        ("label: both", "label: Last Item", 'the label "last item" occurs twice, or differs in signs only'),
        ("one/test.txt", "''", "name either train_sessions with test_sessions, or reviews with games"),
        ("validation_share: 0.2", "validation_share: 2", "validation_share: Input should be"),
        ("published: {one: {mrr@20: 1.5}}", "note: x", "a row needs a model, a blend or published figures"),
        ("title: Small", "title: [", "is no YAML"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, old, new)
    assert message in str(error.value)


def test_names_given_by_hand(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.row("both").label == "both"
    with pytest.raises(InputError, match='there is no row "boht"'):
        config.row("boht")
    with pytest.raises(InputError, match='there is no data set "tow"'):
        config.check_datasets(["tow"])
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("name", ["papers", "steam"])
def test_our_own_tables_are_sound(name: str) -> None:
    """Every model, preset and setting in them exists, and every row has something to show."""
    config = read_config(ROOT / "results" / f"{name}.yaml")
    plan = Plan(config)
    assert len({(job.dataset, job.name) for job in plan}) == len(list(plan)) > 10
    assert all(isinstance(job, Job) and plan.digest(job) for job in plan)
    assert yaml.safe_load((ROOT / "results" / f"{name}.yaml").read_text())["title"] == config.title

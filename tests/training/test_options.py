"""Combinations of options without a meaning are refused; every setting of training is documented."""

import re
from pathlib import Path

import pytest

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.training.settings import TrainSettings, resolve
from srec.training.train import train
from tests.conftest import ROOT
from tests.training.small import Told, quick


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "gbce", "label_smoothing": "0.1"}, "loss=gbce has no label_smoothing"),
        ({"loss": "gbce", "popularity_penalty": "1"}, "loss=gbce has no popularity_penalty"),
        ({"loss": "gbce", "negatives": "9", "negative_power": "1"}, "loss=gbce has no negative_power"),
        ({"negatives": "9", "label_smoothing": "0.1"}, "label_smoothing needs all items"),
        ({"negative_power": "1"}, "negative_power needs drawn negatives: add --set negatives="),
        ({"negatives": "9", "negative_correction": "false"}, "changes nothing without a negative_power"),
        ({"consistency": "1"}, "consistency needs perturbed sessions: add --set perturb=drop,swap"),
        ({"perturb": "drop,skip"}, "perturb=drop,skip: .*'skip', known are drop, swap, shuffle"),
        ({"averaging": "mean"}, "averaging=mean: .*'none', 'ema' or 'last'"),
        ({"table_dropout": "1"}, "table_dropout=1: .*less than 1"),
        ({"propensity_clip": "inf"}, "propensity_clip=inf: .*finite"),
    ],
)
def test_what_has_no_meaning_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=f"--set .*{message}"):
        resolve("gce-gnn", "paper", changes)


def test_shuffling_days_needs_times(sessions: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"perturb=shuffle .*no times.*perturb=drop,swap"):
        train(sessions, quick(perturb="shuffle"), tmp_path / "RUN", resume=False, report=Told())


def test_every_setting_of_training_has_a_row_with_its_default_and_a_word_on_when() -> None:
    docs = ROOT / "docs"
    page = (docs / "settings.md").read_text()
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (.*?) \|", page[page.index("### Training\n") :], re.MULTILINE)[::-1]
    )
    shared = {name for name in TrainSettings.model_fields if not name.startswith("auxiliary_")}
    for name in shared:
        default = TrainSettings.model_fields[name].default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        short = f"{default:g}" if isinstance(default, float) else text
        assert rows[name] == ("unset" if default in (None, "") else short), name
    guide = (docs / "training.md").read_text()
    explained = {name for name in shared if re.search(rf"`{name}[`=]", guide)}
    assert shared - explained <= {"seed", "max_clicks", "refit", "precision", "perturb", "loss"}

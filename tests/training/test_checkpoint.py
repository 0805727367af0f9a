"""A training that was interrupted goes on with a later version that knows more settings."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from srec.errors import InputError
from srec.training.checkpoint import Progress, load
from tests.training.small import quick


def saved(folder: Path, settings: dict[str, Any]) -> None:
    content = asdict(Progress(settings, "data", epoch=3)) | {"adam_steps": 1}
    (folder / "progress.json").write_text(json.dumps(content))


def test_settings_that_a_later_version_added_have_their_defaults(tmp_path: Path) -> None:
    now = quick(dim=8).model_dump(mode="json")
    before = {
        **now,
        "training": {name: value for name, value in now["training"].items() if name != "patience"},
        "parameters": {name: value for name, value in now["parameters"].items() if name != "dropout_local"},
    }
    saved(tmp_path, before)
    found = load(tmp_path, Progress(now, "data"))
    assert found is not None
    assert found.epoch == 3


@pytest.mark.parametrize("change", [{"patience": 9}, {"no_longer_known": 1}])
def test_other_settings_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    now = quick().model_dump(mode="json")
    saved(tmp_path, {**now, "training": {**now["training"], **change}})
    with pytest.raises(InputError, match="begun with other settings"):
        load(tmp_path, Progress(now, "data"))

"""Growth: sizes one after the other, and going on after an interruption."""

import json
from pathlib import Path
from typing import Any

import pytest

from srec.bench.growth import BATCHES, Growth, Settings
from srec.bench.report import GROWTH_COLUMNS, growth_cells, write_growth_report

SIZE = (200, 8)
SETTINGS = Settings(["eager"], [SIZE], inputs=32, limit=60)


@pytest.fixture(scope="module")
def saved() -> list[str]:
    return []


@pytest.fixture(scope="module")
def figures(saved: list[str]) -> dict[str, Any]:
    growth = Growth(
        SETTINGS, lambda _: None, lambda partial: saved.append(json.dumps(partial, allow_nan=False))
    )
    return growth.measure()


def test_a_row_for_each_size_backend_and_batch(figures: dict[str, Any]) -> None:
    found = {(row["items"], row["backend"], row["batch"]) for row in figures["rows"]}
    assert found == {
        (items, name, batch) for items, _ in SETTINGS.sizes for name in SETTINGS.rows for batch in BATCHES
    }
    assert figures["complete"]
    assert not figures["skipped"]
    for row in figures["rows"]:
        assert row["same_order_strict"] == 1.0
        assert row["inputs"] == SETTINGS.inputs
        assert row["memory_bytes"] > 0
        assert row["of_one_table_read"] == pytest.approx(row["ms_per_input"] / row["table_read_ms"])


def test_one_that_was_broken_off_goes_on(figures: dict[str, Any], saved: list[str]) -> None:
    """In its second size, after one row: the first size is kept and not measured again."""
    assert not json.loads(saved[0])["complete"]
    half = {**figures["rows"][0], "items": 300}
    broken = {**figures, "complete": False, "rows": [*figures["rows"], half]}
    said: list[str] = []
    growth = Growth(SETTINGS, said.append, lambda _: None)
    growth.go_on_from(broken)
    assert growth.measure()["rows"] == figures["rows"]
    assert not said, "nothing was left to measure"


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("settings", "inputs", 64), ("settings", "backends", ["eager", "fast"]), ("machine", "cpu", "another")],
)
def test_one_of_other_settings_or_another_machine_starts_anew(
    figures: dict[str, Any], part: str, key: str, value: Any
) -> None:
    broken = {**figures, "complete": False, part: {**figures[part], key: value}}
    said: list[str] = []
    growth = Growth(SETTINGS, said.append, lambda _: None)
    growth.go_on_from(broken)
    assert not growth.figures["sizes_done"]
    assert not growth.figures["rows"]
    assert said == [f"what was broken off has other {part}: starting anew"]


def test_one_that_was_complete_starts_anew(figures: dict[str, Any]) -> None:
    growth = Growth(SETTINGS, lambda _: None, lambda _: None)
    growth.go_on_from(figures)
    assert not growth.figures["rows"]


def test_report(figures: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra `bench`")
    text = write_growth_report(tmp_path, figures).read_text()
    assert all(len(growth_cells(row)) == len(GROWTH_COLUMNS) for row in figures["rows"])
    assert text.count("| eager |") == len(BATCHES)
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")

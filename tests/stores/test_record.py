"""The record format: pinned by a golden file, and whole for any graph."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from srec.stores.record import fields, mark_key, pack, rows_key, unpack

GOLDEN = json.loads((Path(__file__).parent / "golden_record.json").read_text())
ITEMS = np.array([GOLDEN["item"]], np.int32)
RECORD = bytes.fromhex(GOLDEN["record"])


def test_the_format_is_that_of_the_golden_file() -> None:
    neighbours = np.array([GOLDEN["neighbours"]], np.int32)
    weights = np.array([GOLDEN["weights"]], np.float32)
    assert mark_key(GOLDEN["digest"]) == GOLDEN["mark"]
    assert rows_key(GOLDEN["digest"], GOLDEN["shard"]) == GOLDEN["rows"]
    assert fields(ITEMS) == [bytes.fromhex(GOLDEN["field"])]
    assert pack(neighbours, weights) == [RECORD]
    records = unpack(ITEMS, [RECORD], size=3, n_items=400)
    np.testing.assert_array_equal(records["neighbours"], neighbours)
    np.testing.assert_array_equal(records["weights"], weights)


@settings(deadline=None)
@given(st.data())
def test_any_rows_survive_packing(data: st.DataObject) -> None:
    n_items, size = data.draw(st.integers(1, 2**31 - 1)), data.draw(st.integers(1, 20))
    shape = (data.draw(st.integers(1, 30)), size)
    neighbours = data.draw(arrays.arrays(np.int32, shape, elements=st.integers(0, n_items)))
    weights = data.draw(arrays.arrays(np.float32, shape, elements=st.floats(0, 2**24, width=32)))
    values = pack(neighbours, weights)
    assert {len(value) for value in values} == {8 * size}
    records = unpack(np.arange(shape[0], dtype=np.int32), values, size, n_items)
    np.testing.assert_array_equal(records["neighbours"], neighbours)
    np.testing.assert_array_equal(records["weights"], weights)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**31 - 1), unique=True))
def test_every_item_has_a_field_of_its_own(items: list[int]) -> None:
    names = fields(np.array(items, np.int32))
    assert len(set(names)) == len(items)
    assert {len(name) for name in names} <= {4}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "the row of item 258 is missing"),
        (RECORD[:-1], "the row of item 258 has 23 bytes instead of 24"),
        (RECORD + b"\0", "the row of item 258 has 25 bytes instead of 24"),
        (b"\x91\x01\0\0" + RECORD[4:], "the row of item 258 is damaged"),  # neighbour 401 of 400 items
        (b"\xff" * 4 + RECORD[4:], "the row of item 258 is damaged"),  # neighbour -1
        (RECORD[:-4] + b"\0\0\xc0\x7f", "the row of item 258 is damaged"),  # weight NaN
    ],
)
def test_a_record_that_is_no_row_is_refused(value: bytes | None, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        unpack(np.array([1, 258], np.int32), [RECORD, value], size=3, n_items=400)


def test_lengths_that_cancel_out_are_refused() -> None:
    with pytest.raises(ValueError, match="item 1 has 23 bytes"):
        unpack(np.array([1, 258], np.int32), [RECORD[:-1], b"\0" + RECORD], size=3, n_items=400)

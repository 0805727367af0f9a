import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.ids import PADDING, Vocabulary


@given(appids=st.sets(st.integers(1, 2**31 - 1), max_size=20))
def test_items_count_appids_from_one_in_ascending_order(appids: set[int]) -> None:
    vocabulary = Vocabulary(sorted(appids))
    assert len(vocabulary) == len(appids)
    assert vocabulary.items(sorted(appids)) == list(range(1, len(appids) + 1))
    assert all(vocabulary.appid(vocabulary.item(appid)) == appid for appid in appids)


def test_unknown_appids_are_padding() -> None:
    vocabulary = Vocabulary([10, 20])
    assert vocabulary.items([20, 15, 10, 2**40]) == [2, PADDING, 1, PADDING]


@pytest.mark.parametrize("appids", [[2, 1], [1, 1]])
def test_appids_ascend(appids: list[int]) -> None:
    with pytest.raises(ValueError, match="strictly ascending"):
        Vocabulary(appids)

"""The certified scan answers as the full one: any table, any coarse pass, any selection."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srec.export.heads import choose_heads, leading_directions
from srec.serving import nibbles, products
from srec.serving.certified import CertifiedScan
from srec.serving.loops import BLOCK, Rounded, search
from srec.serving.products import LOOK
from srec.serving.scan import FullScan
from srec.topk import Selection, TopK

WIDTH = 2 * LOOK + 22  # up to three looks, the last of which is not full


def table(n_items: int, decay: float, seed: int = 0) -> Tensor:
    """Item vectors with a common direction and a falling spectrum, as trained ones; row 0 is padding."""
    draw = torch.Generator().manual_seed(seed)
    items = torch.randn(n_items + 1, WIDTH, generator=draw) * decay ** torch.arange(WIDTH)
    items += torch.randn(WIDTH, generator=draw)
    items[0] = 0
    return items


def sessions(items: Tensor, count: int, seed: int = 1) -> Tensor:
    """Session vectors: sums of a few items' vectors."""
    draw = torch.Generator().manual_seed(seed)
    return items[torch.randint(1, len(items), (count, 3), generator=draw)].sum(1)


def certified_scan(items: Tensor, norms: Tensor | None, dims: int) -> CertifiedScan:
    """In the directions of the table and of some sessions."""
    return CertifiedScan(items, norms, leading_directions(items, norms, sessions(items, 10, seed=2)), dims)


def same(left: list[TopK], right: list[TopK], scores: Tensor) -> None:
    """Same items in the same order, but for scores that float32 cannot tell apart."""
    for a, b, row in zip(left, right, scores, strict=True):
        assert len(a.items) == len(b.items)
        assert len(set(a.items.tolist())) == len(a.items)
        torch.testing.assert_close(a.scores, b.scores, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(row[a.items - 1], row[b.items - 1], rtol=1e-5, atol=1e-5)


@pytest.fixture(params=["nibbles", "vnni", "avx2", "none"])
def cpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every coarse pass, where this CPU can run it."""
    kind: str = request.param
    if kind == "nibbles" and not products.has_nibbles():
        pytest.skip("this CPU has no AVX-512 VNNI")
    if kind == "vnni" and not products.has_vnni():
        pytest.skip("oneDNN's 8-bit product is not exact on this CPU")
    if kind != "none" and not products.has_int8():
        pytest.skip("this CPU has no AVX2")
    monkeypatch.setattr(products, "has_nibbles", lambda: kind == "nibbles")
    monkeypatch.setattr(products, "has_vnni", lambda: kind == "vnni")
    monkeypatch.setattr(products, "has_int8", lambda: kind != "none")
    return kind


@pytest.mark.parametrize("dims", [WIDTH - 1, WIDTH - 9, WIDTH - LOOK, 24, 8])
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("decay", [0.8, 0.99])
def test_answers_as_the_full_scan(cpu: str, dims: int, cosine: bool, decay: float) -> None:
    items = table(3000, decay)
    norms = items[1:].norm(dim=1) if cosine else None
    full, certified = FullScan(items, norms), certified_scan(items, norms, dims)
    asked = sessions(items, 40)
    same(
        certified.best(asked, [Selection(20)] * 40),
        full.best(asked, [Selection(20)] * 40),
        full.scores(asked),
    )


def test_few_bits_are_multiplied_right_to_the_last_one() -> None:
    """Of every size, with groups that are not full, for several sessions."""
    if not products.has_nibbles():
        pytest.skip("this CPU has no AVX-512 VNNI")
    draw = np.random.default_rng(0)
    for width, sessions in ((1, 1), (8, 3), (13, 2), (80, 9)):
        table = draw.integers(-7, 8, (4 * BLOCK, width)).astype(np.int8)
        coded = nibbles.Nibbles(torch.from_numpy(table))
        numbers = np.zeros((sessions, coded.width), np.int8)
        numbers[:, :width] = draw.integers(-127, 128, (sessions, width))
        steps = np.stack([np.arange(sessions), np.full(sessions, 2), np.zeros(sessions)], 1).astype(
            np.float32
        )
        rounded = Rounded(numbers, np.zeros((0, 0, LOOK), np.int16), steps, np.zeros((0, 0, 4), np.float32))
        leading, scales = draw.integers(0, 9, (4, BLOCK)).astype(np.float32), np.ones((1, 4), np.float32)
        nothing = certified_scan(torch.zeros(2, 2), None, 1)._coarse.layout
        layout = nothing._replace(leading=leading, scales=scales)
        rough, maxima = np.empty((sessions, 4, BLOCK), np.float32), np.empty((sessions, 4), np.float32)
        coded(layout, rounded, rough, maxima)
        products_of_all = numbers[:, :width].astype(np.int64) @ table.T.astype(np.int64)
        expected = 2 * products_of_all.reshape(rough.shape) + np.multiply.outer(np.arange(sessions), leading)
        np.testing.assert_array_equal(rough, expected)
        np.testing.assert_array_equal(maxima, expected.max(2))


def test_reads_few_rows_again(cpu: str) -> None:
    items = table(20_000, 0.9)
    certified = certified_scan(items, None, 24)
    certified.best(sessions(items, 50), [Selection(20)] * 50)
    assert certified.scored < 50 * 100
    assert certified.fallbacks == 0


def test_looks_leave_few_rows_to_be_read_however_little_the_pass_reads(cpu: str) -> None:
    items = table(20_000, 1.0)
    little, most = certified_scan(items, None, 8), certified_scan(items, None, WIDTH - 1)
    asked = sessions(items, 50)
    expected = most.best(asked, [Selection(20)] * 50)
    same(little.best(asked, [Selection(20)] * 50), expected, most.scores(asked))
    assert little.scored < 50 * 200


@settings(max_examples=60, deadline=None)
@given(
    n_items=st.integers(1, 1500),
    decay=st.sampled_from([0.7, 1.0]),
    dims=st.sampled_from([WIDTH - 1, WIDTH - LOOK, 6]),
    k=st.integers(1, 100),
    seed=st.integers(0, 1000),
    share=st.floats(0, 1),
    penalty=st.floats(0, 5),
    data=st.data(),
)
def test_keeps_to_every_selection(
    n_items: int,
    decay: float,
    dims: int,
    k: int,
    seed: int,
    share: float,
    penalty: float,
    data: st.DataObject,
) -> None:
    draw = torch.Generator().manual_seed(seed)
    items = table(n_items, decay, seed)
    selection = Selection(
        k,
        data.draw(st.lists(st.integers(1, n_items), max_size=20)),
        torch.rand(n_items, generator=draw) < share,
        penalty * torch.rand(n_items, generator=draw),
    )
    full, certified = FullScan(items, None), certified_scan(items, None, dims)
    asked = sessions(items, 2, seed)
    plain = Selection(k)
    expected, answered = full.best(asked, [selection, plain]), certified.best(asked, [selection, plain])
    assert selection.handicap is not None
    same(answered, expected, torch.stack([full.scores(asked)[0] - selection.handicap, full.scores(asked)[1]]))
    assert not set(answered[0].items.tolist()) & set(selection.excluded)


def test_onednn_leaves_amx_out_unless_its_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    products._leave_tiles_out()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_FP16"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    products._leave_tiles_out()
    assert os.environ["ONEDNN_MAX_CPU_ISA"] == "AVX512_CORE_AMX"


def test_is_compiled_once_whatever_is_asked() -> None:
    items = table(500, 0.8)
    certified = certified_scan(items, items[1:].norm(dim=1), 24)
    asked = sessions(items, 4)
    allowed, handicap = torch.rand(500) < 0.5, torch.rand(500)
    certified.best(asked[:1], [Selection(1)])
    compiled = len(search.signatures)  # type: ignore[attr-defined]  # another CPU's passes have other types
    certified.best(asked.T.contiguous().T, [Selection(5, (1, 2), allowed, handicap)] * 4)
    certified.best_of_one(asked[:1].numpy(), Selection(20, (3,)))
    assert len(search.signatures) == compiled  # type: ignore[attr-defined]


def test_equal_scores_ascend_by_item(cpu: str) -> None:
    items = table(500, 0.8)
    items[1:] = items[1:2]
    (answer,) = certified_scan(items, None, WIDTH - 1).best(items[1:2], [Selection(30)])
    assert answer.items.tolist() == list(range(1, 31))


def test_a_session_of_zeros_and_items_of_zeros_are_scored_zero(cpu: str) -> None:
    items = table(500, 0.8)
    items[1:100] = 0
    certified = certified_scan(items, None, WIDTH - 1)
    (answer,) = certified.best(torch.zeros(1, WIDTH), [Selection(5)])
    assert answer.items.tolist() == [1, 2, 3, 4, 5]
    assert certified.fallbacks == 1


def test_scores_far_apart_keep_their_order(cpu: str) -> None:
    items = table(500, 0.8)
    items[77] *= 1e6
    items[78] *= 1e-6
    full, certified = FullScan(items, None), certified_scan(items, None, WIDTH - 1)
    asked = torch.cat([sessions(items, 8), 1e4 * sessions(items, 8), 1e-4 * sessions(items, 8)])
    expected = full.best(asked, [Selection(10)] * 24)
    for left, right in zip(certified.best(asked, [Selection(10)] * 24), expected, strict=True):
        assert left.items.tolist() == right.items.tolist()


@pytest.mark.parametrize(("decay", "few"), [(0.6, True), (1.0, False)])
def test_reads_few_directions_first_only_where_they_hold_the_most(decay: float, few: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    items = torch.randn(4001, 128, generator=draw) * decay ** (torch.arange(128) / 4)
    asked = sessions(items, 16)
    directions = leading_directions(items, None, sessions(items, 16, seed=2))
    heads = choose_heads(items, None, asked, directions)
    assert (heads["float32"]["dims"] < 64) == few
    assert heads["nibbles"]["dims"] < 128
    assert heads["float32"]["dims"] <= heads["int8"]["dims"] <= heads["vnni"]["dims"] < 128

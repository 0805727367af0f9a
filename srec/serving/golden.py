"""Golden sessions: real sessions with the trained model's answers, replayed before anything is served."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from srec.errors import DataError
from srec.io import read_json
from srec.serving.ranker import Ranker
from srec.topk import TopK

ANSWERED = 20  # ranks compared
KEPT = 40  # ranks kept, so that near ties across the last compared rank can be recognised
RELATIVE_BOUND = 2e-5  # of the largest score: what another CPU's order of float32 additions may change


def golden_answers(ranker: Ranker, sessions: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Record what the ranker answers to sessions of items, each alone."""
    records = []
    for session in sessions:
        best = ranker.rank_all([session], KEPT)[0]
        records.append(
            {"clicks": list(session), "items": best.items.tolist(), "scores": best.scores.tolist()}
        )
    return records


def replay(path: Path, ranker: Ranker) -> int:
    """Ask every golden session and compare; returns how many there are.

    Raises:
        DataError: an answer differs by more than the bound; the model, the graph or the code is another.
    """
    records = read_json(path)
    for record in records:
        answer = ranker.rank_all([record["clicks"]], ANSWERED)[0]
        if not agrees(record, answer):
            raise DataError(
                f"golden session {record['clicks']} (items) is answered with {answer.items[:5].tolist()}..., "
                f"at export with {record['items'][:5]}...: model, graph and code do not belong together, "
                "export again"
            )
    return len(records)


def bound_of(scores: Tensor) -> float:
    """How far two float32 computations of these scores may be apart."""
    return RELATIVE_BOUND * max(1.0, float(scores.abs().max()))


def same_order(reference: Tensor, expected: Tensor, answered: Tensor) -> bool:
    """Whether two rankings are the same, but for items whose reference scores are closer than float32 tells.

    Args:
        reference: the reference's scores of all items, float32 [V].
        expected: its ranking, items int64 [n].
        answered: the ranking to check, items int64 [n].
    """
    if len(expected) != len(answered):
        return False
    apart = (reference[expected - 1] - reference[answered - 1]).abs()
    return bool((apart <= bound_of(reference)).all())


def agrees(record: dict[str, Any], answer: TopK) -> bool:
    """Whether an answer of ``ANSWERED`` ranks is the recorded one, as far as float32 tells."""
    golden = dict(zip(record["items"], record["scores"], strict=True))
    if len(answer.items) != min(ANSWERED, len(golden)) or not golden.keys() >= set(answer.items.tolist()):
        return False
    expected = torch.tensor(record["scores"][: len(answer.items)])
    bound = bound_of(torch.tensor(record["scores"]))
    of_answered = torch.tensor([golden[item] for item in answer.items.tolist()])
    return bool(((of_answered - expected).abs() <= bound).all()) and bool(
        ((answer.scores - of_answered).abs() <= bound).all()
    )

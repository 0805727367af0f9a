"""How steady every mixture of two models is: answers before and after a change, as ``srec stability`` says.

A trained model's answers change with its seed and with every click, those of a model that counts much less.
How much of it a mixture holds depends on how sharply both speak. Weights alone do not tell: it is measured.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Examples
from srec.evaluation.evaluate import Progress
from srec.evaluation.stability import CHANGES, TOP, Pair, changed_pairs, jaccard
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.models.blend import Blend
from srec.serving.ranker import Ranker
from srec.topk import Selection, TopK, select
from srec.training.blend_weights import BATCH, mixtures

SESSIONS: Final = 500  # that are changed, of each change


def try_steadiness(
    model: Blend, path: Ranker, examples: Examples, tried: Sequence[tuple[float, float]], progress: Progress
) -> NDArray[np.float64]:
    """Mean top-10 Jaccard of the answers of every mixture to a session and to the changed one, float64 [T].

    Args:
        model: the blend, whose weights do not matter.
        path: its serving path, which has the neighbours.
        examples: of validation; one click more, one less and two swapped count alike.
        tried: weight of the first model and sharpness of the second, [T].
        progress: told how many batches of how many are done.
    """
    changed = [changed_pairs(examples, change, SESSIONS, path.max_clicks) for change in CHANGES]
    batches = [[pairs[i : i + BATCH] for i in range(0, len(pairs), BATCH)] for pairs in changed if pairs]
    total, done = sum(map(len, batches)), 0
    means = []
    for of_change in batches:
        found = []
        for pairs in of_change:
            found.append(_overlaps(model, path, pairs, tried))
            done += 1
            progress(done, total)
        means.append(np.concatenate(found, axis=1).mean(axis=1))
    steadiness: NDArray[np.float64] = np.stack(means).mean(axis=0)
    return steadiness


def _overlaps(
    model: Blend, path: Ranker, pairs: Sequence[Pair], tried: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """Jaccard of both answers to each pair by every mixture, [T, pairs]."""
    selections = [Selection(TOP, pair.clicked) for pair in pairs]
    sides = []
    for sessions in ([pair.first for pair in pairs], [pair.second for pair in pairs]):
        inputs = model_inputs(pad_clicks(sessions, path.max_clicks), path.store.fetch, model.hops)
        sides.append([_items(select(scores, selections)) for scores in mixtures(model, inputs, tried)])
    return np.stack([jaccard(one, other) for one, other in zip(*sides, strict=True)])


def _items(answers: Sequence[TopK]) -> NDArray[np.int64]:
    """Answers as rows, 0 where there are fewer, int64 [B, TOP]."""
    items = np.zeros((len(answers), TOP), np.int64)
    for row, answer in zip(items, answers, strict=True):
        row[: len(answer.items)] = answer.items.numpy()
    return items

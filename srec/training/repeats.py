"""What clicked items gain in their scores, fitted on validation by maximum likelihood.

On its own training sessions a model is so sure of what comes next that clicks add nothing; how much more they
say than the model does is seen on sessions that it was not trained on. A few dozen numbers are fitted by
thousands of examples, with a normal prior, so that what is rarely seen stays near nothing.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srec.data.dataset import Examples
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks, pad_gaps
from srec.models import SessionModel
from srec.models.repeats import at, places_and_counts
from srec.stores.base import NeighbourStore
from srec.training.blend import sample
from srec.training.losses import NEVER

EXAMPLES: Final = 10_000  # at most; they fix so few numbers
BATCH: Final = 64  # sessions whose scores of all items are held at once
WIDTH: Final = 1.0  # of the prior, in logits
STEPS: Final = 100
NAME: Final = "repeats."  # of the weights


class _Seen(NamedTuple):
    """Examples as the fit sees them; N is the most distinct items of a session.

    Attributes:
        scores: of the clicked items, float64 [E, N].
        real: which of them are no padding, bool [E, N].
        place, times: of the clicks on them, int64 [E, N].
        right: which of them is the target, bool [E, N].
        target: the target's score, float64 [E].
        others: logarithm of the sum of exp(score) over all items that were not clicked, float64 [E].
    """

    scores: Tensor
    real: Tensor
    place: Tensor
    times: Tensor
    right: Tensor
    target: Tensor
    others: Tensor


def fit_repeats(model: SessionModel, examples: Examples, store: NeighbourStore, max_clicks: int) -> None:
    """Fit the ``RepeatBonus`` of a model in place; without examples it gains nothing.

    Args:
        model: on the CPU, with the weights to serve; put into evaluation mode. One without a ``RepeatBonus``
            is left alone.
        examples: of validation.
        store: neighbours of the graph that the model was trained with.
        max_clicks: newest clicks that the model sees.
    """
    bonus = model.repeats
    if bonus is None or not len(examples):
        return
    looks = _look(model.eval(), sample(examples, EXAMPLES), store, max_clicks)
    seen = _Seen(*(torch.cat(column) for column in zip(*looks, strict=True)))
    parts = (bonus.places, bonus.counts, bonus.own)
    values = [torch.zeros(len(part), dtype=torch.float64) for part in parts]
    for value in values:
        value.requires_grad_()
    optimizer = torch.optim.LBFGS(values, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = _loss(seen, *values)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    for part, value in zip(parts, values, strict=True):
        part.copy_(value.detach())


def _loss(seen: _Seen, places: Tensor, counts: Tensor, own: Tensor) -> Tensor:
    """Mean cross-entropy with the gains, and the prior."""
    gains = own * seen.scores + at(places, seen.place) + at(counts, seen.times)
    clicked = (seen.scores + gains).masked_fill(~seen.real, NEVER)  # [E, N]
    everything = torch.cat([clicked, seen.others.unsqueeze(1)], 1).logsumexp(1)
    right = seen.target + (gains * seen.right).sum(1)
    prior = sum(value.square().sum() for value in (places, counts, own)) / (2 * WIDTH**2 * len(right))
    return (everything - right).mean() + prior


@torch.no_grad()
def _look(
    model: SessionModel, examples: Examples, store: NeighbourStore, max_clicks: int
) -> Iterator[tuple[Tensor, ...]]:
    """What ``_Seen`` holds of one batch after the other."""
    order = np.argsort(np.diff(examples.inputs.offsets), kind="stable")
    table, timed = model.item_vectors(), examples.inputs.times is not None
    for batch in np.split(order, range(BATCH, len(order), BATCH)):
        clicks = pad_clicks([examples.inputs[index] for index in batch], max_clicks)
        gaps = pad_gaps([examples.inputs.times_of(index) for index in batch], max_clicks) if timed else None
        nodes, alias, edges, lengths, *rows = model_inputs(clicks, store.fetch, model.hops, gaps)
        scores = model.encode(nodes, alias, edges, lengths, *rows) @ table.T  # [B, V]
        target = torch.from_numpy(examples.targets[batch].astype(np.int64)).unsqueeze(1)
        columns, real = (nodes - 1).clamp(min=0), nodes > 0
        own, right = scores.gather(1, columns), scores.gather(1, target - 1).squeeze(1)
        scores.scatter_reduce_(1, columns, torch.where(real, NEVER, torch.inf), "amin")
        found = (own, real, *places_and_counts(nodes, alias, lengths), nodes == target)
        wide = (0, max_clicks - nodes.size(1))
        first, *more = (F.pad(part, wide) for part in found)
        yield first.double(), *more, right.double(), scores.logsumexp(1).double()


def fitted(weights: dict[str, Tensor], on: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a model that was trained on everything, with what another one's validation fitted."""
    return weights | {name: tensor for name, tensor in on.items() if name.startswith(NAME)}

"""Objectives: session vectors, item table and targets -> one number to minimise.

Sources: logit adjustment, Menon et al., ICLR 2021 (arXiv 2007.07314); inverse propensity weights, Schnabel et
al., ICML 2016 (arXiv 1602.05352); sampled softmax, Jean et al., ACL 2015 (arXiv 1412.2007); gBCE, Petrov &
Macdonald, RecSys 2023 (arXiv 2308.07192).
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from srec.training.negatives import Drawn, NegativeSampler
from srec.training.options import LossOptions
from srec.training.softmax import full_softmax_loss

NEVER = -1e9  # the score of what cannot be a target: finite, so that 0 * score stays 0


class Objective(Protocol):
    """What a step minimises."""

    def __call__(self, sessions: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            sessions: session vectors, [B, D].
            table: the item table as scored, [V, D].
            targets: columns of the right items (item - 1), int64 [B].
        """


class CrossEntropy:
    """Cross-entropy over all items: the papers' loss."""

    def __call__(self, sessions: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """See ``Objective``."""
        return full_softmax_loss(sessions, table, targets)


class Softmax:
    """Cross-entropy over all or drawn items, with added terms and weights."""

    def __init__(self, options: LossOptions, clicks: Tensor, targetable: Tensor) -> None:
        """Prepare.

        Args:
            options: see ``LossOptions``.
            clicks: training clicks of each item, [V].
            targetable: which items may be compared with, bool [V]; others stay out of the softmax.
        """
        self.smoothing = options.label_smoothing
        self.weights = propensity_weights(clicks, options.propensity_power, options.propensity_clip)
        prior = options.popularity_penalty * clicks.clamp(min=1).log()
        self.added = torch.where(targetable, prior, NEVER).float()  # [V]
        self.even = (targetable / targetable.sum()).float()  # [V]
        self.correct = options.negative_correction
        self.sampler = (
            NegativeSampler(clicks * targetable, options.negatives, options.negative_power)
            if options.negatives
            else None
        )

    def __call__(self, sessions: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """See ``Objective``."""
        if self.sampler is not None:
            losses = self._drawn(sessions, table, targets, self.sampler.draw())
            return weighted_mean(losses, self.weights, targets)
        weights = None if self.weights is None else self.weights[targets]
        loss = full_softmax_loss(sessions, table, targets, self.added, weights)
        if self.smoothing:
            loss = loss + self.smoothing * weighted_mean(
                self._above_mean(sessions, table, targets), self.weights, targets
            )
        return loss

    def _above_mean(self, sessions: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """How far the targets' scores are above the mean score of all items, [B].

        Cross-entropy with smoothed targets is the plain one plus ``smoothing`` times this.
        """
        right = (sessions * table[targets]).sum(1).float() + self.added[targets]
        return right - (sessions @ (self.even.to(table.dtype) @ table)).float() - self.even @ self.added

    def _drawn(self, sessions: Tensor, table: Tensor, targets: Tensor, drawn: Drawn) -> Tensor:
        """The target stays as it is and the drawn items stand for all others: exp(score) / (n q) each.

        That sum is an unbiased estimate of what the softmax adds up over the items but the target.
        """
        right = (sessions * table[targets]).sum(1).float() + self.added[targets]  # [B]
        scores = (sessions @ table[drawn.items].T).float() + self.added[drawn.items]  # [B, n]
        if self.correct:
            scores = scores - drawn.log_expected
        scores = scores.masked_fill(drawn.items == targets.unsqueeze(1), NEVER)
        return torch.cat([right.unsqueeze(1), scores], 1).logsumexp(1) - right


class Gbce:
    """Generalised binary cross-entropy over all or evenly drawn items (gSASRec, equations 9 and 10)."""

    def __init__(self, options: LossOptions, clicks: Tensor, targetable: Tensor) -> None:
        """Prepare; the arguments are those of ``Softmax``."""
        self.weights = propensity_weights(clicks, options.propensity_power, options.propensity_clip)
        self.everything = targetable.nonzero().squeeze(1)
        self.sampler = (
            NegativeSampler(clicks.clamp(min=1) * targetable, options.negatives, 0.0)
            if options.negatives
            else None
        )
        others = max(len(self.everything) - 1, 1)
        self.beta = gbce_beta(min((options.negatives or others) / others, 1.0), options.calibration)

    def __call__(self, sessions: Tensor, table: Tensor, targets: Tensor) -> Tensor:
        """See ``Objective``; the mean is over a target and its negatives, as in the paper."""
        items = self.everything if self.sampler is None else self.sampler.draw().items
        right = (sessions * table[targets]).sum(1).float()  # [B]
        wrong = F.softplus((sessions @ table[items].T).float())  # [B, n]
        wrong = wrong.masked_fill(items == targets.unsqueeze(1), 0).sum(1)
        losses = (self.beta * F.softplus(-right) + wrong) / (len(items) + 1)
        return weighted_mean(losses, self.weights, targets)


def gbce_beta(rate: float, calibration: float) -> float:
    """The power of the positive's probability: rate alpha = negatives / (V - 1), calibration t."""
    return rate * (calibration * (1 - 1 / rate) + 1 / rate)


def propensity_weights(clicks: Tensor, power: float, clip: float) -> Tensor | None:
    """What an example with each item as target weighs, [V]; None where all weigh the same.

    Clipped at ``clip`` times the mean, then scaled so that the mean over the training clicks is 1.
    """
    if not power:
        return None
    clicks = clicks.double()
    weights = clicks.clamp(min=1).pow(-power)
    mean = (weights * clicks).sum() / clicks.sum()
    weights = weights.clamp(max=clip * mean)
    return (weights * clicks.sum() / (weights * clicks).sum()).float()


def weighted_mean(losses: Tensor, weights: Tensor | None, targets: Tensor) -> Tensor:
    """Mean over the batch [B] -> []; ``weights`` are of items, [V]."""
    return losses.mean() if weights is None else (losses * weights[targets]).mean()


def make_objective(options: LossOptions, clicks: Tensor, targetable: Tensor | None = None) -> Objective:
    """The objective that the options ask for; plain ``CrossEntropy`` where they ask for nothing.

    Args:
        options: see ``LossOptions``.
        clicks: training clicks of each item, [V].
        targetable: items that may be compared with, bool [V]; None: all.
    """
    asked = any(getattr(options, n) != f.default for n, f in LossOptions.model_fields.items())
    if not asked and targetable is None:
        return CrossEntropy()
    if targetable is None:
        targetable = torch.ones_like(clicks, dtype=torch.bool)
    return (Gbce if options.loss == "gbce" else Softmax)(options, clicks, targetable)

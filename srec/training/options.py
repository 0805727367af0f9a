"""Training options beside the papers' recipe, as groups of settings; docs/training.md says when to use which.

Every option works with every model that is trained by gradient. Combinations without a meaning are refused.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PERTURBATIONS = ("drop", "swap", "shuffle")


class OptionGroup(BaseModel):
    """Base of the groups, which ``TrainSettings`` joins into one flat list of names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LossOptions(OptionGroup):
    """What is minimised (``srec.training.losses``) and against which items (``negatives``)."""

    loss: Literal["softmax", "gbce"] = "softmax"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target that is spread evenly over all items."""
    popularity_penalty: float = Field(0.0, ge=0, le=2)
    """Lambda: the loss sees score + lambda log clicks, so that the model learns scores without that part."""
    propensity_power: float = Field(0.0, ge=0, le=1)
    """An example weighs clicks(target) ** -power: rare targets count more."""
    propensity_clip: float = Field(10.0, ge=1, allow_inf_nan=False)
    """The largest weight, as a multiple of the mean one."""
    negatives: int = Field(0, ge=0, le=1_000_000)
    """Items drawn for a batch, shared by its sessions, in place of all items; 0: all items."""
    negative_power: float = Field(0.0, ge=0, le=1)
    """They are drawn in proportion to clicks ** power: 0 evenly, 1 by popularity."""
    negative_correction: bool = True
    """Whether scores are corrected for the draw (logQ); without it popular items are pushed down."""
    calibration: float = Field(0.75, ge=0, le=1)
    """t of gBCE: 0 is plain binary cross-entropy, 1 removes the overconfidence wholly."""

    @model_validator(mode="after")
    def _meaningful_loss(self) -> Self:
        softmax_only = ("label_smoothing", "popularity_penalty", "negative_power")
        if self.loss == "gbce":
            for name in softmax_only:
                if getattr(self, name):
                    raise ValueError(f"loss=gbce has no {name}, which belongs to the softmax: leave it out")
        if self.negatives and self.label_smoothing:
            raise ValueError("label_smoothing needs all items: leave out negatives, or label_smoothing")
        if self.negative_power and not self.negatives:
            raise ValueError("negative_power needs drawn negatives: add --set negatives=512, for example")
        if not self.negative_correction and not self.negative_power:
            raise ValueError("negative_correction=false changes nothing without a negative_power above 0")
        return self


class TableOptions(OptionGroup):
    """The item table: dropout, where it starts, what content adds to it."""

    table_dropout: float = Field(0.0, ge=0, lt=1)
    """On item vectors as they enter the model, one mask of width D a session."""
    initial: Literal["random", "node2vec", "pmi"] = "random"
    """Where the item table starts: at random, or at vectors of the co-click graph."""
    walk_return: float = Field(1.0, gt=0, le=100)
    """p of node2vec; with p = q = 1 it is DeepWalk."""
    walk_in_out: float = Field(1.0, gt=0, le=100)
    """q of node2vec."""
    walks: int = Field(10, ge=1, le=1000)
    """Walks from every item."""
    walk_length: int = Field(20, ge=2, le=1000)
    walk_window: int = Field(3, ge=1, le=20)
    """Steps that count as near: on a walk of node2vec, in a session for pmi."""
    content: Literal["none", "linear", "mlp"] = "none"
    """Whether g(content) is added to an item's row, and what g is."""
    content_dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the items, anew each step, that are seen as content alone."""


class ScheduleOptions(OptionGroup):
    """The learning rate over time."""

    learning_rate: float = Field(1e-3, gt=0, le=1)
    decay_every: int = Field(3, ge=1)
    """Epochs after which the learning rate is multiplied by ``decay``."""
    decay: float = Field(0.1, gt=0, le=1)
    schedule: Literal["step", "cosine", "constant"] = "step"
    """``step``: times ``decay`` every ``decay_every`` epochs; ``cosine``: down to 0 over ``epochs``."""
    warmup_steps: int = Field(0, ge=0, le=1_000_000)
    """Steps over which it rises from 0, in a straight line."""


class AveragingOptions(OptionGroup):
    """Serving an average of the weights of many steps."""

    averaging: Literal["none", "ema", "last"] = "none"
    """``ema``: an exponential moving average of the steps; ``last``: the mean of the last epochs."""
    ema_decay: float = Field(0.999, gt=0, lt=1)
    average_last: int = Field(3, ge=2, le=20)
    """Epochs that ``last`` takes the mean of."""


class PerturbOptions(OptionGroup):
    """Perturbed copies of sessions, so that answers depend less on one click."""

    perturb: str = ""
    """Any of drop, swap and shuffle (same day), joined by commas."""
    perturb_share: float = Field(0.3, gt=0, le=1)
    """Share of the sessions that are perturbed."""
    consistency: float = Field(0.0, ge=0, le=100)
    """Weight of the distance between a session's vector and its copy's; 0: the copy takes its place."""

    @field_validator("perturb")
    @classmethod
    def _known(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",") if name.strip()]
        for name in names:
            if name not in PERTURBATIONS:
                raise ValueError(f"there is no perturbation {name!r}, known are {', '.join(PERTURBATIONS)}")
        return ",".join(sorted(set(names)))

    @model_validator(mode="after")
    def _meaningful_perturbation(self) -> Self:
        if self.consistency and not self.perturb:
            raise ValueError("consistency needs perturbed sessions: add --set perturb=drop,swap")
        return self


class AuxiliaryOptions(OptionGroup):
    """Weights of further losses on the session vector (``srec.training.auxiliary``); 0: none."""

    auxiliary_length: float = Field(0.0, ge=0, le=1)
    """How long the whole session becomes: the squared error of its log."""
    auxiliary_return: float = Field(0.0, ge=0, le=1)
    """Whether the next click comes within a day; needs click times."""
    auxiliary_category: float = Field(0.0, ge=0, le=1)
    """The next item's first genre, or first tag; needs metadata."""


class ComputeOptions(OptionGroup):
    """How a step is computed."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: autocast of the forward pass; weights, loss and optimizer stay float32."""


class TrainingOptions(
    LossOptions,
    TableOptions,
    ScheduleOptions,
    AveragingOptions,
    PerturbOptions,
    AuxiliaryOptions,
    ComputeOptions,
):
    """All of them."""

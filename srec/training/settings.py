"""What a training is told: presets, and values set by hand over them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srec.errors import InputError, nearest
from srec.evaluation.metrics import METRICS
from srec.models import ModelSettings, model_class
from srec.training.options import TrainingOptions
from srec.training.presets import PER_MODEL, PRESETS


class TrainSettings(TrainingOptions):
    """How a model is trained; the defaults are the papers'."""

    epochs: int = Field(12, ge=1, le=1000)
    """At most; early stopping ends sooner."""
    batch_size: int = Field(100, ge=1, le=65536)
    l2: float = Field(1e-5, ge=0, le=1)
    patience: int = Field(3, ge=1)
    """Epochs without a better ``select_by`` on validation before training stops."""
    select_by: str = Field("mrr@20", pattern="^(" + "|".join(METRICS) + ")$")
    max_clicks: int = Field(50, ge=1, le=1000)
    seed: int = Field(0, ge=0, lt=2**32)
    refit: bool | None = None
    """Train once more on training and validation for the chosen epochs; unset: for session files only."""


class RunSettings(BaseModel):
    """All that decides a run, as it is saved with the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    preset: str
    training: TrainSettings
    parameters: dict[str, Any]
    """The model's own settings, resolved."""

    def model_settings(self) -> ModelSettings:
        """The model's settings as its own class."""
        return model_class(self.model).Settings(**self.parameters)


def resolve(model: str, preset: str, changes: dict[str, str]) -> RunSettings:
    """Lay ``changes`` (name -> text) over a preset; ``InputError`` for unknown names and bad values."""
    own = model_class(model).Settings
    if preset not in PRESETS:
        raise InputError(f'there is no preset "{preset}"{nearest(preset, PRESETS)}: {", ".join(PRESETS)}')
    known = {**own.model_fields, **TrainSettings.model_fields}
    for name in changes:
        if name not in known:
            raise InputError(
                f"--set {name}: {model} has no such setting{nearest(name, known)}: {', '.join(sorted(known))}"
            )
    values: dict[str, Any] = {**PER_MODEL.get(model, {}).get(preset, {}), **changes}
    try:
        parameters = own(**{name: value for name, value in values.items() if name in own.model_fields})
        training = TrainSettings(**{n: v for n, v in values.items() if n in TrainSettings.model_fields})
    except ValidationError as error:
        raise InputError(f"--set {_what(error)}") from None
    return RunSettings(model=model, preset=preset, training=training, parameters=parameters.model_dump())


def _what(error: ValidationError) -> str:
    """The first thing wrong; settings that do not go together have no one name."""
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    return f"{first['loc'][0]}={first['input']}: {message.lower()}" if first["loc"] else message

"""Where an unfinished training stands, so that it goes on after an interruption."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from srec.errors import DataError, InputError
from srec.io import new_folder, read_json, write_json
from srec.models import SessionModel
from srec.models.content import plain_weights
from srec.training.loop import AdamState, Trainer
from srec.training.settings import RunSettings


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        settings: the resolved settings, to refuse a resume with others.
        data: digest of the DATA it learns from.
        earlier: digest of the run that it started from, None for random weights.
        phase: ``select`` (validation decides) or ``refit`` (the chosen epochs on everything).
        epoch: epochs finished in this phase.
        history: one record an epoch of the first phase: loss, validation metrics, seconds.
        best_epoch: epochs after which validation was best, 0 before the first.
        seconds: time spent training so far.
    """

    settings: dict[str, Any]
    data: str
    earlier: str | None = None
    phase: str = "select"
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


def save(folder: Path, progress: Progress, trainer: Trainer, best: dict[str, Tensor]) -> None:
    """Write a checkpoint, whole or not at all."""
    moments = trainer.optimizer_state()
    with new_folder(folder) as temporary:
        save_file(_contiguous(trainer.model.state_dict()), temporary / "weights.safetensors")
        save_file(_contiguous(best), temporary / "best.safetensors")
        save_file(_contiguous(moments.first), temporary / "first_moments.safetensors")
        save_file(_contiguous(moments.second), temporary / "second_moments.safetensors")
        save_file(_contiguous(trainer.averager.state()), temporary / "averages.safetensors")
        heads = {} if trainer.auxiliary is None else trainer.auxiliary.state_dict()
        save_file(_contiguous(heads), temporary / "auxiliary.safetensors")
        write_json(temporary / "progress.json", asdict(progress) | {"adam_steps": moments.steps})


def load(folder: Path, expected: Progress) -> Progress | None:
    """Read how far it came; None where nothing was begun, ``InputError`` where it was another training."""
    if not (folder / "progress.json").is_file():
        return None
    content = read_json(folder / "progress.json")
    content.pop("adam_steps")
    found = Progress(**content)
    if found.data != expected.data:
        raise InputError(f"{folder} was begun on other data: train without --resume to start over")
    if found.earlier != expected.earlier:
        raise InputError(f"{folder} was begun with another --from: train without --resume to start over")
    if _complete(found.settings) != _complete(expected.settings):
        raise InputError(f"{folder} was begun with other settings: train without --resume to start over")
    return found


def restore(folder: Path, trainer: Trainer) -> dict[str, Tensor]:
    """Put weights and moments back, return the best weights so far; ``DataError`` for a damaged file."""
    trainer.model.load_state_dict(_read(folder / "weights.safetensors"))
    trainer.restore_optimizer(
        AdamState(
            _read(folder / "first_moments.safetensors"),
            _read(folder / "second_moments.safetensors"),
            int(read_json(folder / "progress.json")["adam_steps"]),
        )
    )
    if trainer.auxiliary is not None:
        trainer.auxiliary.load_state_dict(_read(folder / "auxiliary.safetensors"))
    trainer.averager.restore(_read(folder / "averages.safetensors"))
    return _read(folder / "best.safetensors")


def snapshot(model: SessionModel) -> dict[str, Tensor]:
    """A copy of the weights to serve on the CPU that later steps do not touch."""
    return {name: tensor.detach().cpu().clone() for name, tensor in plain_weights(model).items()}


def _complete(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Saved settings with the defaults of what a later version has added; None where they no longer exist."""
    try:
        known = RunSettings(**settings)
        parameters = known.model_settings().model_dump(mode="json")
    except ValidationError:
        return None
    return known.model_dump(mode="json") | {"parameters": parameters}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}): train without --resume to start over") from error


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

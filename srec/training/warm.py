"""Start a training at the weights of an earlier run: games that both know keep what was learnt of them."""

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from srec.data.dataset import Dataset, moment
from srec.errors import InputError
from srec.models import ItemFeatures, SessionModel
from srec.training.run import Run
from srec.training.settings import RunSettings

FITTED: Final = ("repeats",)  # settings of what is fitted anew after every epoch


@dataclass(frozen=True)
class Kept:
    """Rows that two tables share: row ``new[i]`` of ours is row ``old[i]`` of the earlier run; int64 [n]."""

    old: Tensor
    new: Tensor


class WarmStart:
    """An earlier run, and which of its items and context values the new DATA knows."""

    def __init__(self, run: Run, data: Dataset) -> None:
        """Match items by appid, and context values by field and text."""
        self.run = run
        self.data = data
        self.items = _shared([0, *run.items()["appid"].to_pylist()], [0, *data.items["appid"].to_pylist()])
        self.values = _shared(run.context_values(), data.context_values())

    @property
    def digest(self) -> str:
        """Names the earlier run."""
        return self.run.digest

    def check(self, settings: RunSettings) -> None:
        """``InputError`` where a training with these settings cannot go on from the run."""
        if self.run.settings.model != settings.model:
            raise InputError(
                f"{self.run.folder} is a run of {self.run.settings.model}, not of {settings.model}: "
                f"train with --model {self.run.settings.model}, or without --from"
            )
        mine, its = settings.parameters, self.run.settings.parameters
        for name, value in mine.items():
            if name in FITTED:
                continue
            if name in its and its[name] != value and isinstance(value, bool | int | str):
                raise InputError(
                    f"{self.run.folder} was trained with {name}={its[name]}, not {value}: "
                    f"add --set {name}={_written(its[name])}, or train without --from"
                )
        if settings.training.initial != "random" or settings.training.content != "none":
            raise InputError("--from starts at an earlier run's item table: leave out initial and content")
        self._check_unseen()

    def _check_unseen(self) -> None:
        """``InputError`` where the run may know what is validation now, which would flatter every epoch."""
        learnt, data = self.run.record["data"], self.data
        if data.kind == "sessions" and learnt["digest"] != data.digest:
            raise InputError(
                f"{self.run.folder} was trained on other data than {data.folder}, whose validation is drawn "
                "at random and may hold sessions of that training: train without --from"
            )
        end = learnt.get("split", {}).get("train_until")  # unknown of a run that an earlier version made
        begin = data.manifest["split"].get("train_until")
        if end is not None and begin is not None and end > begin:
            raise InputError(
                f"{self.run.folder} was trained on reviews until {moment(end)}, and validation of "
                f"{data.folder} begins at {moment(begin)}: prepare with fewer validation_days or test_days, "
                "or train without --from (`srec retrain --no-warm`)"
            )

    def features(self, features: ItemFeatures) -> ItemFeatures:
        """Tag vectors in the directions of the earlier run's, since its weights mean those.

        A factorisation of new tags finds other factors. Games that both know keep the earlier vectors; the
        others' go through the linear map that takes the shared games' new vectors nearest to the old ones.
        """
        earlier = self.run.features().tags
        if features.tags is None or earlier is None:
            return features
        old, new = earlier[self.items.old], features.tags[self.items.new]
        linear = torch.linalg.lstsq(new.double(), old.double(), driver="gelsd").solution.float()  # [T, T]
        tags = F.relu(features.tags @ linear)
        tags[self.items.new] = old
        return replace(features, tags=tags)

    def apply(self, model: SessionModel, selection: bool) -> None:
        """Copy the weights: rows of tables by appid or context value, all else as it is.

        Args:
            model: freshly built; rows of new games keep their first weights.
            selection: take the weights that validation saw, not those that were trained on it, too.
        """
        earlier = dict(self.run.model(selection).named_parameters())
        with torch.no_grad():
            for name, ours in model.named_parameters():
                if name not in earlier:
                    raise InputError(f"{self.run.folder} has no weights {name}: train without --from")
                self._copy(name, earlier[name], ours, self._kept(model, name))

    def _kept(self, model: SessionModel, name: str) -> Kept | None:
        """Which rows of a weight both know; None where it has no row an item or context value."""
        if name in model.item_rows:
            return self.items
        return self.values if name.startswith("context.") else None

    def _copy(self, name: str, theirs: Tensor, ours: Tensor, kept: Kept | None) -> None:
        if kept is not None and theirs.shape[1:] == ours.shape[1:]:
            both = (kept.old < len(theirs)) & (kept.new < len(ours))
            ours[kept.new[both]] = theirs[kept.old[both]].to(ours.device)
        elif theirs.shape == ours.shape:
            ours.copy_(theirs)
        else:
            raise InputError(
                f"{self.run.folder}: {name} has the shape {list(theirs.shape)}, here it is "
                f"{list(ours.shape)}: train with the same settings, or without --from"
            )


def _shared(old: list[Any], new: list[Any]) -> Kept:
    place = {value: row for row, value in enumerate(old)}
    pairs = [(place[value], row) for row, value in enumerate(new) if value in place]
    both = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return Kept(both[:, 0], both[:, 1])


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

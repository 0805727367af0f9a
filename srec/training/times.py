"""Which trainings read click times, and why one without them is refused."""

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.models import SessionModel
from srec.training.options import AuxiliaryOptions


def reads_times(model: SessionModel, options: AuxiliaryOptions, data: Dataset) -> bool:
    """Whether training reads the times of DATA; ``InputError`` where it would and there are none."""
    asking = [
        name
        for name, asks in (("time_gaps", model.reads_times), ("auxiliary_return", options.auxiliary_return))
        if asks
    ]
    if asking and not data.has_times:
        raise InputError(
            f"{asking[0]} needs click times, and {data.folder} has none: lines of a session file carry none. "
            f"Prepare reviews, or leave out --set {asking[0]}"
        )
    return bool(asking)

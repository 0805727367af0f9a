"""Which trainings read click times, and why one without them is refused."""

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.training.settings import RunSettings


def reads_times(settings: RunSettings, data: Dataset) -> bool:
    """Whether training reads the times of DATA; ``InputError`` where it would and there are none."""
    gaps = settings.parameters.get("time_gaps", "off") != "off"
    if gaps and settings.training.perturb:
        raise InputError("time_gaps needs sessions as they were: leave out --set perturb, or --set time_gaps")
    asking = {
        "time_gaps weighs edges by the time between clicks": ("leave out --set time_gaps", gaps),
        "auxiliary_return asks whether a visitor returns within a day": (
            "leave out --set auxiliary_return",
            settings.training.auxiliary_return > 0,
        ),
        "perturb=shuffle mixes the clicks of a day": (
            "use --set perturb=drop,swap",
            "shuffle" in settings.training.perturb,
        ),
    }
    for why, (instead, asked) in asking.items():
        if asked and not data.has_times:
            raise InputError(f"{why}, and {data.folder} has no times: prepare reviews, or {instead}")
    return any(asked for _, asked in asking.values())

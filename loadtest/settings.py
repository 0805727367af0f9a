"""What a load test is told: frozen settings with bounds, and the named presets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from srec.errors import InputError, nearest
from srec.loadtest.schedule import Step
from srec.loadtest.shapes import RATES, Shape, ramp, soak, spike, steps_at

Rate = Annotated[float, Field(gt=0, le=100_000)]

PRESETS: dict[str, dict[str, Any]] = {
    # SRec's benchmark inputs over HTTP: every client sends its next request once it has its answer.
    "srec": {"inputs": {"kind": "random"}, "users": 32, "rates": ()},
    # Visitors as they came: prepared sessions, a request after each click; needs sessions or data.
    "replay": {"inputs": {"click_by_click": True}, "users": 32, "rates": ()},
    # The gate of ETUDE (Kersbergen et al., ICDE 2024): 1,000 requests/s at p90 <= 50 ms.
    "etude": {
        "inputs": {"kind": "power-law"},
        "users": 128,
        "rates": (1000.0,),
        "thresholds": {"max_p90_ms": 50.0, "min_rate": 1000.0},
    },
}


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSettings(_Settings):
    """Which sessions are sent; ``srec.loadtest.inputs`` makes them."""

    kind: Literal["random", "power-law", "file", "data"] = "random"
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    count: int = Field(default=50_000, ge=1, le=10_000_000)
    """Distinct sessions made or read from DATA (a file is read whole); a longer test starts again."""
    sessions: Path | None = None
    """The file of ``kind="file"``: one session a line."""
    data: Path | None = None
    """The folder of ``kind="data"``, written by `srec prepare`: its training sessions are replayed."""
    click_by_click: bool = False
    """Replay: a session of L clicks becomes L requests, as its visitor would have caused them."""
    max_length: int = Field(default=50, ge=1, le=1000)
    length_exponent: float = Field(default=1.85, ge=0, le=10)
    popularity_exponent: float = Field(default=1.0, ge=0, le=10)

    @model_validator(mode="after")
    def _source_is_named(self) -> Self:
        if (self.kind == "file") != (self.sessions is not None):
            raise ValueError('kind "file" needs a sessions file, and only it takes one')
        if (self.kind == "data") != (self.data is not None):
            raise ValueError('kind "data" needs a folder of prepared data, and only it takes one')
        return self


class Thresholds(_Settings):
    """What every judged step must hold; None: not asked. Latencies count from the moment a request is due."""

    max_p50_ms: float | None = Field(default=None, gt=0)
    max_p90_ms: float | None = Field(default=None, gt=0)
    max_p99_ms: float | None = Field(default=None, gt=0)
    min_rate: float | None = Field(default=None, gt=0)
    """Right answers a second."""
    max_failure_share: float | None = Field(default=0.0, ge=0, le=1)
    """Of the requests due: wrong, unanswered, or never sent since no user was free."""


class LoadSettings(_Settings):
    """One load test.

    Without ``rates`` the loop is closed: each user sends as soon as it has its answer. With ``rates``
    (requests/s, all processes together) it is open: requests are due at even distances whatever the server
    does, and ``users`` bounds how many can be under way at once. ``shape`` says how the rates follow:
    ``step``: each for ``seconds``; ``ramp``: evenly from the first to the second in ``seconds``; ``soak``:
    one for ``seconds``; ``spike``: the first, then the second for ``spike_seconds``, then the first again.
    """

    url: str
    path: str = Field(default="/predictions/srec", pattern=r"^/\S*$")
    inputs: InputSettings = InputSettings()
    k: int = Field(default=20, ge=1, le=100)
    users: int = Field(default=32, ge=1, le=10_000)
    rates: tuple[Rate, ...] = ()
    shape: Shape = "step"
    seconds: float = Field(default=30.0, ge=0.5, le=86_400)
    spike_seconds: float = Field(default=10.0, ge=0.5, le=3_600)
    windows: int = Field(default=10, ge=1, le=1_000)
    """Parts in which a ramp and a soak are reported."""
    warmup_seconds: float = Field(default=5.0, ge=0, le=3_600)
    processes: int = Field(default=1, ge=1, le=64)
    timeout_seconds: float = Field(default=10.0, gt=0, le=300)
    thresholds: Thresholds = Thresholds()
    json_file: Path | None = None
    html_file: Path | None = None
    plot_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _http_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("a server's address is asked for, like http://127.0.0.1:8080")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _users_for_all(self) -> Self:
        if self.users < self.processes:
            raise ValueError(f"{self.processes} processes need at least as many users, not {self.users}")
        return self

    @model_validator(mode="after")
    def _rates_for_shape(self) -> Self:
        if self.shape in RATES:
            number, which = RATES[self.shape]
            if len(self.rates) != number:
                raise ValueError(
                    f"a {self.shape} takes {number} rate{'s' * (number > 1)} ({which}), not {len(self.rates)}"
                )
        return self

    @property
    def steps(self) -> tuple[Step, ...]:
        """The warm-up, if any, then the measured steps."""
        first = self.rates[0] if self.rates else None
        warmup = (Step(self.warmup_seconds, first, measured=False),) if self.warmup_seconds else ()
        return warmup + self._measured_steps()

    def _measured_steps(self) -> tuple[Step, ...]:
        match self.shape:
            case "ramp":
                return ramp(self.rates[0], self.rates[1], self.seconds, self.windows)
            case "soak":
                return soak(self.rates[0], self.seconds, self.windows)
            case "spike":
                return spike(self.rates[0], self.rates[1], self.seconds, self.spike_seconds)
        return steps_at(self.rates, self.seconds)


def load_settings(values: Mapping[str, Any], preset: str | None = None) -> LoadSettings:
    """Settings from outside values, laid over a preset's; groups are merged key by key.

    Raises:
        InputError: unknown preset or option (with the nearest known one), or a value out of bounds.
    """
    if preset is not None and preset not in PRESETS:
        raise InputError(
            f'preset "{preset}" is unknown{nearest(preset, PRESETS)}: one of {", ".join(sorted(PRESETS))}'
        )
    merged: dict[str, Any] = dict(PRESETS[preset]) if preset else {}
    for name, value in values.items():
        group = merged.get(name, {})
        merged[name] = {**group, **value} if isinstance(value, Mapping) else value
    try:
        return LoadSettings.model_validate(merged)
    except ValidationError as error:
        raise InputError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        groups: dict[str, type[BaseModel]] = {"inputs": InputSettings, "thresholds": Thresholds}
        model = groups.get(str(first["loc"][0]), LoadSettings)
        return f'load test option "{name}" is unknown{nearest(str(first["loc"][-1]), model.model_fields)}'
    if first["type"] == "missing":
        return f"load test option {name} is missing"
    reason = first["msg"].removeprefix("Value error, ")
    if isinstance(first["input"], Mapping):
        return f"load test options{' ' + name if name else ''}: {reason}"
    return f"load test option {name} is {first['input']!r}: {reason}"

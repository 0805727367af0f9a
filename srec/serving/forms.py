"""The forms of the HTTP contract, the one definition of them: request, answer, refusal.

Requests are validated by these models, the OpenAPI document is made from them, and tests validate real
answers with them. Answers themselves are plain dicts, for speed.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, FailFast, Field

MAX_APPID: Final = 2**31 - 1
MAX_K: Final = 100
DEFAULT_K: Final = 10
MAX_TAGS: Final = 100  # in one filter
MAX_TAG: Final = 100  # characters of a tag
MAX_PRICE: Final = 1e9
BECAUSE: Final = 3  # clicked games that explain one recommendation, at most
MAX_REQUEST_ID: Final = 128  # characters of X-Request-Id


def is_request_id(text: str) -> bool:
    """Whether a client may name its request so: printable ASCII of a bearable length."""
    return 0 < len(text) <= MAX_REQUEST_ID and text.isascii() and text.isprintable()


def _null_equals_absent(schema: dict[str, Any]) -> None:
    """Say in a JSON schema what parsing does: a field that may be absent may be null."""
    for name, field in schema["properties"].items():
        if name not in schema.get("required", ()) and "anyOf" not in field:
            beside = {key: field.pop(key) for key in ("description", "default", "examples") if key in field}
            schema["properties"][name] = {"anyOf": [field, {"type": "null"}], **beside}


Appid = Annotated[int, Field(strict=True, ge=1, le=MAX_APPID)]
# A list is left at its first bad entry: a long one of bad entries must not cost an error for each.
Appids = Annotated[list[Appid], FailFast()]
Tag = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_TAG)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), FailFast()]
Price = Annotated[float, Field(strict=True, ge=0, le=MAX_PRICE, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Truth = Annotated[bool, Field(strict=True)]


class Filters(BaseModel):
    """What a game must be to be answered; it must pass all of them. An empty list demands nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_null_equals_absent)

    tags_any: Tags = Field(
        default=[], description="The game has at least one of these tags.", examples=[["Puzzle", "Co-op"]]
    )
    tags_none: Tags = Field(default=[], description="The game has none of these tags.", examples=[["Horror"]])
    max_price: Price | None = Field(
        default=None,
        description="Its price, in the currency of the games file, is known and not above this.",
        examples=[20],
    )
    free: Truth | None = Field(
        default=None,
        description="true: only free games; false: only paid ones; absent: both.",
        examples=[False],
    )
    exclude_appids: Appids = Field(
        default=[], description="Games not to answer; unknown appids are ignored.", examples=[[220]]
    )


class Request(BaseModel):
    """One visitor's clicks, and what to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_null_equals_absent)

    appids: Appids = Field(
        description="Clicked games in click order, the newest last; repeats are kept, unknown ones skipped.",
        examples=[[620, 400]],
    )
    k: Annotated[int, Field(strict=True, ge=1, le=MAX_K)] = Field(
        default=DEFAULT_K, description="How many games to answer.", examples=[10]
    )
    exclude_clicked: Truth = Field(
        default=True, description="Leave the clicked games out of the answer.", examples=[True]
    )
    explain: Truth = Field(
        default=False, description="Say for every game which clicks speak for it most.", examples=[True]
    )
    filters: Filters | None = Field(default=None, description="What a game must be to be answered.")
    popularity_penalty: Share = Field(
        default=0.0,
        description="This times ln(1 + clicks in training) is taken off the score of every game.",
        examples=[0.2],
    )


class Recommendation(BaseModel):
    """One game of an answer."""

    model_config = ConfigDict(extra="forbid")

    rank: int = Field(ge=1, le=MAX_K, description="Place in the answer, from 1.", examples=[1])
    appid: Appid = Field(description="The game.", examples=[220])
    score: float = Field(
        allow_inf_nan=False,
        description="What it is ranked by; comparable within one answer.",
        examples=[7.31],
    )
    name: str | None = Field(description="Its name; null where unknown.", examples=["Half-Life 2"])
    because: list[Appid] = Field(
        default=[],
        max_length=BECAUSE,
        description="Only with explain: clicked games that speak for it, the strongest first; "
        "none in an answer of popular games.",
        examples=[[620]],
    )


class Model(BaseModel):
    """Which model answered."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The model's name on this server.", examples=["srec"])
    version: str = Field(description="The archive's version.", examples=["0cadbfef797d"])
    graph: str = Field(description="Start of the digest of its global graph.", examples=["b755202a536f"])


class Answer(BaseModel):
    """Games to look at next, best first."""

    model_config = ConfigDict(extra="forbid")

    items: list[Recommendation] = Field(
        max_length=MAX_K,
        description="Best first; fewer than k where fewer games pass, equal scores by appid.",
    )
    source: str = Field(
        description="Which part answered: the model's registry name (gce-gnn, ...), short-session, tags, "
        "blend, or popular where no click is known.",
        examples=["gce-gnn"],
    )
    unknown_appids: list[Appid] = Field(
        description="Clicked appids that the model does not know, each once.", examples=[[]]
    )
    truncated: bool = Field(description="Whether older clicks were left out.", examples=[False])
    model: Model
    request_id: str = Field(
        description="The request's X-Request-Id, else one made for it.", examples=["4e113b28-c845-4d4c"]
    )


class ErrorBody(BaseModel):
    """A refusal, in TorchServe's own form."""

    model_config = ConfigDict(extra="forbid")

    code: int = Field(ge=400, le=599, description="The HTTP status.", examples=[400])
    type: str = Field(description="The kind of refusal.", examples=["InvalidRequest"])
    message: str = Field(
        description="What is wrong, with the value and the rule.",
        examples=[f'appids[2] is "abc": every appid is an integer from 1 to {MAX_APPID}'],
    )

"""What a person may choose about preparing data; bounds are checked, unknown names are refused."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ReviewField = Literal["steamid", "appid", "timestamp_created", "voted_up"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    window: int = Field(default=3, ge=1, le=100)
    """Positions on either side that make two items neighbours (epsilon in GCE-GNN)."""
    neighbours: int = Field(default=12, ge=1, le=1000)
    """Neighbours kept per item in the global graph."""
    seed: int = Field(default=0, ge=0, lt=2**32)


class ReviewSettings(_Settings):
    """How a log of reviews becomes sequences, a time split, and metadata."""

    columns: dict[ReviewField, str] = Field(default_factory=dict)
    """Our field -> the column that holds it in the reviews; fields not named keep their own name."""
    min_user_reviews: int = Field(default=3, ge=1)
    min_game_reviews: int = Field(default=5, ge=1)
    popular_games: float = Field(default=0.01, gt=0, le=1)
    """The share of games, by number of positive reviews, that counts as popular; at least one game."""
    popular_share: float | None = Field(default=0.8, gt=0, le=1)
    """Users with a greater share of their reviews on popular games are dropped; None or 1 keeps all."""
    test_days: int = Field(default=14, ge=1)
    validation_days: int = Field(default=14, ge=1)
    until: datetime | None = None
    """Reviews after this moment are set aside first; None is now, a time without zone is UTC."""
    tag_width: int = Field(default=352, ge=1, le=4096)


class SessionSettings(_Settings):
    """How session files become sequences and examples."""

    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training sessions, drawn at random, that becomes validation."""

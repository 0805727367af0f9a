"""What a run read, removed and kept: every number a person may ask for afterwards."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BadRow(_Part):
    """A row that could not be read: where, why, and the start of what it holds."""

    file: str
    why: str
    row: Annotated[str, AfterValidator(lambda text: text.strip()[:200])]


class FileReport(_Part):
    """One input file: rows found, of them unparsable, and of them with an empty field."""

    path: str
    rows: int
    unparsable: int
    empty: int = 0


class Reading(_Part):
    """All files of one log."""

    files: list[FileReport]
    unparsable: int
    shown: list[BadRow]
    """The first unparsable rows."""
    empty: dict[str, int] = Field(default_factory=dict)
    """Rows dropped because this column holds nothing."""
    notes: list[str] = Field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows found in all files."""
        return sum(file.rows for file in self.files)


class Size(_Part):
    """How much a table of reviews holds."""

    rows: int
    users: int
    games: int

    def __sub__(self, other: "Size") -> "Size":
        return Size(
            rows=self.rows - other.rows, users=self.users - other.users, games=self.games - other.games
        )


class Step(_Part):
    """One filter: its parameters, and the table before and after it."""

    name: str
    parameters: dict[str, int | float | str | None]
    before: Size
    after: Size
    removed: Size


class Report(_Part):
    """The content of ``report.json``."""

    kind: str
    readings: dict[str, Reading]
    """By what the files are: ``reviews`` and ``games``, or ``train`` and ``test`` sessions."""
    steps: list[Step] = Field(default_factory=list)
    split: dict[str, int | str | None]
    dropped: dict[str, int]
    """What the split and the vocabulary left out, by reason."""
    counts: dict[str, int]
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Reviews only: games without metadata, and what tags and context were made of."""
    overview: dict[str, Any] = Field(default_factory=dict)
    """What the plots of ``report.html`` are drawn from."""
    notes: list[str] = Field(default_factory=list)

"""Sessions to send: SRec's random ones, two power laws, a file, or prepared data; all of them repeatable."""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srec.errors import InputError
from srec.loadtest.settings import InputSettings

MAX_APPID = 2**31 - 1

Session = list[int]


def random_sessions(appids: Sequence[int], n: int, seed: int) -> list[Session]:
    """SRec's benchmark inputs: 1 to 5 appids, length and appids drawn uniformly, repeats possible."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 6, size=n)
    picks = generator.integers(0, len(_known(appids)), size=int(lengths.sum()))
    return _cut(np.asarray(appids)[picks], lengths)


def power_law_sessions(
    appids: Sequence[int],
    n: int,
    seed: int,
    *,
    length_exponent: float = 1.85,
    popularity_exponent: float = 1.0,
    max_length: int = 50,
) -> list[Session]:
    """Sessions whose length and whose items' popularity follow a power law each (as in ETUDE, ICDE 2024).

    P(length = l) is proportional to l^-length_exponent for l in 1..max_length; the r-th most popular item
    is clicked in proportion to r^-popularity_exponent. Which items are popular is drawn from ``seed``.
    """
    generator = np.random.default_rng(seed)
    ranked = generator.permutation(np.asarray(_known(appids)))
    lengths = 1 + _draw(generator, max_length, length_exponent, n)
    picks = _draw(generator, len(ranked), popularity_exponent, int(lengths.sum()))
    return _cut(ranked[picks], lengths)


def file_sessions(path: Path) -> Iterator[Session]:
    """Sessions of a file, plain or gzip: one a line, appids separated by blanks; empty lines are skipped.

    Raises:
        InputError: the file is missing or damaged, or a line holds something that is no appid.
    """
    try:
        with gzip.open(path, "rt") if _is_gzip(path) else path.open() as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield [_appid(word, path, number) for word in line.split()]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a file of sessions: {error}") from None


def click_by_click(sessions: Iterable[Session]) -> Iterator[Session]:
    """Replay: every session as the requests its visitor causes, one after each click."""
    for session in sessions:
        for length in range(1, len(session) + 1):
            yield session[:length]


def prepared_sessions(folder: Path, count: int, max_length: int) -> Iterator[Session]:
    """The last ``count`` training sessions of DATA, each its newest ``max_length`` clicks, as appids."""
    # Reading DATA needs srec[train], and Locust's processes do without it.
    from srec.data.dataset import Dataset  # noqa: PLC0415

    dataset = Dataset(folder)
    sequences, appid = dataset.sequences(), dataset.vocabulary.appid
    for index in range(max(0, len(sequences) - count), len(sequences)):
        yield [appid(item) for item in sequences[index][-max_length:]]


def make_sessions(settings: InputSettings, appids: Sequence[int] = ()) -> list[Session]:
    """The sessions that ``settings`` describe; ``appids`` is the catalogue, not needed for a file or DATA."""
    if settings.kind == "file" and settings.sessions is not None:
        sessions = list(file_sessions(settings.sessions))
        if not sessions:
            raise InputError(f"{settings.sessions} holds no session: give one a line, appids between blanks")
    elif settings.kind == "data" and settings.data is not None:
        sessions = list(prepared_sessions(settings.data, settings.count, settings.max_length))
    elif settings.kind == "random":
        sessions = random_sessions(appids, settings.count, settings.seed)
    else:
        sessions = power_law_sessions(
            appids,
            settings.count,
            settings.seed,
            length_exponent=settings.length_exponent,
            popularity_exponent=settings.popularity_exponent,
            max_length=settings.max_length,
        )
    return list(click_by_click(sessions)) if settings.click_by_click else sessions


def _known(appids: Sequence[int]) -> Sequence[int]:
    if len(appids) == 0:
        raise InputError("no appids to draw sessions from: give a catalogue, or a file of sessions")
    return appids


def _draw(generator: np.random.Generator, size: int, exponent: float, n: int) -> npt.NDArray[np.int64]:
    """``n`` draws from 0..size-1, the r-th (from 1) in proportion to r^-exponent."""
    edges = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -exponent)
    drawn = np.searchsorted(edges, generator.random(n) * edges[-1], side="right")
    return np.asarray(drawn, dtype=np.int64)


def _cut(clicks: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> list[Session]:
    flat = clicks.tolist()
    ends = np.cumsum(lengths).tolist()
    return [flat[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _appid(word: str, path: Path, number: int) -> int:
    if not (word.isascii() and word.isdigit() and 1 <= int(word[:11]) <= MAX_APPID):
        raise InputError(
            f'{path}, line {number}: "{word[:40]}" is no appid: an integer from 1 to {MAX_APPID}'
        )
    return int(word)

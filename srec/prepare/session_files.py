"""Session files (one session a line, ids separated by blanks, oldest first) -> clicks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from srec.errors import InputError
from srec.prepare import files
from srec.prepare.engine import Engine
from srec.prepare.read import SHOWN, check_reading
from srec.prepare.report import BadRow, FileReport, Reading
from srec.prepare.sequences import Clicks

MAX_APPID = 2**31 - 1
# Lines that may hold ids alone; no longer numbers, which need not fit an int64.
_NUMBERS = r"^\s*0*[0-9]{1,10}(\s+0*[0-9]{1,10})*\s*$"
_WHY = f"not a line of ids, which are integers from 1 to {MAX_APPID} (where yours begin at 0, add 1 to all)"


def read_sessions(engine: Engine, path: Path) -> tuple[Clicks, Reading]:
    """Read one file; blank lines are no sessions, lines with anything but ids are counted as unparsable.

    ``InputError`` if there is no such file, or several, if it is empty, or if more than 5 % of its lines are
    unparsable.
    """
    found = files.sources([path], "sessions", assume="text")
    if len(found) > 1:
        raise InputError(f"{path}: {len(found)} files of sessions, and one is read: join them into one file")
    source = found[0]
    lines, refused = files.read_lines(engine, source)
    good, clicks = _clicks(lines)
    bad = lines.filter(pa.array(~good))
    shown = [BadRow(file=str(path), why=_WHY, row=str(line)) for line in bad[:SHOWN]]
    rows, unparsable = len(lines) + len(refused), len(bad) + len(refused)
    reading = Reading(
        files=[FileReport(path=str(path), rows=rows, unparsable=unparsable)],
        unparsable=unparsable,
        shown=[*refused, *shown][:SHOWN],
    )
    check_reading(reading, "sessions")
    return clicks, reading


def _clicks(lines: pa.Array) -> tuple[NDArray[np.bool_], Clicks]:
    """Which of the lines hold ids alone, bool [lines], and what those hold."""
    good = pc.match_substring_regex(lines, _NUMBERS).to_numpy(zero_copy_only=False)
    texts = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lines.filter(pa.array(good))))
    clicks = Clicks(texts.values.cast(pa.int64()).to_numpy(), texts.offsets.to_numpy().astype(np.int64))
    strays = np.bincount(clicks.sequence[(clicks.ids < 1) | (clicks.ids > MAX_APPID)], minlength=len(clicks))
    good[good] = strays == 0
    return good, clicks.of(strays == 0)


def validation_sessions(sessions: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Mark a random ``share`` of the sessions [S], at least one, but never all."""
    if sessions < 2:
        raise InputError(f"{sessions} training session cannot be divided into training and validation")
    size = min(max(round(sessions * share), 1), sessions - 1)
    marked = np.zeros(sessions, np.bool_)
    marked[np.random.default_rng(seed).permutation(sessions)[:size]] = True
    return marked

"""Before a version answers visitors: golden answers over HTTP, and a sample beside the one that serves."""

import http.client
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from srec.errors import DataError, HostError, InputError
from srec.io import read_json
from srec.serve_config import client
from srec.serving.artifact import GOLDEN, Artifact
from srec.serving.contract import Request
from srec.serving.golden import ANSWERED, bound_of

COMPARED = 10  # ranks of the shadow sample
_BUSY_TRIES = 20
_BUSY_SECONDS = 0.25


@dataclass(frozen=True)
class Comparison:
    """The new version beside the old one, on the same sessions."""

    sessions: int
    answered_old: float
    """Share of sessions with at least one game in the answer."""
    answered_new: float
    overlap: float
    """Mean share of the old answer's ten best games that the new one's hold."""
    p50_old_ms: float
    p50_new_ms: float

    def __str__(self) -> str:
        return (
            f"{self.sessions} sessions: answered {self.answered_old:.0%} before, "
            f"{self.answered_new:.0%} now; "
            f"{self.overlap:.0%} of the ten best games the same; "
            f"p50 {self.p50_old_ms:.1f} ms before, {self.p50_new_ms:.1f} ms now"
        )


def check_golden(url: str, artifact: Artifact) -> int:
    """Ask ``url`` every golden session of the artifact; returns how many, ``DataError`` on any difference.

    What is due the artifact answers here and now: a service answers with all that is in it, models beside the
    main one and new games included, while the golden answers are those of each model alone.
    """
    predictor = artifact.predictor()
    sessions = golden_sessions(artifact)
    for appids in sessions:
        request = Request(appids=appids, k=ANSWERED, exclude_clicked=False)
        (due,) = predictor.answer([request], ["golden"])
        answer, _ = _ask(url, request)
        if not _same(due, answer):
            raise DataError(
                f"golden session {appids} (appids) is answered over HTTP by {answer['source']} with "
                f"{[one['appid'] for one in answer['items'][:5]]}..., by the archive itself by "
                f"{due['source']} with {[one['appid'] for one in due['items'][:5]]}..."
            )
    return len(sessions)


def compare(old_url: str, new_url: str, sessions: Sequence[Sequence[int]]) -> Comparison:
    """Ask both versions every session of appids; ``HostError`` if one does not answer with 200."""
    overlaps: list[float] = []
    times: tuple[list[float], list[float]] = ([], [])
    answered = [0, 0]
    for appids in sessions:
        best: list[set[int]] = []
        for which, url in enumerate((old_url, new_url)):
            answer, seconds = _ask(url, Request(appids=list(appids), k=COMPARED, exclude_clicked=False))
            best.append({one["appid"] for one in answer["items"]})
            answered[which] += bool(best[which])
            times[which].append(seconds * 1000)
        overlaps.append(len(best[0] & best[1]) / max(1, len(best[0])))
    count = len(sessions)
    return Comparison(
        count,
        answered[0] / count,
        answered[1] / count,
        statistics.fmean(overlaps),
        statistics.median(times[0]),
        statistics.median(times[1]),
    )


def golden_sessions(artifact: Artifact) -> list[list[int]]:
    """The appids of the artifact's golden sessions."""
    appid = artifact.catalogue.vocabulary.appid
    return [[appid(item) for item in one["clicks"]] for one in read_json(artifact.folder / GOLDEN)]


def read_sessions(file: Path) -> list[list[int]]:
    """Sessions of appids, one a line, separated by blanks; ``InputError`` names a line that is none."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}): give sessions, one a line") from None
    sessions = []
    for number, line in enumerate(lines, 1):
        if not all(word.isdecimal() for word in line.split()):
            raise InputError(f'{file}, line {number} is "{line[:60]}": give appids separated by blanks')
        if line.strip():
            sessions.append([int(word) for word in line.split()])
    if not sessions:
        raise InputError(f"{file} holds no session: give at least one, appids separated by blanks")
    return sessions


def _same(due: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Whether two answers of the contract are the same, as far as float32 tells.

    Games whose scores are as good as equal may have changed places, also across the last rank.
    """
    if due["source"] != answer["source"] or len(due["items"]) != len(answer["items"]):
        return False
    scores = {one["appid"]: one["score"] for one in due["items"]}
    bound = bound_of(torch.tensor([0.0, *scores.values()]))
    last = min(scores.values(), default=0.0)
    return all(
        abs(one["score"] - there["score"]) <= bound
        and abs(one["score"] - scores.get(one["appid"], last)) <= bound
        for one, there in zip(answer["items"], due["items"], strict=True)
    )


def _ask(url: str, request: Request) -> tuple[dict[str, Any], float]:
    """The answer and the seconds it took; a full queue is asked again for a while."""
    body = request.model_dump_json(exclude_defaults=True).encode()
    for _ in range(_BUSY_TRIES):
        start = time.perf_counter()
        try:
            answer = client.post(url, body)
        except client.FAILURES as error:
            raise HostError(f"{url} gave no answer ({error})") from None
        seconds = time.perf_counter() - start
        if answer.status == http.client.OK:
            return dict(json.loads(answer.body)), seconds
        if answer.status != http.client.SERVICE_UNAVAILABLE:
            break
        time.sleep(_BUSY_SECONDS)
    raise HostError(f"{url} answers a session with {answer.status}: {answer.text}")

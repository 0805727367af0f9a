"""Requests whose right answers are known before they are sent."""

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from srec.serving.artifact import Artifact
from srec.serving.contract import parse_request

STRANGE = 2_000_000_000  # appids from here on are games of no catalogue: each question has one of its own
SCORE_DIFFERENCE = 1e-4  # relative and absolute: a batch of other sessions adds in another order
_DRAWN = 1.3  # questions to draw for each that is kept


@dataclass(frozen=True)
class Question:
    """A request, and the answer of the artifact without a server."""

    body: bytes
    answer: dict[str, Any]

    def fault(self, answer: dict[str, Any], request_id: str) -> str | None:
        """What is wrong with an answer to this request; None where it is right.

        An answer to another visitor's request differs in its request id and in the appid that only this
        question asks for.
        """
        if answer.get("request_id") != request_id:
            return f"the answer is for {answer.get('request_id')}, not {request_id}"
        for name in ("source", "unknown_appids", "truncated"):
            if answer.get(name) != self.answer[name]:
                return f"{name} is {answer.get(name)}, not {self.answer[name]}"
        if answer["model"]["graph"] != self.answer["model"]["graph"]:
            return f"the graph is {answer['model']['graph']}, not {self.answer['model']['graph']}"
        return self._fault_of_items(answer["items"])

    def _fault_of_items(self, items: Sequence[dict[str, Any]]) -> str | None:
        expected = self.answer["items"]
        for name in ("rank", "appid", "name"):
            values, right = [one[name] for one in items], [one[name] for one in expected]
            if values != right:
                return f"{name}: {values}, not {right}"
        pairs = zip((one["score"] for one in items), (one["score"] for one in expected), strict=True)
        if not all(_close(score, right) for score, right in pairs):
            return f"scores of {[one['appid'] for one in items]} differ"
        return None


def draw_questions(artifact: Path, count: int, seed: int = 5) -> list[Question]:
    """``count`` different questions, answered in this process by the artifact's own copy of the graph.

    Left out are those of whose games two neighbours score nearly the same: their order may turn with the
    company in a batch.
    """
    torch.set_num_threads(1)
    opened = Artifact(artifact)
    draw = random.Random(seed)
    appids = [opened.catalogue.vocabulary.appid(item) for item in range(1, opened.manifest["n_items"] + 1)]
    bodies = [_draw_body(draw, appids, number) for number in range(math.ceil(count * _DRAWN))]
    requests = [parse_request(body | {"k": body["k"] + 1}) for body in bodies]
    answers = opened.predictor().answer(requests, [""] * len(requests))
    questions = []
    for body, answer in zip(bodies, answers, strict=True):
        scores = [one["score"] for one in answer["items"]]
        if not any(_close(*pair) for pair in itertools.pairwise(scores)):
            answer["items"] = answer["items"][: body["k"]]
            questions.append(Question(json.dumps(body).encode(), answer))
    if len(questions) < count:
        raise ValueError(f"only {len(questions)} of {len(bodies)} questions have a clear order")
    return questions[:count]


def _draw_body(draw: random.Random, appids: Sequence[int], number: int) -> dict[str, Any]:
    """A session of 0 to 8 known games, with an unknown one that is this question's alone."""
    clicks = draw.choices(appids, k=draw.choice((0, 1, 1, 2, 3, 4, 6, 8)))
    clicks.insert(draw.randint(0, len(clicks)), STRANGE + number)
    body: dict[str, Any] = {"appids": clicks, "k": draw.randint(1, 12)}
    if draw.random() < 0.25:
        body["exclude_clicked"] = False
    if draw.random() < 0.25:
        body["filters"] = {"exclude_appids": draw.sample(appids, 5)}
    if draw.random() < 0.25:
        body["popularity_penalty"] = 0.2
    return body


def _close(score: float, other: float) -> bool:
    return math.isclose(score, other, rel_tol=SCORE_DIFFERENCE, abs_tol=SCORE_DIFFERENCE)

"""The counting models in loops over single sessions: slow, and written from the papers' formulas alone."""

import collections
import math
from collections import Counter
from collections.abc import Sequence

Log = Sequence[Sequence[int]]
Scores = dict[int, float]


def popular(log: Log) -> Scores:
    """Clicks on every item, as a share below 1."""
    clicks = Counter(item for session in log for item in session)
    return {item: count / (max(clicks.values()) + 1) for item, count in clicks.items()}


def item_knn(log: Log, last: int, regularisation: float, alpha: float) -> Scores:
    """Regularised cosine of the sets of sessions that hold the last click and each other item."""
    holding: dict[int, set[int]] = {}
    for number, session in enumerate(log):
        for item in session:
            holding.setdefault(item, set()).add(number)
    mine = holding.get(last, set())
    found = {}
    for item, sessions in holding.items():
        together = len(mine & sessions)
        if item != last and together:
            norm = (len(mine) + regularisation) ** alpha * (len(sessions) + regularisation) ** (1 - alpha)
            found[item] = together / norm
    return found


def decayed(kind: str, step: int, length: int) -> float:
    """What the click counts that lies ``step`` clicks before the newest of ``length``."""
    return {
        "same": 1.0,
        "linear": (length - step) / length,
        "quadratic": ((length - step) / length) ** 2,
        "harmonic": 1 / (1 + step),
        "log": 1 / math.log(step + math.e),
    }[kind]


def step_of(session: Sequence[int], item: int) -> int:
    """Clicks since the newest one on an item."""
    return list(reversed(session)).index(item)


def v_sknn(
    log: Log,
    session: Sequence[int],
    order: Sequence[int],
    *,
    k: int,
    sample: int,
    similarity: str,
    click_decay: str,
    score_decay: str,
    idf: bool,
    proximity: float,
) -> Scores:
    """Session kNN by vector multiplication; ``order`` has the numbers of sessions, first compared first."""
    length = len(session)
    weights = {item: decayed(click_decay, step_of(session, item), length) for item in session}
    compared = [n for n in order if set(log[n]) & set(session)][:sample]
    similar = []
    for place, n in enumerate(compared):
        product = sum(weights[item] for item in set(log[n]) & set(session))
        if similarity == "cosine":
            product /= math.sqrt(sum(w * w for w in weights.values())) * math.sqrt(len(set(log[n])))
        similar.append((-round(product, 5), place, n, product))
    scores: Scores = collections.defaultdict(float)
    for *_, n, product in sorted(similar)[:k]:
        shared = next(item for item in reversed(session) if item in log[n])
        worth = product * decayed(score_decay, step_of(session, shared), length)
        for item in set(log[n]):
            gain = worth
            if idf:
                gain *= math.log(len(log) / sum(item in other for other in log))
            if proximity:
                gain *= math.exp(-abs(step_of(log[n], item) - step_of(log[n], shared)) / proximity)
            scores[item] += gain
    return scores


def tags(vectors: Sequence[Sequence[float]], session: Sequence[int]) -> Scores:
    """Cosine of every item's tag vector with the mean over the clicks; 0 where one has no tags."""
    mean = [sum(vectors[click][tag] for click in session) / len(session) for tag in range(len(vectors[0]))]
    return {item: cosine(mean, vectors[item]) for item in range(1, len(vectors))}


def cosine(x: Sequence[float], y: Sequence[float]) -> float:
    lengths = math.hypot(*x) * math.hypot(*y)
    return sum(a * b for a, b in zip(x, y, strict=True)) / lengths if lengths else 0.0

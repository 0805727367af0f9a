"""The loops of the certified scan: what a session's products need, and the search among their results."""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from srec.compiled import compiled, prefetch
from srec.serving.products import LOOK

SEEDS: Final = 32  # blocks whose best is scored first; the k-th best of these is a score that k items reach
BLOCK: Final = 16  # items that share one bound, and one maximum
FINE: Final = 32_767  # levels of a session's numbers in the looks: LOOK products with int8 fit in 32 bits
TINY: Final = 1e-18  # the square of which is no denormal number
AHEAD: Final = 24  # rows of a look that are asked for before they are read: they come from far
ROUNDING: Final = 1e-5  # float32 sums here and in the exact scores, relative to |z| |v|; D at most 4,096
LOWEST: Final = np.float32(-1e38)  # any finite score reaches it, minus infinity never

Floats: TypeAlias = NDArray[np.float32]
Items: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.int32]
Products: TypeAlias = NDArray[np.int32] | NDArray[np.float32]


class Layout(NamedTuple):
    """The items in blocks of BLOCK with like bounds.

    Attributes:
        at: the item (from 1) at each place, int64 [places]; 0 where none is, at the end.
        leading: the first direction, float32 [blocks, BLOCK].
        codes: the directions that the pass does not read, int8 [places, looks, LOOK].
        scales: what a code of 1 is worth in the pass and in each look, float32 [1 + looks, blocks].
        first_bounds: after the pass, float32 [4, blocks], each the largest of its block: length of a row, as
            products read it, in the coded directions read so far; of what that leaves out; of the row in
            directions not read; of the whole as float32 rounds it. ``certified`` has the sum that they bound.
        bounds: the same after each look, [looks, blocks, 4].
        items: the item table, float32 [V+1, D].
        norms: what each item's product is divided by, float32 [V]; empty for one.
    """

    at: Items
    leading: Floats
    codes: NDArray[np.int8]
    scales: Floats
    first_bounds: Floats
    bounds: Floats
    items: Floats
    norms: Floats


class Rounded(NamedTuple):
    """Sessions as the products read them.

    Attributes:
        first: numbers of the pass, int8 or float32 [B, d]; zeros behind its last direction.
        numbers: of the looks, int16 [B, looks, LOOK]; zeros behind the last direction.
        steps: value in the first direction; what a number of 1 is worth in the pass and in the looks; float32
            [B, 3].
        lengths: by which the bounds are multiplied, float32 [B, 1 + looks, 4].
    """

    first: NDArray[np.int8] | Floats
    numbers: NDArray[np.int16]
    steps: Floats
    lengths: Floats


class Limits(NamedTuple):
    """What a session may be answered with.

    Attributes:
        excluded: places that must not be answered, int64 [n].
        allowed: which items may be, bool [V]; empty allows all.
        handicap: what is taken off every item's score, float32 [V]; empty takes nothing.
    """

    excluded: Items
    allowed: NDArray[np.bool_]
    handicap: Floats


class Asked(NamedTuple):
    """One session, and what it may be answered with.

    Attributes:
        session: its vector, float32 [D].
        numbers, steps, lengths: its rows of ``Rounded``.
        limits: of its answer.
    """

    session: Floats
    numbers: NDArray[np.int16]
    steps: Floats
    lengths: Floats
    limits: Limits


class Passed(NamedTuple):
    """What the coarse pass found of sessions.

    Attributes:
        rounded: the sessions as they were read.
        rough: scores, float32 [B, blocks, BLOCK]; searches write to them.
        maxima: the largest of each block, float32 [B, blocks].
    """

    rounded: Rounded
    rough: Floats
    maxima: Floats


@compiled
def add_product(rows: Floats, weights: Floats, out: Floats) -> None:
    """out [n, D] += rows [n, D] @ weights [D, D]; the weights, which come from far, are read once."""
    whole = len(weights) // 4 * 4
    for j in range(0, whole, 4):
        for row in range(len(rows)):
            a, b, c, d = rows[row, j], rows[row, j + 1], rows[row, j + 2], rows[row, j + 3]
            for i in range(out.shape[1]):
                first = a * weights[j, i] + b * weights[j + 1, i]
                out[row, i] += first + (c * weights[j + 2, i] + d * weights[j + 3, i])
    for j in range(whole, len(weights)):
        for row in range(len(rows)):
            for i in range(out.shape[1]):
                out[row, i] += rows[row, j] * weights[j, i]


@compiled
def turn_and_round(  # noqa: PLR0917  an inner loop
    sessions: Floats, directions: Floats, turned: Floats, dims: int, again: int, levels: int, rounded: Rounded
) -> None:
    """Turn sessions [B, D] into the directions [D, D], to ``turned`` [B, D]; then round them."""
    turned[:] = 0
    add_product(sessions, directions, turned)
    round_sessions(sessions, turned, dims, again, levels, rounded)


@compiled
def round_sessions(  # noqa: PLR0917  an inner loop
    sessions: Floats, turned: Floats, dims: int, again: int, levels: int, rounded: Rounded
) -> None:
    """Write what the products multiply, and by what the bounds are.

    Args:
        sessions: float32 [B, D].
        turned: the same in the directions of the table, float32 [B, D].
        dims: directions that the pass reads after the first.
        again: how many of these the looks read once more, after all others.
        levels: largest whole number of the pass; 0 where it multiplies sessions as they are.
        rounded: written to.
    """
    first, numbers, steps, lengths = rounded
    width, behind = turned.shape[1], 1 + dims
    for row in range(len(sessions)):
        values, whole, rest = turned[row], np.float32(0), np.float32(0)
        for value in sessions[row]:
            whole += value * value
        for j in range(behind, width):
            rest += values[j] * values[j]
        steps[row, 0] = values[0]
        steps[row, 1] = _step(values[1:behind], levels) if levels else 1.0
        steps[row, 2] = _step(values[1:] if again else values[behind:], FINE)
        inside = wrong = np.float32(0)
        for look in range(lengths.shape[1]):
            start = 1 if look == 0 else behind + (look - 1) * LOOK
            stop = behind if look == 0 else min(behind + look * LOOK, width + again)
            for j in range(start, stop):
                value = values[j] if j < width else values[1 + j - width]
                if look > 0:
                    number = np.rint(value / steps[row, 2])
                    numbers[row, look - 1, j - start] = np.int16(number)
                    error = value - number * steps[row, 2]
                elif levels:
                    number = np.rint(value / steps[row, 1])
                    first[row, j - 1] = number
                    error = value - number * steps[row, 1]
                else:
                    first[row, j - 1] = value
                    error = np.float32(0)
                wrong += error * error
                if j < width:
                    inside += value * value
                    rest -= value * value if look > 0 else np.float32(0)
            lengths[row, look, 0] = np.sqrt(wrong)
            lengths[row, look, 1] = np.sqrt(inside)
            lengths[row, look, 2] = np.sqrt(max(rest, np.float32(0)) + whole * np.float32(ROUNDING))
            lengths[row, look, 3] = np.sqrt(whole)


@compiled
def score_products(
    products: Products, layout: Layout, rounded: Rounded, rough: Floats, maxima: Floats
) -> None:
    """Products of sessions [B, blocks, BLOCK] -> scores, and each block's largest [B, blocks]."""
    for row in range(len(products)):
        along, step = rounded.steps[row, 0], rounded.steps[row, 1]
        for block in range(products.shape[1]):
            unit, largest = layout.scales[0, block] * step, np.float32(-np.inf)
            for i in range(BLOCK):
                score = np.float32(products[row, block, i]) * unit + layout.leading[block, i] * along
                rough[row, block, i] = score
                largest = max(largest, score)
            maxima[row, block] = largest


@compiled
def _step(values: Floats, levels: int) -> np.float32:
    """What a whole number of 1 is worth if the largest value shall be ``levels``."""
    largest = np.float32(0)
    for value in values:
        largest = max(largest, abs(value))
    return max(largest / np.float32(levels), np.float32(TINY))


@compiled
def search(  # noqa: PLR0917  an inner loop
    layout: Layout,
    places: Places,
    sessions: Floats,
    passed: Passed,
    row: int,
    limits: Limits,
    items: Items,
    scores: Floats,
) -> tuple[int, int]:
    """Find the best items of one session of a batch, exactly.

    Args:
        layout: the table.
        places: memory for those that are left, int32 [places].
        sessions: session vectors, float32 [B, D].
        passed: what the pass found of them.
        row: which session.
        limits: of this session.
        items, scores: written to; room for the best k, best first, equal scores by ascending item.

    Returns:
        how many were found, at most k; how many rows were read in float32 after the seeds.
    """
    rounded, rough, maxima = passed.rounded, passed.rough[row], passed.maxima[row]
    numbers, steps, lengths = rounded.numbers[row], rounded.steps[row], rounded.lengths[row]
    asked = Asked(sessions[row], numbers, steps, lengths, limits)
    _limit(layout, limits, rough, maxima)
    threshold = _sure(layout, asked, rough, maxima, len(items))
    left = _reaching(layout.first_bounds, lengths, rough, maxima, places, threshold)
    for look in range(len(layout.bounds)):
        left = _look(layout, asked, look, rough, places[:left], threshold)
    return _best(layout, asked, places[:left], items, scores), left


@compiled
def _limit(layout: Layout, limits: Limits, rough: Floats, maxima: Floats) -> None:
    """Take handicaps off the scores, and write minus infinity for what must not be answered."""
    at, handicap, allowed = layout.at, limits.handicap, limits.allowed
    scores, places = rough.ravel(), len(layout.items) - 1
    if len(handicap) or len(allowed):
        for place in range(places):
            if len(handicap):
                scores[place] -= handicap[at[place] - 1]
            if len(allowed) and not allowed[at[place] - 1]:
                scores[place] = -np.inf
        for block in range(len(maxima)):
            maxima[block] = rough[block].max()
    scores[places:] = -np.inf
    maxima[-1] = rough[-1].max()
    for place in limits.excluded:
        scores[place] = -np.inf
        maxima[place // BLOCK] = rough[place // BLOCK].max()


@compiled
def _sure(layout: Layout, asked: Asked, rough: Floats, maxima: Floats, k: int) -> np.float32:
    """A score that k items surely reach: the k-th best of the best items of the most promising blocks.

    A little less, so that what float32 rounds off a score that a handicap has made small rules nothing out.
    """
    seeds = max(SEEDS, k + k // 2)
    best, blocks, promising = np.empty(seeds, np.float32), np.empty(seeds, np.int64), 0
    least = LOWEST
    for block in range(len(maxima) - 1, -1, -1):  # from the longest rows on: few that follow score higher
        if maxima[block] >= least:
            promising = _insert(best, blocks, promising, maxima[block], block)
            if promising == seeds:
                least = best[-1]
    places, scores = np.empty(promising, np.int32), np.empty(k, np.float32)
    for i in range(promising):
        places[i] = blocks[i] * BLOCK + np.argmax(rough[blocks[i]])
    found = _best(layout, asked, places, np.empty(k, np.int64), scores)
    least = scores[k - 1] if found == k else LOWEST
    return np.float32(least - np.float32(ROUNDING) * abs(least))


@compiled
def _best(layout: Layout, asked: Asked, places: Places, items: Items, scores: Floats) -> int:
    """Write the best [k] of the items at some places [n], and their scores in float32; how many there are."""
    all_scores = np.empty(len(places), np.float32)
    for i in range(len(places)):  # a loop of its own: see ``_look``
        all_scores[i] = _exact(layout, asked, layout.at[places[i]])
    found = 0
    for i in range(len(places)):
        found = _insert(scores, items, found, all_scores[i], layout.at[places[i]])
    return found


@compiled
def _reaching(  # noqa: PLR0917  an inner loop
    bounds: Floats, lengths: Floats, rough: Floats, maxima: Floats, places: Places, threshold: np.float32
) -> int:
    """Write the places whose score can reach a threshold; how many there are.

    In three loops, none of which guesses what the next block does.
    """
    needed, blocks, reached, found = np.empty_like(maxima), np.empty(len(maxima), np.int32), 0, 0
    a, b, c, d = lengths[0]
    for block in range(len(maxima)):
        slack = bounds[0, block] * a + bounds[1, block] * b + (bounds[2, block] * c + bounds[3, block] * d)
        needed[block] = threshold - slack
    for block in range(len(maxima)):
        blocks[reached] = block
        reached += maxima[block] >= needed[block]
    for i in range(reached):
        at, least = blocks[i], needed[blocks[i]]
        for j in range(BLOCK):
            places[found] = at * BLOCK + j
            found += rough[at, j] >= least
    return found


@compiled
def _look(  # noqa: PLR0917  an inner loop
    layout: Layout, asked: Asked, look: int, rough: Floats, places: Places, threshold: np.float32
) -> int:
    """Read more directions of some places [n]; put those first that can still reach a threshold; how many.

    No branch waits for a row, and rows are asked for in time.
    """
    codes, numbers, bounds, lengths = layout.codes, asked.numbers, layout.bounds, asked.lengths
    scales, step, scores, kept = layout.scales, asked.steps[2], rough.ravel(), 0
    for i in range(len(places)):
        if i + AHEAD < len(places):
            prefetch(codes, (places[i + AHEAD] * codes.shape[1] + look) * LOOK)
        place = np.int64(places[i])
        block = place // BLOCK
        total = np.int32(0)
        for j in range(LOOK):  # in 32 bits all along, or Numba widens to 64
            total = np.int32(total + np.int32(codes[place, look, j]) * np.int32(numbers[look, j]))
        score = scores[place] + np.float32(total) * (scales[1 + look, block] * step)
        scores[place] = score
        places[kept] = place
        slack = np.float32(0)
        for j in range(4):
            slack += bounds[look, block, j] * lengths[1 + look, j]
        kept += score + slack >= threshold
    return kept


@compiled
def _insert(scores: Floats, items: Items, found: int, score: np.float32, item: int) -> int:
    """Put an item among the best [k], of which ``found`` are there; how many there are now."""
    at = found
    if found == len(scores):
        at -= 1
        if score < scores[at] or (score == scores[at] and item > items[at]):
            return found
    while at and (score > scores[at - 1] or (score == scores[at - 1] and item < items[at - 1])):
        scores[at], items[at] = scores[at - 1], items[at - 1]
        at -= 1
    scores[at], items[at] = score, item
    return min(found + 1, len(scores))


@compiled
def _exact(layout: Layout, asked: Asked, item: int) -> np.float32:
    """The score of an item in float32."""
    items, session, score = layout.items, asked.session, np.float32(0)
    for j in range(len(session)):
        score += items[item, j] * session[j]
    if len(layout.norms):
        score /= layout.norms[item - 1]
    if len(asked.limits.handicap):
        score -= asked.limits.handicap[item - 1]
    return score

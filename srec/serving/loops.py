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
Products: TypeAlias = NDArray[np.int32] | NDArray[np.float32]


class Layout(NamedTuple):
    """The items in blocks of BLOCK with like bounds.

    Attributes:
        at: the item (from 1) at each place, int64 [places]; 0 where none is, at the end.
        leading: the first direction, float32 [blocks, BLOCK].
        codes: the directions that the pass does not read, int8 [places, looks, LOOK].
        scales: what a code of 1 is worth in the pass and in each look, float32 [1 + looks, blocks].
        bounds: float32 [1 + looks, blocks, 4], each the largest of its block: length of a row, as products
            read it, in the coded directions read so far; of what that leaves out; of the row in directions
            not read; of the whole as float32 rounds it. ``certified`` has the sum that they bound.
        items: the item table, float32 [V+1, D].
        norms: what each item's product is divided by, float32 [V]; empty for one.
    """

    at: Items
    leading: Floats
    codes: NDArray[np.int8]
    scales: Floats
    bounds: Floats
    items: Floats
    norms: Floats


class Rounded(NamedTuple):
    """Sessions as the products read them.

    Attributes:
        first: numbers of the pass, int8 or float32 [B, d].
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
        excluded, allowed, handicap: its ``Limits``.
    """

    session: Floats
    numbers: NDArray[np.int16]
    steps: Floats
    lengths: Floats
    excluded: Items
    allowed: NDArray[np.bool_]
    handicap: Floats


class Room(NamedTuple):
    """Memory that a search writes to, kept for the next: new pages would take longer than what is done there.

    Attributes:
        rough: scores, float32 [blocks, BLOCK].
        maxima: the largest of each block, float32 [blocks].
        places: those that are left, int64 [places].
    """

    rough: Floats
    maxima: Floats
    places: Items


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
def turn_and_round(
    sessions: Floats, directions: Floats, turned: Floats, levels: int, rounded: Rounded
) -> None:
    """Turn sessions [B, D] into the directions [D, D], to ``turned`` [B, D]; then round them."""
    turned[:] = 0
    add_product(sessions, directions, turned)
    round_sessions(sessions, turned, levels, rounded)


@compiled
def round_sessions(sessions: Floats, turned: Floats, levels: int, rounded: Rounded) -> None:
    """Write what the products multiply, and by what the bounds are.

    Args:
        sessions: float32 [B, D].
        turned: the same in the directions of the table, float32 [B, D].
        levels: largest whole number of the pass; 0 where it multiplies sessions as they are.
        rounded: written to.
    """
    first, numbers, steps, lengths = rounded
    dims = 1 + first.shape[1]
    for row in range(len(sessions)):
        values, whole = turned[row], np.float32(0)
        for value in sessions[row]:
            whole += value * value
        steps[row, 0] = values[0]
        steps[row, 1] = _step(values[1:dims], levels) if levels else 1.0
        steps[row, 2] = _step(values[dims:], FINE)
        inside = wrong = np.float32(0)
        for look in range(lengths.shape[1]):
            start = 1 if look == 0 else dims + (look - 1) * LOOK
            for j in range(start, min(dims + look * LOOK, len(values))):
                value = values[j]
                inside += value * value
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
            rest = whole * np.float32(1 + ROUNDING) - values[0] * values[0] - inside
            lengths[row, look, 0] = np.sqrt(wrong)
            lengths[row, look, 1] = np.sqrt(inside)
            lengths[row, look, 2] = np.sqrt(max(rest, np.float32(0)))
            lengths[row, look, 3] = np.sqrt(whole)


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
    room: Room,
    sessions: Floats,
    products: Products,
    rounded: Rounded,
    row: int,
    limits: Limits,
    items: Items,
    scores: Floats,
) -> tuple[int, int]:
    """Find the best items of one session of a batch, exactly.

    Args:
        layout: the table.
        room: written to.
        sessions: session vectors, float32 [B, D].
        products: of the pass in the order of the places, [B, blocks, BLOCK].
        rounded: the sessions as the products read them.
        row: which session.
        limits: of this session.
        items, scores: written to; room for the best k, best first, equal scores by ascending item.

    Returns:
        how many were found, at most k; how many rows were read in float32 after the seeds.
    """
    rough, places = room.rough, room.places
    numbers, steps, lengths = rounded.numbers[row], rounded.steps[row], rounded.lengths[row]
    asked = Asked(sessions[row], numbers, steps, lengths, limits.excluded, limits.allowed, limits.handicap)
    _score(layout, asked, products[row], room)
    threshold = _sure(layout, asked, room, len(items))
    left = _reaching(layout.bounds, asked.lengths, room, threshold)
    for look in range(1, len(layout.bounds)):
        left = _look(layout, asked, look, rough, places[:left], threshold)
    return _best(layout, asked, places[:left], items, scores), left


@compiled
def _score(layout: Layout, asked: Asked, products: Products, room: Room) -> None:
    """Write scores, minus infinity for what must not be answered, and each block's largest."""
    at, handicap, allowed, rough, maxima = layout.at, asked.handicap, asked.allowed, room.rough, room.maxima
    scores, places = rough.ravel(), len(layout.items) - 1
    leading, units = asked.steps[0], layout.scales[0] * asked.steps[1]
    for block in range(len(units)):
        unit, largest = units[block], np.float32(-np.inf)
        for i in range(BLOCK):
            score = np.float32(products[block, i]) * unit + layout.leading[block, i] * leading
            rough[block, i] = score
            largest = max(largest, score)
        maxima[block] = largest
    if len(handicap) or len(allowed):
        for place in range(places):
            if len(handicap):
                scores[place] -= handicap[at[place] - 1]
            if len(allowed) and not allowed[at[place] - 1]:
                scores[place] = -np.inf
        for block in range(len(units)):
            maxima[block] = rough[block].max()
    scores[places:] = -np.inf
    maxima[-1] = rough[-1].max()
    for place in asked.excluded:
        scores[place] = -np.inf
        maxima[place // BLOCK] = rough[place // BLOCK].max()


@compiled
def _sure(layout: Layout, asked: Asked, room: Room, k: int) -> np.float32:
    """A score that k items surely reach: the k-th best of the best items of the most promising blocks.

    A little less, so that what float32 rounds off a score that a handicap has made small rules nothing out.
    """
    rough, maxima, seeds = room.rough, room.maxima, max(SEEDS, k + k // 2)
    best, blocks, promising = np.empty(seeds, np.float32), np.empty(seeds, np.int64), 0
    least = LOWEST
    for block in range(len(maxima) - 1, -1, -1):  # from the longest rows on: few that follow score higher
        if maxima[block] >= least:
            promising = _insert(best, blocks, promising, maxima[block], block)
            if promising == seeds:
                least = best[-1]
    for i in range(promising):
        blocks[i] = blocks[i] * BLOCK + np.argmax(rough[blocks[i]])
    scores = np.empty(k, np.float32)
    found = _best(layout, asked, blocks[:promising], np.empty(k, np.int64), scores)
    least = scores[k - 1] if found == k else LOWEST
    return np.float32(least - np.float32(ROUNDING) * abs(least))


@compiled
def _best(layout: Layout, asked: Asked, places: Items, items: Items, scores: Floats) -> int:
    """Write the best [k] of the items at some places [n], and their scores in float32; how many there are."""
    all_scores = np.empty(len(places), np.float32)
    for i in range(len(places)):  # a loop of its own: see ``_look``
        all_scores[i] = _exact(layout, asked, layout.at[places[i]])
    found = 0
    for i in range(len(places)):
        found = _insert(scores, items, found, all_scores[i], layout.at[places[i]])
    return found


@compiled
def _reaching(bounds: Floats, lengths: Floats, room: Room, threshold: np.float32) -> int:
    """Write the places whose score can reach a threshold; how many there are."""
    rough, maxima, places, found = room.rough, room.maxima, room.places, 0
    for block in range(len(maxima)):
        needed = threshold - _slack(bounds, 0, block, lengths)
        if maxima[block] >= needed:
            for i in range(BLOCK):
                places[found] = block * BLOCK + i
                found += rough[block, i] >= needed
    return found


@compiled
def _look(  # noqa: PLR0917  an inner loop
    layout: Layout, asked: Asked, look: int, rough: Floats, places: Items, threshold: np.float32
) -> int:
    """Read more directions of some places [n]; put those first that can still reach a threshold; how many.

    No branch waits for a row, and rows are asked for in time.
    """
    codes, numbers, bounds, lengths = layout.codes, asked.numbers, layout.bounds, asked.lengths
    scales, step, scores, kept = layout.scales, asked.steps[2], rough.ravel(), 0
    for i in range(len(places)):
        if i + AHEAD < len(places):
            prefetch(codes, (places[i + AHEAD] * codes.shape[1] + look - 1) * LOOK)
        place = places[i]
        block = place // BLOCK
        total = np.int32(0)
        for j in range(LOOK):  # in 32 bits all along, or Numba widens to 64
            total = np.int32(total + np.int32(codes[place, look - 1, j]) * np.int32(numbers[look - 1, j]))
        score = scores[place] + np.float32(total) * (scales[look, block] * step)
        scores[place] = score
        places[kept] = place
        kept += score + _slack(bounds, look, block, lengths) >= threshold
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


# Arrays are passed whole: a view of a row would be counted in and out of memory.
@compiled
def _slack(bounds: Floats, look: int, block: int, lengths: Floats) -> np.float32:
    """By how much the score of any item of a block may be wrong."""
    slack = np.float32(0)
    for i in range(4):
        slack += bounds[look, block, i] * lengths[look, i]
    return slack


@compiled
def _exact(layout: Layout, asked: Asked, item: int) -> np.float32:
    """The score of an item in float32."""
    items, session, score = layout.items, asked.session, np.float32(0)
    for j in range(len(session)):
        score += items[item, j] * session[j]
    if len(layout.norms):
        score /= layout.norms[item - 1]
    if len(asked.handicap):
        score -= asked.handicap[item - 1]
    return score

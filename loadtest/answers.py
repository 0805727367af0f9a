"""Is an answer to a prediction request right?"""

import json
from collections.abc import Sequence


def fault(body: bytes, clicks: Sequence[int], k: int) -> str | None:
    """What is wrong with a 200 answer, in words that are the same for every answer of that fault; else None.

    Asked for: ``k`` items with the ranks 1..k, distinct appids, none of them clicked in the session.
    """
    try:
        items = json.loads(body)["items"]
        ranks = [item["rank"] for item in items]
        appids = {item["appid"] for item in items}
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    except (KeyError, TypeError):
        return "the answer holds no list of items with rank and appid"
    if len(items) != k:
        return f"the answer does not hold {k} items"
    if ranks != list(range(1, k + 1)):
        return f"the ranks are not 1 to {k}"
    if len(appids) != k:
        return "an appid is recommended twice"
    return None if appids.isdisjoint(clicks) else "a clicked appid is recommended"

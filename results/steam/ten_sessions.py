"""Print ten sessions of well-known games with the model's named answers, as Markdown."""

import sys
from pathlib import Path

from srec.serving.artifact import Artifact
from srec.serving.contract import Request

SESSIONS = {
    "puzzles in first person": [400, 620],
    "strategy through the ages": [221380, 8930, 203770],
    "souls": [211420, 236430],
    "space and crafting": [220200, 211820],
    "zombies together": [500, 224260],
    "Valve's stories": [220, 380],
    "action role playing": [20920, 200710],
    "small and difficult": [40800, 113200, 241600],
    "horror": [57300, 238320],
    "stories to decide": [261030, 319630],
}

artifact = Artifact(Path(sys.argv[1]))
catalogue = artifact.catalogue


def name(appid: int) -> str:
    """The game's name and appid."""
    item = catalogue.vocabulary.item(appid)
    return f"{catalogue.names[item - 1]} ({appid})" if item else f"not in the model ({appid})"


print(f"Model {artifact.version}, clicked games left out, five best.\n")
print("| what | clicks, oldest first | answer |\n|---|---|---|")
requests = [Request(appids=appids, k=5) for appids in SESSIONS.values()]
answers = artifact.predictor().answer(requests, list(SESSIONS))
for (what, appids), answer in zip(SESSIONS.items(), answers, strict=True):
    answered = ", ".join(f"{item['name']} ({item['appid']})" for item in answer["items"])
    print(f"| {what} | {', '.join(map(name, appids))} | {answered} |")

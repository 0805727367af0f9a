"""Print ten sessions of well-known games with the model's named answers, as Markdown."""

import sys
from pathlib import Path

from srec.serving.artifact import Artifact
from srec.serving.contract import Request

SESSIONS = {
    "puzzles in first person": [400, 620],
    "strategy through the ages": [8930, 203770],
    "souls": [211420, 236430],
    "crafting": [105600, 219740],
    "zombies together": [500, 550, 232090],
    "Valve's stories": [220, 380, 420],
    "open-world role playing": [22380, 72850],
    "small and difficult": [40800, 113200, 239030],
    "trucks and trains": [227300, 24010],
    "shooters with friends": [730],
}

artifact = Artifact(Path(sys.argv[1]))
catalogue = artifact.catalogue


def name(appid: int) -> str:
    item = catalogue.vocabulary.item(appid)
    return f"{catalogue.names[item - 1]} ({appid})" if item else f"not in the model ({appid})"


print(f"Model {artifact.version}, clicked games left out, five best.\n")
print("| what | clicks, oldest first | answer |\n|---|---|---|")
requests = [Request(appids=appids, k=5) for appids in SESSIONS.values()]
answers = artifact.predictor().answer(requests, list(SESSIONS))
for (what, appids), answer in zip(SESSIONS.items(), answers, strict=True):
    answered = ", ".join(f"{item['name']} ({item['appid']})" for item in answer["items"])
    print(f"| {what} | {', '.join(map(name, appids))} | {answered} |")

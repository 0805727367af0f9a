"""RUNs -> milliseconds of one session alone, clicks to top-20, the runs by turns; eager, on one thread.

python results/papers/milliseconds.py RUN... ; figures are medians, and the median ratio to the first run.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from srec.training.run import Run

ROUNDS, SESSIONS = 7, 60

torch.set_num_threads(1)
runs = [Run(Path(name)) for name in sys.argv[1:]]
rankers = [run.ranker() for run in runs]
sessions = runs[0].sample_sessions()[:SESSIONS]
took = np.zeros((len(runs), ROUNDS, len(sessions)))
for turn in range(ROUNDS):
    for place, ranker in enumerate(rankers):
        for number, session in enumerate(sessions):
            began = time.perf_counter()
            ranker.rank_all([session], 20)
            took[place, turn, number] = 1000 * (time.perf_counter() - began)
each = np.median(took[:, 1:], axis=2)  # the first round warms up
for run, rounds in zip(runs, each, strict=True):
    ratios = rounds / each[0]
    low, middle, high = np.percentile(ratios, [0, 50, 100])
    print(f"{np.median(rounds):6.2f} ms  x{middle:.2f} ({low:.2f} to {high:.2f})  {run.folder.name}")

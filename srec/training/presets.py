"""Settings to start from, for each model by preset; what is not named here has its default."""

from typing import Any, Final

PRESETS: Final = ("srec", "steady", "paper", "best", "tiny")

# For a catalogue of hundreds and tens of thousands of clicks: about a minute on two cores.
TINY: Final = {"dim": 48, "learning_rate": 4e-3, "decay_every": 4, "epochs": 8}

# For session files of a hundred thousand sessions: batches eight times the papers' take a part of the time
# and end no worse, with a rate that falls to 0 and an average of the last steps. Visitors of such sets come
# back to what they clicked. Chosen on validation.
BEST: Final = {
    "scoring": "cosine",
    "batch_size": 800,
    "learning_rate": 3e-3,
    "schedule": "cosine",
    "epochs": 6,
    "averaging": "ema",
    "ema_decay": 0.99,
    "repeats": True,
}

PER_MODEL: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "gce-gnn": {
        "srec": {"dim": 352, "attention_start": "one", "tags": True, "context": True},
        # Chosen on validation of a crawl of Steam reviews, for hits and for steady answers: results/steam.
        "steady": {
            "dim": 100,
            "attention_start": "one",
            "tags": True,
            "context": True,
            "epochs": 6,
            "schedule": "cosine",
            "averaging": "ema",
            "perturb": "drop,swap",
            "consistency": 2.0,
        },
        "paper": {"dim": 100},
        "best": {**BEST, "dim": 100, "attention_start": "one", "dropout_aggregator": 0.3},
        "tiny": {**TINY, "attention_start": "one", "tags": True, "context": True},
    },
    "sr-gnn": {
        "srec": {"dim": 352},
        "paper": {"dim": 100, "patience": 5, "select_by": "recall@20"},
        "best": {**BEST, "dim": 100},
        "tiny": TINY,
    },
    "gru4rec": {
        "srec": {"dim": 352},
        "best": {"scoring": "cosine", "repeats": True},
        "tiny": TINY,
    },
    "narm": {
        "srec": {"dim": 352, "hidden": 352},
        "paper": {"dim": 50, "hidden": 100, "batch_size": 512, "decay": 1.0, "l2": 0.0, "epochs": 30},
        "best": {"scoring": "cosine", "repeats": True},
        "tiny": {**TINY, "hidden": 48},
    },
    "stamp": {
        "srec": {"dim": 352},
        "paper": {"batch_size": 512, "learning_rate": 5e-3, "decay": 1.0, "l2": 0.0, "epochs": 30},
        "best": {"scoring": "cosine", "repeats": True},
        "tiny": TINY,
    },
    "fpmc": {
        "srec": {"dim": 352, "user": True},
        "best": {"scoring": "cosine", "user": True, "repeats": True},
        "tiny": TINY,
    },
}

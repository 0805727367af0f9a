"""Settings to start from, for each model by preset; what is not named here has its default."""

from typing import Any, Final

PRESETS: Final = ("srec", "steady", "paper", "best", "tiny")

# For a catalogue of hundreds and tens of thousands of clicks: about a minute on two cores.
TINY: Final = {"dim": 48, "learning_rate": 4e-3, "decay_every": 4, "epochs": 8}

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
        "best": {"dim": 100, "attention_start": "one", "scoring": "cosine"},
        "tiny": {**TINY, "attention_start": "one", "tags": True, "context": True},
    },
    "sr-gnn": {
        "srec": {"dim": 352},
        "paper": {"dim": 100, "patience": 5, "select_by": "recall@20"},
        "best": {"dim": 100, "scoring": "cosine"},
        "tiny": TINY,
    },
    "gru4rec": {
        "srec": {"dim": 352},
        "best": {"scoring": "cosine"},
        "tiny": TINY,
    },
    "narm": {
        "srec": {"dim": 352, "hidden": 352},
        "paper": {"dim": 50, "hidden": 100, "batch_size": 512, "decay": 1.0, "l2": 0.0, "epochs": 30},
        "best": {"scoring": "cosine"},
        "tiny": {**TINY, "hidden": 48},
    },
    "stamp": {
        "srec": {"dim": 352},
        "paper": {"batch_size": 512, "learning_rate": 5e-3, "decay": 1.0, "l2": 0.0, "epochs": 30},
        "best": {"scoring": "cosine"},
        "tiny": TINY,
    },
    "fpmc": {
        "srec": {"dim": 352, "user": True},
        "best": {"scoring": "cosine", "user": True},
        "tiny": TINY,
    },
}

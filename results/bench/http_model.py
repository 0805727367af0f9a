"""DATA of made-up reviews -> a RUN with the benchmark's synthetic weights, to serve at SRec's size.

python results/bench/http_model.py DATA RUN
"""

import sys
from pathlib import Path

import torch

from srec.bench.synthetic import synthetic_model
from srec.data.dataset import Dataset
from srec.models import model_class
from srec.training.features import item_features
from srec.training.run import Outcome, write_run
from srec.training.settings import resolve

data, out = Dataset(Path(sys.argv[1])), Path(sys.argv[2])
settings = resolve("gce-gnn", "srec", {})
features = item_features(data, settings)
torch.manual_seed(0)
state = model_class("gce-gnn")(settings.model_settings(), features).state_dict()
drawn = synthetic_model(features.n_items)[0].state_dict()
own = ("tags.factors", "context.indices")  # the data's; its context values are others, too
state |= {name: drawn[name] for name in state if name not in own and drawn[name].shape == state[name].shape}
write_run(out, settings, data, features, Outcome(state, None, {"history": [], "epochs": 0, "validation": {}}))

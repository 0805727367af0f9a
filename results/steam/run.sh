#!/usr/bin/env bash
# The figures of this folder, made again: results/steam/run.sh CRAWL WORK
# CRAWL holds a Steam crawl (reviews.csv.gz, games.jsonl.gz), WORK is a scratch folder. About 40 minutes on 2 cores.
set -euo pipefail
mkdir -p "$2"
work=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"

for days in 180 14; do
  data=$work/data-$days
  srec prepare --reviews reviews.csv.gz --games games.jsonl.gz --until 2018-01-06 \
    --test-days "$days" --validation-days "$days" --out "$data"
  cp "$data/report.json" "$here/prepare-$days.json"
  for model in pop markov gce-gnn; do
    run=$work/$model-$days
    srec train --data "$data" --model "$model" --preset srec --out "$run"
    srec evaluate --run "$run" --split validation --json "$here/$model-$days-validation.json"
    srec evaluate --run "$run" --split test --json "$here/$model-$days-test.json"
  done
  python - "$work/gce-gnn-$days/run.json" "$here/training-$days.json" <<'PYTHON'
import json, sys
run = json.load(open(sys.argv[1]))
del run["data"]["path"], run["files"]
json.dump(run, open(sys.argv[2], "w"), indent=2)
PYTHON
done

# What one would serve: the model that has seen all but the last weeks.
srec export --run "$work/gce-gnn-14" --out "$work/artifact"
srec archive --artifact "$work/artifact" --out "$work/model_store"
cp "$work/artifact/manifest.json" "$here/manifest.json"
python "$here/ten_sessions.py" "$work/artifact" > "$here/ten_sessions.md"

#!/usr/bin/env bash
# The figures of this folder, made again: results/steam/run.sh REVIEWS GAMES WORK
# REVIEWS and GAMES are a Steam crawl (reviews.csv.gz, games.jsonl.gz), WORK a scratch folder. About an hour on 2 cores.
set -euo pipefail
reviews=$1 games=$2 work=$3
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work"

for days in 180 14; do
  data=$work/data-$days
  srec prepare --reviews "$reviews" --games "$games" --until 2018-01-06 \
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

srec export --run "$work/gce-gnn-180" --out "$work/artifact"
srec archive --artifact "$work/artifact" --out "$work/model_store"
cp "$work/artifact/manifest.json" "$here/manifest.json"
python "$here/ten_sessions.py" "$work/artifact" > "$here/ten_sessions.md"

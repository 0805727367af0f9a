#!/usr/bin/env bash
# What each filter removes of a Steam crawl, with other thresholds and without it: results/steam/filters.sh CRAWL
# CRAWL holds reviews.csv.gz and games.jsonl.gz. Writes filters.json and filters.md; two minutes on 2 cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$here/../../.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" "$here/filters.py" "$1" "$here"

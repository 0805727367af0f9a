#!/usr/bin/env bash
# Time and memory of `srec prepare` from a million to SRec's 118 million reviews: results/steam/scale.sh WORK
# WORK is a scratch folder with 12 GB free; logs that it holds already are used again. About ten minutes on 2 idle
# cores. SIZES="1000000 10000000" measures only these.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$here/../../.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" "$here/scale.py" "$1" "$here" ${SIZES:-1000000 10000000 118000000}

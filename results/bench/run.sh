#!/bin/sh
# Every table of this folder, on an otherwise idle machine; needs `pip install -c constraints.txt -e '.[bench]'`.
# Usage, from the top of the repository: results/bench/run.sh [RUN]
# RUN is a trained run (gce-gnn, scoring=dot): with it the order is checked over 100,000 real sessions, too.
set -eu
out=results/bench
srec=.venv/bin/srec
test -x .venv-ipex/bin/python || $out/ipex.sh
for dim in 352 256 100; do
    $srec bench model --dim $dim --report $out
done
$srec bench model --cpu no-avx2 --report $out
$srec bench growth --json $out/growth.json --report $out
if [ $# -gt 0 ]; then
    $srec bench order --run "$1" --backend fast --sessions 100000 --json $out/order-fast.json
    $srec bench recipe --run "$1" --json $out/recipe.json
fi

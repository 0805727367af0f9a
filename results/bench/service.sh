#!/bin/sh
# Everything measured of the service, on an idle machine with wrk: service.sh ARCHIVE.mar ARTIFACT [OUT]
# About 45 minutes; SECONDS_EACH and PAIRS make it shorter. SREC names the command.
set -eu
trap 'exit 1' INT TERM HUP  # so that the traps of EXIT run
mar=$1 artifact=$2 out=${3:-results/bench}
srec=${SREC:-.venv/bin/srec} each=${SECONDS_EACH:-30} pairs=${PAIRS:-5}
mkdir -p "$out"

"$srec" bench request --mar "$mar" --json "$out/request-share.json"
"$srec" bench service --mar "$mar" --pairs "$pairs" --json "$out/noop.json"

log=$(mktemp)
SREC_REDIS_URL= "$srec" serve --mar "$mar" --port "${PORT:-8080}" >"$log" 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null; wait $server || true; rm -f "$log"' EXIT
until grep -q '"request_id"' "$log"; do
    kill -0 $server || { cat "$log" >&2; exit 1; }
    sleep 1
done
# A missed threshold is a result: it stands in the JSON, and the next test still runs.
load() {
    name=$1
    shift
    "$srec" loadtest --url "http://127.0.0.1:${PORT:-8080}" --artifact "$artifact" --seconds "$each" \
        --json "$out/$name.json" --html "$out/$name.html" --plot "$out/$name.svg" "$@" || echo "$name: missed"
}
load http-srec --preset srec --k 20
load http-lone --users 1 --k 20
load http-etude --preset etude --inputs random
load http-etude-power-law --preset etude
load http-2000 --rate 2000 --users 128 --max-p90-ms 20 --min-rate 2000
load http-steps --rate 250 --rate 500 --rate 750 --rate 1000 --rate 1250 --rate 1500 --rate 2000 --users 128 --max-errors 1
load http-spike --shape spike --rate 300 --rate 3000 --users 256 --max-p90-ms 50
wrk -t1 -c32 -d"${each}s" -s loadtest/wrk/sessions.lua "http://127.0.0.1:${PORT:-8080}" -- "$artifact/catalogue.json" \
    | tail -1 >"$out/wrk-32.json"
kill -INT $server
wait $server || true
trap 'rm -f "$log"' EXIT

"$srec" bench levers --mar "$mar" --pairs "$pairs" --json "$out/levers.json"

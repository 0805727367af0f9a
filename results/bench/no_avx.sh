#!/bin/sh
# No import and no answer may need AVX: runs `srec` on an emulated CPU of 2010 (SSE4.2, no AVX) and beside it
# on this machine's own. Correctness only, an emulated CPU is many times slower. Needs Debian's qemu-user.
# Usage, from the top of the repository: results/bench/no_avx.sh ARTIFACT > results/bench/no_avx.txt
set -eu
artifact=${1:?name the folder that "srec export" wrote}
unset OPENBLAS_CORETYPE  # every library shall choose by what it sees
export COLUMNS=110

say() { printf '\n$ %s\n' "$*"; }
clicks=$(.venv/bin/python -c 'import json, sys; print(*json.load(open(sys.argv[1]))["appid"][:3])' "$artifact/catalogue.json")
for python in ".venv/bin/python" "qemu-x86_64 -cpu Westmere .venv/bin/python"; do
    say "$python -c 'import torch; ...'"
    $python -c 'import torch; print("torch", torch.__version__, "kernels:", torch.backends.cpu.get_cpu_capability())'
    say "$python -m srec doctor --json --artifact ARTIFACT"
    $python -m srec doctor --json --artifact "$artifact" 2>&1 | sed "s|$PWD/||g"
    say "$python -m srec recommend --artifact ARTIFACT $clicks"
    # shellcheck disable=SC2086
    $python -m srec recommend --artifact "$artifact" $clicks 2>&1
done

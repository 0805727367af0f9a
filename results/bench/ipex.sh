#!/bin/sh
# Makes .venv-ipex, the environment of the row "ipex": Intel's extension ended with 2.8.0 and needs torch 2.8.0.
# Usage, from the top of the repository: results/bench/ipex.sh; then `srec bench model` finds it by itself.
set -eu
python=${PYTHON:-python3.11}
rm -rf .venv-ipex
"$python" -m venv .venv-ipex
# From constraints.txt whatever is not torch; the extension brings its own.
grep -v -i -E '^(torch|sympy|networkx|fsspec|filelock|jinja2|setuptools)==' constraints.txt > .venv-ipex/constraints.txt
.venv-ipex/bin/python -m pip install --quiet --constraint .venv-ipex/constraints.txt \
    torch==2.8.0 intel_extension_for_pytorch==2.8.0 psutil numpy pydantic redis safetensors threadpoolctl \
    numba pyarrow scipy
.venv-ipex/bin/python -c 'import torch, intel_extension_for_pytorch as ipex; print("torch", torch.__version__, "ipex", ipex.__version__)'
# From the checkout, as the benchmark starts it; what it lacks shows here.
.venv-ipex/bin/python -c 'import srec.bench.worker'

"""Which CPU instructions the libraries may use, and which they do use."""

import os
import platform
import time
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch

from srec.errors import HostError

Cpu = Literal["native", "no-avx2"]
LIMITED: Final = "SREC_BENCH_CPU"
NUMPY: Final = "NPY_DISABLE_CPU_FEATURES"

ONE_THREAD: Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
# One line a dispatcher; what has no such switch is skipped with its reason (see ``refuse_limits``).
NO_AVX2: Final = {
    LIMITED: "no-avx2",
    "ATEN_CPU_CAPABILITY": "default",  # torch's own kernels
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",  # MKL, torch's matrix products, on Intel's CPUs
    "MKL_CBWR": "COMPATIBLE",  # MKL on others, where it ignores the line above: SSE2 only
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # oneDNN, torch's convolutions and 8-bit products
    "OPENBLAS_CORETYPE": "NEHALEM",  # OpenBLAS, numpy's matrix products
    "FAISS_OPT_LEVEL": "generic",  # faiss, where a backend uses it
    "NUMBA_CPU_NAME": "nehalem",  # numba, where a backend uses it
    "NUMBA_CPU_FEATURES": "+sse4.2,+popcnt,-avx,-avx2,-fma",
}


def environment(cpu: Cpu) -> dict[str, str]:
    """Variables for a process that runs on one thread and, if wanted, without AVX2."""
    inherited = {name: value for name, value in os.environ.items() if name not in {*NO_AVX2, NUMPY}}
    if cpu == "native":
        return {**inherited, **ONE_THREAD}
    # numpy warns of every feature that is not there to be disabled.
    return {**inherited, **ONE_THREAD, **NO_AVX2, NUMPY: " ".join(_numpy_features())}


def limited() -> bool:
    """Whether this process was started without AVX2."""
    return os.environ.get(LIMITED) == "no-avx2"


def refuse_limits(reason: str) -> None:
    """Raise ``HostError`` in a process without AVX2, for a library that does not obey."""
    if limited():
        raise HostError(f"{reason}: it would use AVX2 all the same")


def in_use() -> dict[str, Any]:
    """What the libraries of this process say they use, and what a matrix product tells of them."""
    return {
        "torch": torch.backends.cpu.get_cpu_capability(),
        "numpy": _numpy_features(),
        "openblas": _openblas(),
        "quantised": torch.backends.quantized.engine,
        "sgemm_gflops": _gflops(),
    }


def describe() -> dict[str, Any]:
    """The machine, for the report."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def available_memory() -> int:
    """Bytes that processes may take without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def memory_of_this_process() -> dict[str, int]:
    """Bytes in memory now and at most since the process started its program (Linux)."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in {"VmHWM", "VmRSS"}:
            found[name] = int(value.split()[0]) * 1024
    return {"memory": found["VmRSS"], "peak_memory": found["VmHWM"]}


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _numpy_features() -> list[str]:
    """Of the instruction sets that numpy chooses from, those that it uses."""
    features: dict[str, bool] = np._core._multiarray_umath.__cpu_features__  # type: ignore[attr-defined]
    dispatched: list[str] = np._core._multiarray_umath.__cpu_dispatch__  # type: ignore[attr-defined]
    return [name for name in dispatched if features.get(name)]


def _openblas() -> str | None:
    try:
        from threadpoolctl import threadpool_info  # noqa: PLC0415
    except ImportError:
        return None
    found = [
        str(library.get("architecture")) for library in threadpool_info() if "openblas" in library["prefix"]
    ]
    return found[0] if found else None


def _gflops() -> float:
    """Speed of torch's float32 matrix product, which shows whether MKL obeys."""
    left = torch.randn(512, 512)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - began)
    return round(2 * 512**3 / best / 1e9, 1)

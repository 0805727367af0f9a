"""Several processes train one model together, as ``torchrun`` starts them; alone there is a group of one.

Every batch is dealt out among the processes. Their gradients are added up before each step, so that all hold
the same weights, and the result is that of one process but for the order of additions and the dropout drawn.
Process 0 measures and writes; the others hear what it found.
"""

import json
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from srec.errors import InputError


class Group:
    """The processes of this training; every method does nothing much for a process alone."""

    def __init__(self, rank: int = 0, size: int = 1, beside: int = 1) -> None:
        """``rank`` of this process among ``size``, of which ``beside`` share this machine."""
        self.rank = rank
        self.size = size
        self.beside = beside

    @property
    def first(self) -> bool:
        """Whether this process measures, writes and tells."""
        return self.rank == 0

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of a batch; every size-th example, so that lengths stay alike."""
        return indices[self.rank :: self.size]

    def seed(self, seed: int) -> int:
        """A seed for dropout and negatives, another one in each process."""
        return seed + self.rank * 1_000_003

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up the gradients of all processes, in place; absent ones count as zeros."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a number of each process."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def told(self, value: Any) -> Any:
        """What process 0 says, as JSON, to all; the others' ``value`` is ignored."""
        if self.size == 1:
            return value
        text = bytearray(json.dumps(value if self.first else None).encode())
        length = torch.tensor(len(text))
        dist.broadcast(length, 0)
        content = torch.zeros(int(length), dtype=torch.uint8)
        if self.first:
            content = torch.frombuffer(text, dtype=torch.uint8)
        dist.broadcast(content, 0)
        return json.loads(content.numpy().tobytes())

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """End the group."""
        if self.size > 1:
            dist.destroy_process_group()


def join_group() -> Group:
    """The group that ``torchrun`` describes in the environment, joined; a group of one without it."""
    size = os.environ.get("WORLD_SIZE", "1")
    if size == "1":
        return Group()
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing or not size.isdecimal():
        raise InputError(
            f"WORLD_SIZE={size} is set, {', '.join(missing) or 'but is no number'}"
            f"{' is not' if missing else ''}: start several processes by `torchrun -m srec train ...`"
        )
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Group(dist.get_rank(), dist.get_world_size(), beside)

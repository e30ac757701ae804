"""Copies between host and device that neither waits for: the device works on while the host prepares what comes next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# Larger copies take far less than what is computed of them, and memory that is pinned stays so.
MOST_PINNED = 256 << 20  # bytes


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host's on a device, through pinned memory where that is a GPU: queued, not waited for."""
    if device.type != "cuda" or tensor.device.type != "cpu" or tensor.nbytes > MOST_PINNED:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, each asked for before the one that precedes it is handed on."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


class HostCopy:
    """A tensor on its way to the host.

    Args:
        tensor: on any device; must not be written to until `wait` has returned.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._arrived: torch.cuda.Event | None = None
        if tensor.device.type != "cuda" or tensor.nbytes > MOST_PINNED:
            self._on_host = tensor.cpu()
            return
        self._on_host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._on_host.copy_(tensor, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record(torch.cuda.current_stream(tensor.device))

    def wait(self) -> Tensor:
        """The tensor on the host, once it is there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._on_host

"""Copies between host and device: the same values, and on a GPU nobody waits for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from faithdiff_model.sampling import transfer
from faithdiff_model.sampling.transfer import HostCopy, ahead, to_device

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_without_a_gpu_nothing_is_copied() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert to_device(tensor, torch.device("cpu")).data_ptr() == tensor.data_ptr()
    assert HostCopy(tensor).wait().data_ptr() == tensor.data_ptr()
    assert to_device(tensor, torch.device("meta")).device.type == "meta"


def test_ahead_asks_for_the_next_first() -> None:
    steps: list[str] = []

    def items() -> Iterator[int]:
        for number in range(3):
            steps.append(f"ask {number}")
            yield number

    assert [(steps.append(f"use {number}"), number)[1] for number in ahead(items())] == [0, 1, 2]
    assert steps == ["ask 0", "ask 1", "use 0", "ask 2", "use 1", "use 2"]
    assert list(ahead([])) == []


@gpu
@pytest.mark.parametrize("most", [transfer.MOST_PINNED, 0])
def test_there_and_back_on_a_gpu(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MOST_PINNED", most)
    tensor = torch.randn(3, 500, 700)
    there = to_device(tensor, torch.device("cuda"))
    assert torch.equal(HostCopy(there[:, 10:-10, 5:]).wait(), tensor[:, 10:-10, 5:])


@gpu
def test_a_gpu_is_not_waited_for() -> None:
    tensor = torch.randn(3, 500, 700)
    to_device(tensor, torch.device("cuda"))  # the context, and a pinned block
    torch.cuda.set_sync_debug_mode("error")
    try:
        waiting = HostCopy(to_device(tensor, torch.device("cuda")))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(waiting.wait(), tensor)

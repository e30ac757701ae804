"""Fixtures of the training tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training_runs import save_photographs


@pytest.fixture(scope="session")
def hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three photographs."""
    return save_photographs(tmp_path_factory.mktemp("hq"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums are added in one order, so that runs can be compared bit for bit; and small networks are no faster with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

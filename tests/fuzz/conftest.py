"""Helpers of other test folders that fuzzing uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from hostile_stores import Archive


@pytest.fixture
def archives() -> Iterator[list[Archive]]:
    """Archives that a test makes; they go when it ends."""
    made: list[Archive] = []
    yield made
    for archive in made:
        archive.forget()

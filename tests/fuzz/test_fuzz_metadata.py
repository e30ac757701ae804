"""Thousands of damaged blocks of metadata in sound files: every photograph is read, every result written and sound.

A culprit is named by its number: `python tests/fuzz/metadata_corpus.py NUMBER FILE` writes it down.
"""

from __future__ import annotations

import pytest
from metadata_corpus import blocks, carry, fuzz, make_file

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")


def test_inputs_can_be_repeated_and_reach_every_format() -> None:
    first = [make_file(number) for number in range(100)]
    assert [make_file(number) for number in range(100)] == first
    assert {made_of.split()[-1] for made_of, _ in first} == {"JPEG", "PNG", "TIFF", "WEBP", "JPEG2000"}
    assert len({data for _, data in first}) > 80
    assert len(blocks()) == 10


def test_a_few_hundred_blocks() -> None:
    assert fuzz(0, 300) == []


def test_an_empty_maker_note_is_no_broken_one() -> None:
    """It went into the TIFF, and was named as left out when that was read."""
    carry(1_000_813)


def test_most_damage_is_noticed_and_little_is_lost() -> None:
    left = [carry(number)[1] for number in range(1000, 1100)]
    assert 5 < sum(map(bool, left)) < 80


@pytest.mark.chaos
def test_ten_thousand_blocks() -> None:
    assert fuzz(1_000_000, 10_000) == []

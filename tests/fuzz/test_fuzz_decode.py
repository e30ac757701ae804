"""Thousands of damaged files of every format: no crash, no hang, no memory beyond the bound, no error without a code.

A culprit is named by its number: `python tests/fuzz/corpus.py NUMBER FILE` writes it down.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from campaign import Campaign, run_campaign
from corpus import make_input, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import code_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")

# What a damaged file may end in; "" is a photo.
CODES = {
    "",
    "truncated",
    "corrupt",
    "unsupported",
    "zero_size",
    "too_many_pixels",
    "too_many_frames",
    "not_an_image",
    "empty",
}


def check(campaign: Campaign, count: int) -> None:
    print(campaign.report())
    assert campaign.faults == []
    assert sum(campaign.codes.values()) == count
    assert set(campaign.codes) <= CODES
    # The damage is neither so slight that nothing happens nor so heavy that no decoder is reached.
    assert count / 20 < campaign.codes[""] < count / 2
    assert campaign.codes["corrupt"] > count / 10


def test_whole_files_decode() -> None:
    assert {f"{kind} {layout}": code for kind, layout, data in seeds() if (code := code_of(data))} == {}


def test_inputs_can_be_repeated() -> None:
    count = len(seeds())
    first = [make_input(number) for number in range(2 * count)]
    assert [make_input(number) for number in range(2 * count)] == first
    assert len({data for _, data in first}) > 1.9 * count  # and no two turns are alike


def test_a_few_hundred_inputs() -> None:
    check(run_campaign(0, 400), 400)


@pytest.mark.chaos
def test_ten_thousand_inputs() -> None:
    """About half a minute."""
    check(run_campaign(1_000_000, 10_000), 10_000)


_MISBEHAVING = """
    import collections, itertools, os, signal, sys
    import decode_worker, pipelines.media.time_limit
    from pipelines.errors import ItemError

    # Longer than the 256 MB of number 6 take on a slow machine.
    decode_worker.SECONDS = pipelines.media.time_limit._MARGIN = 1.5
    number = int(sys.argv[1]) - 1

    def decode(data, name, limits):
        global number
        number += 1
        if number == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 4:
            collections.deque(itertools.repeat(0), maxlen=0)
        if number == 5:
            while True:
                pass
        if number == 6:
            bytearray(b"x" * 2**27)
        if number == 7:
            raise ZeroDivisionError("zero")
        if number == 8:
            bytearray(2**40)
        raise ItemError("corrupt", "input: broken")

    decode_worker.decode = decode
    decode_worker.main(int(sys.argv[1]), int(sys.argv[2]))
"""


def test_a_campaign_notices_everything(tmp_path: Path) -> None:
    """A decoder that crashes, hangs in C and in Python, takes memory and raises: each under its number, and no other."""
    worker = tmp_path / "worker.py"
    worker.write_text(textwrap.dedent(_MISBEHAVING))
    campaign = run_campaign(0, 10, worker=worker)
    found = {int(fault.split()[1]): fault.split(": ", 1)[1] for fault in campaign.faults}
    assert found[2] == "the process ended by SIGSEGV"
    assert found[4] == "the process hung in C"
    assert found[5] == "too slow"
    assert found[6].endswith("bytes of memory too many")
    assert found[7] == "exception: ZeroDivisionError: zero"
    assert found[8].startswith("exception: MemoryError")
    assert sorted(found) == [2, 4, 5, 6, 7, 8]
    assert campaign.codes == {"corrupt": 5, "fault": 4, "too_slow": 1}


_PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([data[start : start + 60] for _, _, data in seeds() for start in (0, 20, 100, len(data) - 60)]),
    ),
    max_size=6,
).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(seeds()), _PIECES, st.data())
def test_files_with_foreign_pieces(seed: tuple[str, str, bytes], pieces: bytes, data: st.DataObject) -> None:
    _, _, whole = seed
    at = data.draw(st.integers(0, len(whole)))
    upto = data.draw(st.integers(at, len(whole)))
    assert code_of(whole[:at] + pieces + whole[upto:], max_pixels=1_000_000) in CODES

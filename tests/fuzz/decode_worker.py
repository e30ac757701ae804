"""Decodes a range of inputs in a process of its own, and says before each which it is: a crash is then known by its number.

python tests/fuzz/decode_worker.py FIRST COUNT
"""

from __future__ import annotations

import json
import resource
import sys
import time

import cv2
from corpus import make_input, seeds
from traced_memory import peak_bytes, status_bytes

from pipelines.errors import ItemError
from pipelines.media.limits import BYTES_PER_PIXEL, COPIES, DecodeLimits
from pipelines.media.photo.decode import decode
from pipelines.media.time_limit import deadline

LIMITS = DecodeLimits(max_pixels=1_000_000, max_bytes=1 << 20, max_frames=100)
SECONDS = 10.0  # of one input; the process ends after 25
_ADDRESSES = 2 << 30  # bytes beyond what the libraries take: more is refused to C code, too
_SLACK = 16 << 20  # what an allocator keeps, and libraries that are met for the first time


def main(first: int, count: int) -> None:
    """Write a line of JSON for each input: number, what it was made of, code, seconds, bytes beyond the bound."""
    cv2.setNumThreads(1)
    seeds()
    size = status_bytes("VmSize") + _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    for number in range(first, first + count):
        made_of, data = make_input(number)
        print(json.dumps({"number": number, "made_of": made_of}), flush=True)
        codes: list[str] = []
        started = time.perf_counter()
        used = peak_bytes(lambda data=data, codes=codes: codes.append(outcome(data)))
        seconds, code = time.perf_counter() - started, codes[0]
        over = used - _SLACK - BYTES_PER_PIXEL * LIMITS.max_pixels - COPIES * len(data)
        print(json.dumps({"number": number, "code": code, "seconds": seconds, "over": max(over, 0)}), flush=True)


def outcome(data: bytes) -> str:
    """The error code; "" for a photo; a text with a colon for what must not be."""
    try:
        with deadline(SECONDS, "input"):
            photo = decode(data, "input", LIMITS)
    except ItemError as error:
        if "not enough memory" in error.reason or "\n" in error.reason:
            return f"reason: {error.reason}"
        return error.code
    except Exception as error:
        return f"exception: {type(error).__name__}: {error}"
    height, width, channels = photo.pixels.shape
    sound = (
        1 <= channels <= 4 and height * width <= LIMITS.max_pixels and photo.pixels.dtype.name in ("uint8", "uint16")
    )
    return "" if sound else f"photo: {photo.pixels.shape} {photo.pixels.dtype}"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""Whether a film that was written holds what it was given, read back from its file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.clock import parse_clock
from pipelines.media.film.write.streams import main_picture, payload

__all__ = ["Expected", "check_film"]

_HALF_MS = Fraction(1, 2000)
_REMEDY = "this is a fault of the encoder or the disk, run again or choose another --film-format"


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What was given.

    Attributes:
        pts: int64 [n], when each frame is shown, in `time_base`, in order.
        last_duration: how long the last one is shown, likewise.
        time_base: seconds.
        milliseconds: the container counts in these (Matroska), so that times are the nearest; else they are exact.
        sound: SHA-256 of all packets and start in seconds of each sound stream, by its number.
    """

    pts: np.ndarray
    last_duration: int
    time_base: Fraction
    milliseconds: bool
    sound: dict[int, tuple[str, Fraction]]


def check_film(path: Path, expected: Expected, name: str) -> None:
    """Read a film's packets and compare number and times of frames and the bytes of its sound with what was given.

    Args:
        path: of the film, local.
        expected: what was given.
        name: of the source, for reasons.

    Raises:
        ItemError: encode_error where they differ, with what differs.
    """
    try:
        complaint = next(_complaints(path, expected), None)
    except av.error.FFmpegError as error:
        complaint = f"the written file cannot be read back ({error})"
    if complaint:
        raise ItemError("encode_error", f"{name}: {complaint}; {_REMEDY}")


def _complaints(path: Path, expected: Expected) -> Iterator[str]:
    with av.open(f"file:{path}", "r") as container:
        picture = main_picture(container)
        if picture is None:
            yield "the written file has no picture"
            return
        digests: dict[int, hashlib._Hash] = {index: hashlib.sha256() for index in expected.sound}
        starts: dict[int, Fraction] = {}
        times: list[int] = []
        end = 0
        wanted = [picture, *(stream for stream in container.streams.audio if stream.index in digests)]
        for packet in container.demux(wanted):
            if not packet.size or packet.pts is None:
                continue
            if packet.stream_index == picture.index:
                times.append(packet.pts)
                end = max(end, packet.pts + (packet.duration or 0))
            else:
                digests[packet.stream_index].update(payload(packet))
                starts.setdefault(packet.stream_index, packet.pts * packet.time_base)
        base = picture.time_base or Fraction(1)
        if expected.milliseconds and times:  # Matroska keeps no duration of a single frame, but where the last one ends
            end = round((parse_clock(_tag(picture.metadata, "duration")) or 0) / base)
    if len(times) != len(expected.pts):
        yield f"{len(expected.pts)} frames were written and {len(times)} are in the file"
        return
    written = np.sort(np.array(times, np.int64))
    yield from _time_complaints(written, end, base, expected)
    for index, (sha256, start) in expected.sound.items():
        if digests[index].hexdigest() != sha256 or index not in starts:
            yield f"the sound of stream {index} is not what was carried"
            return
        # Where sound starts before zero, a container may move everything; what counts is sound against picture.
        first = expected.pts[0] * expected.time_base
        slip = (starts[index] - written[0] * base) - (start - first)
        if abs(slip) > (3 * _HALF_MS if expected.milliseconds else Fraction(1, 10_000)):
            yield f"the sound of stream {index} slipped by {float(slip):.4f} seconds"


def _tag(tags: dict[str, str], name: str) -> str:
    return next((value for key, value in tags.items() if key.lower() == name), "")


def _time_complaints(written: np.ndarray, end: int, base: Fraction, expected: Expected) -> Iterator[str]:
    """What is wrong with times of frames, int64 [n] in `base`; the last ends at `end`."""
    if not len(written):
        return
    scale = expected.time_base / base
    # Both in whole numbers: a unit of either side, times the fraction's other half. Two roundings make a millisecond.
    late = (written - written[0]) * scale.denominator - (expected.pts - expected.pts[0]) * scale.numerator
    allowed = scale.denominator if expected.milliseconds else 0
    wrong = np.flatnonzero(abs(late) > allowed)
    if len(wrong):
        seconds = float(late[wrong[0]] / scale.denominator * base)
        yield f"frame {int(wrong[0])} is shown {seconds:+.4f} seconds from where it should be"
    length = (end - int(written[0])) * base
    wanted = int(expected.pts[-1] + expected.last_duration - expected.pts[0]) * expected.time_base
    if abs(length - wanted) > (4 * _HALF_MS if expected.milliseconds else 0):
        yield f"the film lasts {float(length):.4f} seconds and should last {float(wanted):.4f}"

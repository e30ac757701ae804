"""A durable part of a film: restored frames, bit for bit, and a record, in one file.

The file is Matroska with FFV1 (level 3, slices with checksums, every frame by itself, 16-bit RGB), so that any player shows
it. Behind it lies one more EBML element, a Void, which readers of Matroska skip:

    record      JSON: frames, width, height, checksums of the packets, and the caller's record
    SHA-256     of the record, 32 bytes
    lengths     of the Matroska part and of the record, 8 bytes each, big endian
    magic       8 bytes

It comes last because only then is the record known, and at a fixed distance from the end so that it is read without the
frames. A Matroska tag would have to be written with the header; a second pass over the file would copy all frames.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import av
import numpy as np

from pipelines.media.film.facts import JsonObject, Opener
from pipelines.media.film.picture.planes import gbr, video_frame

__all__ = ["THREADS", "SegmentWriter", "ffv1_options", "read_record", "read_segment"]

_MAGIC = b"FAITHSEG"
_END = struct.Struct(">32sQQ8s")
_VOID = b"\xec\x01"  # the element's id, and the first byte of a size in 7 bytes
_FRAME_MS = 40  # Matroska counts milliseconds; the film's own timing is kept elsewhere
_MAX_RECORD = 64 << 20
THREADS = 4
_BUFFER = 1 << 20
_BROKEN = "restore the segment again"


class SegmentWriter(AbstractContextManager["SegmentWriter"]):
    """Write a segment, frame by frame; a context.

    Args:
        path: local file, made anew.
        width, height: of the frames, 2 pixels or more.
    """

    def __init__(self, path: Path, *, width: int, height: int) -> None:
        self._path, self._size = path, (height, width)
        self._checksums: list[int] = []
        self._frames, self._finished = 0, False
        # Without bitexact each file would get random identifiers.
        self._container = av.open(_url(path), "w", format="matroska", container_options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream("ffv1", rate=1000 // _FRAME_MS, options=ffv1_options(width, height))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "gbrp16le"
        context = self._stream.codec_context
        context.time_base, context.thread_count, context.thread_type = Fraction(1, 1000), THREADS, "SLICE"
        self._container.start_encoding()  # a segment without frames is a file, too

    def write(self, pixels_HWC: np.ndarray) -> None:
        """The next frame: uint16 [H, W, 3], RGB."""
        assert pixels_HWC.shape == (*self._size, 3) and pixels_HWC.dtype == np.uint16, pixels_HWC.shape
        self._mux(video_frame(gbr(pixels_HWC), "gbrp16le", self._frames * _FRAME_MS, Fraction(1, 1000)))
        self._frames += 1

    def finish(self, record: JsonObject) -> None:
        """Close the file and put the record behind it.

        Args:
            record: plain values, for JSON.
        """
        self._mux(None)
        self._finished = True
        self._container.close()
        height, width = self._size
        known = {"frames": self._frames, "width": width, "height": height, "checksums": self._checksums}
        text = json.dumps({**known, "record": record}).encode()
        end = _END.pack(hashlib.sha256(text).digest(), self._path.stat().st_size, len(text), _MAGIC)
        with self._path.open("ab") as file:
            file.write(_VOID + (len(text) + len(end)).to_bytes(7, "big") + text + end)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            assert error is not None, "a segment ends with its record"
            with suppress(av.error.FFmpegError):  # the file is of no use; the first error says why
                self._container.close()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._checksums.append(zlib.crc32(packet))
            self._container.mux(packet)


def ffv1_options(width: int, height: int) -> dict[str, str]:
    """Options of the FFV1 encoder: level 3, every frame by itself, slices that can be coded side by side, with checksums.

    Args:
        width, height: of the frames; small ones have few slices.
    """
    pixels = width * height
    slices = 4 if pixels < 1 << 20 else 12 if pixels < 1 << 22 else 24
    return {"level": "3", "coder": "1", "g": "1", "slices": str(slices), "slicecrc": "1"}


def read_record(opener: Opener) -> JsonObject:
    """The caller's record, without reading any frame.

    Raises:
        ValueError: it is no segment, or a damaged one.
        OSError: it cannot be read.
    """
    with _opened(opener) as file:
        return dict(_known(file)["record"])


def read_segment(opener: Opener) -> Iterator[np.ndarray]:
    """Its frames in order, uint16 [H, W, 3], as they were written, one at a time.

    Raises:
        ValueError: it is no segment, or a damaged one; frames given before that are right.
        OSError: it cannot be read.
    """
    with _opened(opener) as file:
        known = _known(file)
        if not known["frames"]:
            return
        file.seek(0)
        number = 0
        for packet, frames in _packets(file):
            if number >= known["frames"] or zlib.crc32(packet) != known["checksums"][number]:
                raise ValueError(f"frame {number} of the segment is damaged; {_BROKEN}")
            if len(frames) != 1 or (frames[0].height, frames[0].width) != (known["height"], known["width"]):
                raise ValueError(f"frame {number} of the segment cannot be decoded; {_BROKEN}")
            yield frames[0].to_ndarray(format="gbrp16le")
            number += 1
        if number != known["frames"]:
            raise ValueError(f"the segment has {number} frames and should have {known['frames']}; {_BROKEN}")


def _packets(file: BinaryIO) -> Iterator[tuple[av.Packet, list[av.VideoFrame]]]:
    try:
        with av.open(file, "r", format="matroska", buffer_size=_BUFFER) as container:
            stream = container.streams.video[0]
            # Threads over frames would hold several; FFV1 has slices.
            stream.codec_context.thread_count, stream.codec_context.thread_type = THREADS, "SLICE"
            for packet in container.demux(stream):
                if packet.size:
                    yield packet, packet.decode()
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"the segment is damaged ({error}); {_BROKEN}") from error


def _known(file: BinaryIO) -> JsonObject:
    size = file.seek(0, 2)
    if size < _END.size:
        raise ValueError(f"{size} bytes are no segment; {_BROKEN}")
    file.seek(size - _END.size)
    digest, matroska, length, magic = _END.unpack(file.read(_END.size))
    if magic != _MAGIC:
        raise ValueError(f"the segment has no end: it was cut off, or is something else; {_BROKEN}")
    if length > _MAX_RECORD or matroska + len(_VOID) + 7 + length + _END.size != size:
        raise ValueError(f"the segment's length is not what it was; {_BROKEN}")
    file.seek(size - _END.size - length)
    text = file.read(length)
    if hashlib.sha256(text).digest() != digest:
        raise ValueError(f"the segment's record is damaged; {_BROKEN}")
    known: JsonObject = json.loads(text)
    return known


@contextmanager
def _opened(opener: Opener) -> Iterator[BinaryIO]:
    opened = opener()
    with Path(opened).open("rb") if isinstance(opened, str) else opened as file:
        yield file


def _url(path: Path) -> str:
    # So that no name is taken for another protocol.
    return f"file:{path}"

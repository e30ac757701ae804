"""Write a restored film: FFV1 in Matroska, ProRes in MOV or H.264 in MP4, with the source's timing, tags and sound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from pipelines.errors import ItemError
from pipelines.media.film.facts import FilmFacts, Opener, Timeline
from pipelines.media.film.picture.picture_form import PictureForm
from pipelines.media.film.picture.planes import video_frame
from pipelines.media.film.write.check import Expected, check_film
from pipelines.media.film.write.matroska_aspect import RESERVE, write_pixel_aspect
from pipelines.media.film.write.segment_file import THREADS, ffv1_options
from pipelines.media.film.write.statement import NOTHING, Statement, append_statement, tag_statement, without_statement
from pipelines.media.film.write.streams import FILM_FORMATS, PassthroughStreams
from pipelines.media.film.write.tags import Tags, lost_tags

__all__ = ["FilmWriter"]

# Of an encoder. A fixed number: H.264 differs by it, and the same film is to become the same bytes on every machine.
_MOST_TICKS = 2**31 - 1  # a second, in MOV and MP4


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How a choice of --film-format is written."""

    container: str
    codec: str
    options: dict[str, str]


_KINDS = {
    "ffv1": _Kind(container="matroska", codec="ffv1", options={}),
    # Profile 3 is HQ; some editors take ProRes for genuine by its vendor only.
    "prores": _Kind(container="mov", codec="prores_ks", options={"profile": "3", "vendor": "apl0"}),
    # No B-frames: with them x264 gives other bytes at each run (seen below 256 pixels of width, fewer than 5 % larger without),
    # and MP4 can only guess how long a frame is shown that is stored out of order.
    "h264": _Kind(container="mp4", codec="libx264", options={"crf": "18", "preset": "medium", "bf": "0"}),
}
assert {name: kind.container for name, kind in _KINDS.items()} == {name: c for c, name in FILM_FORMATS.items()}


class FilmWriter(AbstractContextManager["FilmWriter"]):
    """Write a film frame by frame; a context. Sound and other streams go in as the picture advances.

    Times are those of the source. MOV and MP4 keep them exactly; Matroska, as FFmpeg writes it, counts milliseconds, so there
    each is the nearest one. What a container cannot hold is left out and listed.

    Args:
        path: local file, made anew.
        kind: `ffv1` (lossless), `prores` (HQ, 4:2:2 of 10 bits) or `h264` (4:2:0 of 8 bits, for viewing).
        facts: of the source.
        width, height: of the result.
        timeline: of the result; as many frames have to be written.
        carried: opens the source for its other streams; None where it has none, as a sequence.
        name: of the source, for reasons.
        bits: 10 or 16 of FFV1; None is 10 for sources of up to 10 bits, else 16.
        stated: what the file says of how it was made.

    Attributes:
        warnings: what became different, a line each; whole after `close`.
        left_out: what the container cannot hold, a line each; whole after `close`.

    Raises:
        ItemError: encode_error or unreadable, on entering.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        facts: FilmFacts,
        *,
        width: int,
        height: int,
        timeline: Timeline,
        carried: Opener | None,
        name: str,
        bits: int | None = None,
        stated: Statement = NOTHING,
    ) -> None:
        self._stated = stated
        self._path, self._facts, self._timeline, self._name = path, facts, timeline, name
        self._kind = _KINDS[kind]
        self._size = height, width
        self._picture = PictureForm(
            self._kind.codec, facts, width, height, bits or (10 if facts.bit_depth <= 10 else 16)
        )
        base = Fraction(facts.time_base)
        self._base = Fraction(1, min(base.denominator, _MOST_TICKS))
        self._ticks = base / self._base  # whole, but for time bases finer than any container's
        self._aspect = Fraction(facts.pixel_aspect)
        self._reshaped = self._kind.container == "matroska" and self._aspect != 1
        start = base * int(timeline.pts[0]) if len(timeline) else base
        self._carried = PassthroughStreams(carried, self._kind.container, start)
        self._durations: dict[int, int] = {}  # of frames in the encoder, by pts
        self._written = 0
        self._open = False
        self.warnings, self.left_out = list[str](), list[str]()

    def __enter__(self) -> FilmWriter:
        try:
            with self._explained("unreadable"):
                self._carried.__enter__()
            with self._explained("encode_error"):
                self._begin()
        except BaseException:
            self._abandon()
            raise
        return self

    def write(self, pixels_HWC: np.ndarray) -> None:
        """The timeline's next frame: uint16 [H, W, 3], RGB, full range.

        Raises:
            ItemError: it cannot be encoded, or the source's other streams cannot be read.
            OSError: it cannot be written.
        """
        assert pixels_HWC.shape == (*self._size, 3) and pixels_HWC.dtype == np.uint16, pixels_HWC.shape
        assert self._written < len(self._timeline), "more frames than the timeline has"
        pts = self._time(int(self._timeline.pts[self._written]))
        self._durations[pts] = max(round(int(self._timeline.durations[self._written]) * self._ticks), 1)
        self._written += 1
        with self._explained("encode_error"):
            self._mux(video_frame(self._picture.planes(pixels_HWC), self._picture.pixel_format, pts, self._base))

    def close(self) -> None:
        """End the film and read it back. Nothing where it was closed.

        Raises:
            ItemError: encode_error where frames are missing, or the file does not hold what was written.
            OSError: it cannot be written.
        """
        if not self._open:
            return
        try:
            if self._written != len(self._timeline):
                reason = f"{self._written} of {len(self._timeline)} frames were restored; run again"
                raise ItemError("encode_error", f"{self._name}: {reason}")
            with self._explained("encode_error"):
                self._mux(None)
                self._carry(None)
                given = self._tags()
                self._container.close()
                if self._reshaped:
                    write_pixel_aspect(self._path, self._size[1], self._size[0], self._aspect)
                append_statement(self._path, self._kind.container, self._stated)
            self._open = False
        finally:
            self._abandon()
        self.warnings = self._picture.warnings + self._carried.warnings
        self.left_out = self._carried.left_out + lost_tags(self._path, given, self._kind.container)
        pts = np.array([self._time(int(pts)) for pts in self._timeline.pts], np.int64)
        last = max(round(int(self._timeline.durations[-1]) * self._ticks), 1) if len(pts) else 0
        expected = Expected(
            pts=pts,
            last_duration=last,
            time_base=self._base,
            milliseconds=self._kind.container == "matroska",
            sound=self._carried.sound,
        )
        check_film(self._path, expected, self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()

    def _begin(self) -> None:
        kind, (height, width) = self._kind, self._size
        options = kind.options
        if kind.codec == "ffv1":
            options = ffv1_options(width, height)
        # Without bitexact each file would get random identifiers. Little is held back to be sorted: it comes in order.
        settings = {"fflags": "+bitexact", "max_interleave_delta": "100000"}
        if kind.container == "mp4":
            settings["movflags"] = "+faststart"
        self._container = av.open(f"file:{self._path}", "w", format=kind.container, container_options=settings)
        self._open = True
        rate = Fraction(self._facts.rate).limit_denominator(1_000_000)
        self._stream = cast(VideoStream, self._container.add_stream(kind.codec, rate=rate, options=dict(options)))
        self._stream.height, self._stream.width = self._picture.size
        self._stream.pix_fmt = self._picture.pixel_format
        context = self._stream.codec_context
        context.time_base = self._stream.time_base = self._base
        context.sample_aspect_ratio = self._aspect
        context.thread_count = THREADS
        if kind.codec == "ffv1":
            context.thread_type = "SLICE"
        self._picture.tag(context)
        self._carried.describe(self._container, self._stream)
        tag_statement(self._container, kind.container, self._stated)
        if self._facts.timecode:
            self._stream.metadata["timecode"] = self._facts.timecode
        if self._reshaped:
            self._stream.metadata.update(RESERVE)
        self._carried.add_streams(self._container)
        if kind.container != "matroska":
            self._container.container_options.update(self._clocks())
        self._container.start_encoding()

    def _clocks(self) -> dict[str, str]:
        """Time scales that make times of frames exact, and the offset between sound and picture where there is room."""
        own = self._base.denominator
        both = math.lcm(own, *self._carried.sample_rates)
        return {"video_track_timescale": str(own), "movie_timescale": str(both if both <= _MOST_TICKS else own)}

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            assert packet.pts is not None and packet.dts is not None
            packet.duration = self._durations.pop(packet.pts)
            # By the packet, not by the frame that went in: an encoder may be many frames behind.
            self._carry(packet.dts * packet.time_base)
            self._container.mux(packet)

    def _carry(self, seconds: Fraction | None) -> None:
        due = self._carried.due(seconds)
        while True:
            with self._explained("unreadable"):
                packet = next(due, None)
            if packet is None:
                return
            self._container.mux(packet)

    def _time(self, pts: int) -> int:
        """In the result's units, on its clock."""
        return round(pts * self._ticks) - self._carried.shift * self._base.denominator

    def _tags(self) -> Tags:
        """What the container was asked to say of the film and its streams."""
        streams = [(dict(stream.metadata), int(stream.disposition)) for stream in self._container.streams]
        for name in RESERVE if self._reshaped else ():
            del streams[self._stream.index][0][name]
        return Tags(
            film=without_statement(self._container.metadata), streams=streams, chapters=len(self._container.chapters())
        )

    def _abandon(self) -> None:
        """Let go of both files, whatever state they are in."""
        self._carried.__exit__(None, None, None)
        if self._open:
            self._open = False
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()

    @contextmanager
    def _explained(self, code: str) -> Iterator[None]:
        """FFmpeg's errors as those of this film. A full disk and the like stay what they are."""
        try:
            yield
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            if code == "unreadable":
                reason = "its sound and other streams cannot be read ({}); copy the file anew"
            else:
                reason = f"it cannot be written as {self._kind.codec} ({{}}); choose another --film-format"
            raise ItemError(code, f"{self._name}: {reason.format(error.strerror)}") from error

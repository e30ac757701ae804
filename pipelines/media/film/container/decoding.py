"""Decode packets into pictures, and leave out every one that damage reached.

FFmpeg's decoders hide damage: they patch a broken picture from others and hand it on, and what refers to it is wrong without a
mark. So the order of decoding is kept: a picture counts only if nothing was broken between the key frame that it hangs on
and itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

from pipelines.errors import ItemError
from pipelines.media.film.container.damage import Coded, DecoderLog, References
from pipelines.media.film.container.packets import from_key_frame, is_closed, with_rising_times
from pipelines.media.film.container.probe import ENCRYPTED, Input
from pipelines.media.guard import label

__all__ = ["Decoder", "Picture"]

# Decoders that mark patched pictures themselves; what others have to say of damage they only log.
_MARKING = frozenset(
    (
        "h264",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "h263",
        "msmpeg4v1",
        "msmpeg4v2",
        "msmpeg4v3",
        "wmv1",
        "wmv2",
        "wmv3",
        "vc1",
    )
)
# Codecs in which no picture refers to a B-picture.
_PLAIN_B = frozenset(("mpeg1video", "mpeg2video", "mpeg4", "wmv3", "vc1"))
_B_PICTURE = 3
_MOST_OPEN = 4096  # packets whose pictures are waited for; no decoder holds as many
_BUFFER_LIMIT = 40  # pictures that wait for one that is decoded before and shown after them


@dataclass(frozen=True)
class Picture:
    """A sound frame as decoded.

    Attributes:
        frame: FFmpeg's.
        pts: when it is shown, in the stream's time base.
        duration: likewise; 0 where nothing is said.
    """

    frame: av.VideoFrame
    pts: int
    duration: int


class Decoder:
    """Decodes the picture stream from where the container stands to its end.

    Args:
        film: the film.
        rate: frames a second where times do not tell.
        from_start: the container stands at its start and all is to be decoded.
        all_streams: look at the packets of other streams, too.
        target: time of the first picture that is wanted; decoding starts with the last key frame at or before it.

    Attributes:
        decoded: frames that came out of the decoder, sound or not.
        packets: of the picture stream, that were read.
        damaged: times, in the stream's time base, of pictures that are there and cannot be trusted or decoded.
        last: end of the last packet of pictures, in the stream's time base; None before the first.
        end: seconds at which the last packet of any stream ends, if `all_streams`.
        broken: the container itself could not be read to its end.
        backward: frames whose times are not after those of the frames shown before them; they are left out.
        after_seek: whether the container stands where seeking led to; set it before the first picture.
        unreached: pictures before the first sound one that refer to others that the film does not hold; they are left out.
    """

    def __init__(
        self, film: Input, rate: Fraction, *, from_start: bool, all_streams: bool = False, target: int | None = None
    ) -> None:
        self.decoded = self.packets = 0
        self.damaged: list[int] = []
        self.last: int | None = None
        self.end = Fraction(0)
        self.broken = False
        self._references = References()
        self.backward = self.unreached = 0
        self.after_seek = False
        self._target = target
        self._film, self._context = film, film.stream.codec_context
        self._from_start, self._all = from_start, all_streams
        self._unit = 1 / (rate * film.time_base)  # a frame's duration in the time base
        self._codec = self._context.name
        self._errors = 0
        self._open: list[Coded] = []  # whose pictures are still to come, in order of decoding
        self._buffer: deque[tuple[Picture, Coded | None, bool]] = deque()
        self._shown: int | None = None
        self._counted = 0
        self._suspect = False

    @property
    def met_key(self) -> bool:
        """Whether a key frame was met. What is shown before the first one refers to frames that were not read and is left out,
        unless its group of pictures is closed."""
        return self._references.first is not None

    def pictures(self) -> Iterator[Picture]:
        """Every sound picture in order of showing, times rising.

        Raises:
            ItemError: "unsupported": the film is encrypted.
        """
        packets = self._read()
        if self._film.needs_rising_times:
            packets = with_rising_times(packets, self._unit)
        for packet in from_key_frame(packets, self._film, self._target, after_seek=self.after_seek):
            yield from self._take(self._decode(packet))
        yield from self._take(self._decode(None))
        for entry in list(self._open):
            self._give_up(entry)
        yield from self._release(finish=True)

    def _read(self) -> Iterator[av.Packet]:
        """Packets of pictures. Reading goes on after an error of the container as long as something comes."""
        number, stream = self._film.stream.index, self._film.stream
        chosen = () if self._all else (stream,)
        progress = -1
        while progress != self.packets:
            progress = self.packets
            try:
                for packet in self._film.container.demux(*chosen):
                    if not packet.size:  # the end, or AVI's mark of a dropped frame
                        continue
                    if packet.stream_index != number:
                        self._note_end(packet)
                        continue
                    if packet.has_sidedata("encryption_info"):
                        raise ItemError("unsupported", f"{label(self._film.name)}: {ENCRYPTED}")
                    self.packets += 1
                    self._note_end(packet)
                    yield packet
                return
            except (av.FFmpegError, ValueError):
                if self._film.file.error is not None:
                    raise self._film.file.error from None
                self.broken = True

    def _note_end(self, packet: av.Packet) -> None:
        if packet.pts is None:
            return
        ends = packet.pts + (packet.duration or 0)
        if packet.time_base:
            self.end = max(self.end, ends * packet.time_base)
        if packet.stream_index == self._film.stream.index:
            ends = packet.pts + (packet.duration or round(self._unit))
            self.last = ends if self.last is None else max(self.last, ends)

    def _decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        entry = self._enter(packet) if packet is not None and not self._film.untimed else None
        try:
            if self._codec in _MARKING or not self._from_start:
                return self._context.decode(packet)
            with DecoderLog(self._context.thread_count) as log:
                frames = self._context.decode(packet)
            if log.has_errors and packet is not None:
                self._errors += 1
                if entry is not None:
                    entry.bad = True
                elif frames:
                    self._suspect = True
            return frames
        except (av.FFmpegError, ValueError):
            self._errors += 1
            if entry is not None and entry not in self._open:
                entry.bad = True
            if self._film.untimed and packet is not None:
                self._lose_counted()
            return []
        finally:
            if entry is not None and entry not in self._open:
                self._references.close(entry)

    def _enter(self, packet: av.Packet) -> Coded | None:
        if packet.pts is None:
            return None
        entry = Coded(
            order=self.packets,
            pts=packet.pts,
            key=packet.is_keyframe,
            disposable=packet.is_disposable,
            errors=self._errors,
            bad=packet.is_corrupt,
            closed=is_closed(packet, self._context),
        )
        if entry.key:
            self._references.note_key(entry)
        if packet.is_discard:  # an edit list leaves its picture out: none comes, and others may refer to it
            return entry
        if len(self._open) == _MOST_OPEN:
            self._give_up(self._open[0])
        self._open.append(entry)
        return entry

    def _take(self, frames: list[av.VideoFrame]) -> Iterator[Picture]:
        for frame in frames:
            self.decoded += 1
            if self._film.untimed:
                yield from self._count(frame)
                continue
            self._hold(frame)
        yield from self._release(finish=False)

    def _hold(self, frame: av.VideoFrame) -> None:
        pts = frame.pts
        if pts is None:
            if self._shown is None and not self._from_start:
                return  # its time cannot be known
            pts = 0 if self._shown is None else self._shown + max(1, frame.duration or round(self._unit))
        for other in [other for other in self._open if other.pts < pts]:
            self._give_up(other)
        entry = next((other for other in self._open if other.pts == pts), None)
        if entry is not None:
            entry.bad |= frame.is_corrupt
            entry.disposable |= frame.pict_type == _B_PICTURE and self._codec in _PLAIN_B
            if frame.key_frame and not entry.key:
                entry.key = True
                self._references.note_key(entry)
            self._close(entry)
        if self._shown is not None and pts <= self._shown:
            self.backward += 1
            return  # its time is none; the frame counts as missing
        self._shown = pts
        self._buffer.append((Picture(frame, pts, frame.duration or 0), entry, frame.is_corrupt))

    def _give_up(self, entry: Coded) -> None:
        """No picture will come of a packet. That is damage if the decoder complained since; else it is a second field, or
        a picture not meant to be shown."""
        if entry.bad or self._errors > entry.errors:
            entry.bad = True
            self._lose(entry, entry.pts)
        elif not self._references.reached(entry, entry.pts):
            self.unreached += 1
        self._close(entry)

    def _close(self, entry: Coded) -> None:
        self._open.remove(entry)
        self._references.close(entry)

    def _lose(self, entry: Coded | None, pts: int) -> None:
        if self._references.reached(entry, pts):
            self.damaged.append(pts)
        else:
            self.unreached += 1

    def _release(self, *, finish: bool) -> Iterator[Picture]:
        while self._buffer:
            picture, entry, bad = self._buffer[0]
            waits = not finish and entry is not None and len(self._buffer) < _BUFFER_LIMIT
            if waits and entry is not None and any(other.order < entry.order for other in self._open):
                return
            self._buffer.popleft()
            if bad or (entry is not None and not self._references.sound(entry)):
                self._lose(entry, picture.pts)
            elif self._references.reached(entry, picture.pts):
                yield picture
            else:
                self.unreached += 1

    def _count(self, frame: av.VideoFrame) -> Iterator[Picture]:
        """Untimed streams: frames are shown one after another."""
        pts = self._counted_time(self._counted)
        self._counted += 1
        self._suspect &= not frame.key_frame
        bad = frame.is_corrupt or self._suspect
        self._suspect |= frame.is_corrupt and not (frame.pict_type == _B_PICTURE and self._codec in _PLAIN_B)
        if bad:
            self.damaged.append(pts)
            return
        yield Picture(frame, pts, self._counted_time(self._counted) - pts)

    def _lose_counted(self) -> None:
        self.damaged.append(self._counted_time(self._counted))
        self._counted += 1
        self._suspect = True

    def _counted_time(self, number: int) -> int:
        return round(number * self._unit)

"""What a film has beside its picture: sound, subtitles, chapters, fonts, titles. Copied packet by packet."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition, Stream

from pipelines.media.film.facts import Opener
from pipelines.media.film.write.tags import passthrough_tags

__all__ = ["FILM_FORMATS", "PassthroughStreams", "main_picture", "payload"]

# The choice of --film-format that each container belongs to, in the order in which they are advised.
FILM_FORMATS = {"matroska": "ffv1", "mov": "prores", "mp4": "h264"}
_NEW_RECORDING = Fraction(1)  # seconds; a clock that jumps back further has started anew
_APART = Fraction(1, 1000)  # seconds between packets that every container tells apart
_ARBITRARY_START = {"mpegts", "mpeg"}  # formats whose clock starts anywhere


class PassthroughStreams(AbstractContextManager["PassthroughStreams"]):
    """The other streams of a source while its picture is written; a context.

    Args:
        opener: of the source; None where there is nothing to carry.
        target: FFmpeg's name of the result's container: a key of `FILM_FORMATS`.
        start: of the picture, in seconds on the source's clock.

    Attributes:
        shift: whole seconds that all timestamps are moved back by: 0, but for streams whose clock starts anywhere, such as
            broadcast recordings, and pictures that start before zero, which MOV would not show.
        left_out: a line each on what the container cannot hold.
        warnings: what had to be changed, a line each.

    Raises:
        OSError, av.error.FFmpegError: the source cannot be opened.
    """

    def __init__(self, opener: Opener | None, target: str, start: Fraction) -> None:
        self._opener, self._target = opener, target
        self._stack = ExitStack()
        self._outputs: dict[int, Stream] = {}  # by the source's stream number
        self._covers: list[tuple[av.Packet, Stream]] = []
        self._packets: Iterator[av.Packet] = iter(())
        self._waiting: av.Packet | None = None
        self._sound: dict[int, hashlib._Hash] = {}  # by the result's stream number
        self._starts: dict[int, Fraction] = {}
        self._source: InputContainer | None = None
        self._last: dict[int, int] = {}  # dts, and ends, by the source's stream number
        self._ends: dict[int, int] = {}
        self._jumps: dict[int, int] = {}
        self.shift, self.left_out, self.warnings = min(math.floor(start), 0), list[str](), list[str]()

    def __enter__(self) -> PassthroughStreams:
        if self._opener is not None:
            self._source = self._stack.enter_context(_open(self._opener))
            if set(self._source.format.name.split(",")) & _ARBITRARY_START and self._source.start_time is not None:
                self.shift = max(math.floor(self._source.start_time / av.time_base), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def sound(self) -> dict[int, tuple[str, Fraction]]:
        """After all packets: SHA-256 and start in seconds of each sound stream that has any, by its number in the result."""
        return {index: (self._sound[index].hexdigest(), start) for index, start in self._starts.items()}

    @property
    def sample_rates(self) -> list[int]:
        """Of the sound streams that are carried."""
        return [
            stream.codec_context.sample_rate for stream in self._outputs.values() if isinstance(stream, AudioStream)
        ]

    def describe(self, container: OutputContainer, picture: Stream) -> None:
        """Give the result the source's titles, dates and the like, and its chapters.

        Args:
            container: before its header is written.
            picture: its video stream.
        """
        if self._source is None:
            return
        container.metadata.update(passthrough_tags(self._source.metadata, self._target))
        own = main_picture(self._source)
        if own is not None:
            picture.metadata.update(passthrough_tags(own.metadata, self._target))
            picture.disposition = own.disposition
        chapters = self._source.chapters()
        for chapter in chapters:
            base = chapter["time_base"] or Fraction(1, av.time_base)
            chapter["start"], chapter["end"] = (int(chapter[end] - self.shift / base) for end in ("start", "end"))
        if chapters:
            container.set_chapters(chapters)

    def add_streams(self, container: OutputContainer) -> None:
        """Add to the result what it can hold, each found out by a trial; the rest goes to `left_out`.

        Args:
            container: before its header is written, with its video stream.
        """
        if self._source is None:
            return
        picture = main_picture(self._source)
        for stream in self._source.streams:
            if picture is not None and stream.index == picture.index:
                stream.discard = Discard.all  # so that its bytes are not even read
            elif _is_implied(stream) or not self._add(container, stream):
                stream.discard = Discard.all
        if self._outputs:
            self._packets = self._source.demux([self._source.streams[index] for index in self._outputs])

    def due(self, seconds: Fraction | None) -> Iterator[av.Packet]:
        """Packets for the result that come before a moment and were not given before.

        Args:
            seconds: on the result's clock; None for all that are left.

        Raises:
            OSError, av.error.FFmpegError: the source cannot be read.
        """
        for cover, output in self._covers:
            cover.stream = output
            yield cover
        self._covers.clear()
        while True:
            packet: av.Packet | None = self._waiting or next(self._packets, None)
            if packet is None:
                return
            self._waiting = None
            if not packet.size:  # marks the end of a stream
                continue
            index = packet.stream_index
            ticks = int(self.shift / packet.time_base)
            pts = packet.pts if packet.pts is not None else packet.dts
            pts = self._ends.get(index, 0) if pts is None else pts - ticks
            dts = pts if packet.dts is None else packet.dts - ticks
            if seconds is not None and dts * packet.time_base > seconds:
                self._waiting = packet
                return
            moved = self._moved(index, dts, packet.time_base)
            packet.pts, packet.dts = pts + moved, dts + moved
            self._last[index], self._ends[index] = dts + moved, pts + moved + (packet.duration or 0)
            packet.stream = self._outputs[index]
            self._note(packet, packet.pts * packet.time_base)
            yield packet

    def _moved(self, index: int, dts: int, base: Fraction) -> int:
        """How much later a packet must be for containers to take it: worn tapes and joined captures have clocks that jump back.

        A new recording goes on where the last one ended; a packet that is a little early comes right after the one before.
        """
        moved, last = self._jumps.get(index, 0), self._last.get(index)
        if last is None or dts + moved > last or (dts + moved == last and self._target == "matroska"):
            return moved
        warning = f"stream {index}: its clock runs backwards in places; there it follows what came before"
        if warning not in self.warnings:
            self.warnings.append(warning)
        if (last - dts - moved) * base > _NEW_RECORDING:
            self._jumps[index] = moved = self._ends[index] - dts
            return moved
        return last + max(math.ceil(_APART / base), 1) - dts

    def _note(self, packet: av.Packet, start: Fraction) -> None:
        index = packet.stream.index
        if index in self._sound:
            self._sound[index].update(payload(packet))
            self._starts.setdefault(index, start)

    def _add(self, container: OutputContainer, stream: Stream) -> bool:
        """Add a stream; whether it has packets that are to be carried."""
        if stream.type == "video" and not _is_cover(stream):
            self.left_out.append(f"{_named(stream)}: a second picture, which would stand unrestored beside the first")
            return False
        if not self._fits(stream, self._target):
            self.left_out.append(f"{_named(stream)}: {self._target} cannot hold it, {self._advice(stream)}")
            return False
        if _is_cover(stream) and self._target == "matroska":
            kind = stream.codec_context.name
            kind = {"mjpeg": "jpeg"}.get(kind, kind)
            title = stream.metadata.get("filename", f"cover.{kind}")
            container.add_attachment(
                title, stream.metadata.get("mimetype", f"image/{kind}"), bytes(self._first(stream))
            )
            return False
        output = _add_alike(container, stream)
        output.metadata.update(passthrough_tags(stream.metadata, self._target))
        output.disposition = stream.disposition
        if _is_cover(stream):
            self._covers.append((self._first(stream), output))
            return False
        if stream.type == "attachment":
            return False
        self._outputs[stream.index] = output
        if stream.type == "audio":
            self._sound[output.index] = hashlib.sha256()
        return True

    def _first(self, stream: Stream) -> av.Packet:
        """A stream's first packet; of a cover its only one; an empty one where there is none."""
        assert self._opener is not None
        with _open(self._opener) as again:
            return next(again.demux(again.streams[stream.index]), av.Packet())

    def _advice(self, stream: Stream) -> str:
        for target, choice in FILM_FORMATS.items():
            if target != self._target and self._fits(stream, target):
                return f"--film-format {choice} keeps it"
        return "nor can any --film-format"

    def _fits(self, stream: Stream, target: str) -> bool:
        """Whether a container takes a stream: it is asked to write it, alone, to memory."""
        if _is_cover(stream):
            return target != "mov"  # whose muxer takes it and drops it
        try:
            with av.open(io.BytesIO(), "w", format=target) as trial:
                output = _add_alike(trial, stream)
                trial.start_encoding()
                if stream.type == "audio":  # some are refused only when the first packet comes, or at the end
                    packet = self._first(stream)
                    packet.stream, packet.dts = output, packet.pts
                    if packet.size:  # it may have none
                        trial.mux(packet)
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, OSError):
                raise
            return False
        return True


def _add_alike(container: OutputContainer, stream: Stream) -> Stream:
    output = container.add_stream_from_template(stream, opaque=True)
    if isinstance(output, AudioStream) and output.layout.name.endswith("channels") and output.channels <= 2:
        # MP4 wants to know which channels these are; one or two can only be these.
        output.codec_context.layout = "mono" if output.channels == 1 else "stereo"
    return output


def main_picture(container: InputContainer) -> Stream | None:
    """The video stream that is the film: the first that is no cover."""
    return next((stream for stream in container.streams.video if not _is_cover(stream)), None)


def payload(packet: av.Packet) -> memoryview:
    """What a packet of sound holds, without the header that AAC has in each packet of a broadcast and nowhere else."""
    data = memoryview(packet)
    if packet.stream.codec_context.name == "aac" and len(data) > 9 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0:
        return data[7 if data[1] & 1 else 9 :]
    return data


@contextmanager
def _open(opener: Opener) -> Iterator[InputContainer]:
    opened = opener()
    with ExitStack() as stack:
        if isinstance(opened, str):
            # No name is to be taken for another protocol, nor may a file that lists others make them be opened.
            url: BinaryIO | str = f"file:{opened}"
            protocols = "file"
        else:
            url, protocols = stack.enter_context(opened), "none"
        options = {"protocol_whitelist": protocols}
        yield stack.enter_context(av.open(url, "r", container_options=options, metadata_errors="replace"))


def _is_cover(stream: Stream) -> bool:
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _is_implied(stream: Stream) -> bool:
    """Timecode and chapter tracks of MOV: they are written anew from what they say. FFmpeg itself discards chapter tracks."""
    return stream.type == "data" and ("timecode" in stream.metadata or stream.discard == Discard.all)


def _named(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context is not None else stream.name or "unknown codec"
    kind = "cover" if _is_cover(stream) else stream.type
    language = f", {stream.language}" if stream.language else ""
    return f"{kind} stream {stream.index} ({codec}{language})"

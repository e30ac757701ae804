"""Open a film's container: what it is by content, which stream holds the pictures, and what it announces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from pipelines.errors import ItemError
from pipelines.media.film.clock import parse_clock
from pipelines.media.film.container.watched_file import WatchedFile
from pipelines.media.film.facts import FilmOptions
from pipelines.media.film.picture.colour_tags import UNKNOWN, Tags
from pipelines.media.guard import label

__all__ = [
    "ENCRYPTED",
    "NOT_A_FILM",
    "RECOPY",
    "Input",
    "chroma_site",
    "open_input",
    "other_streams",
    "timecode",
    "too_many_frames",
]

_INDEX = 1 << 20  # bytes at either end that are looked through
_BUFFER = 1 << 18  # bytes a read; each is a call into Python
# Demuxers of single pictures, of text shown as pictures, and of lists that name other files.
_NO_FILM = re.compile(
    r"(.*_pipe|image2.*|ico|tty|ansi|xbin|adf|bin|idf|svg.*|avif|webp|jpegxl.*|fits|concat.*|hls.*|dash|sdp|rtsp|imf)$"
)
_PICTURE_BRANDS = ("avif", "heic", "heix", "heim", "heis", "mif1", "jxl ")
# Formats whose header says how long the film is, in time; elsewhere libavformat estimates from what it finds.
_TIMED_HEADERS = ("matroska", "mxf")
# Streams of bare pictures: no times, no index.
_UNTIMED = frozenset(
    (
        "h264", "hevc", "vvc", "mpegvideo", "m4v", "vc1", "obu", "h261", "h263", "mjpeg", "dnxhd", "dirac", "cavsvideo",
        "avs2", "avs3", "rawvideo", "v210", "bitpacked",
    )
)  # fmt: skip
# First bytes of films; what begins so and cannot be opened is damaged, not something else.
_MAGIC = (
    (0, b"\x1aE\xdf\xa3"), (4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"wide"), (4, b"free"), (0, b"RIFF"),
    (0, b"\x06\x0e\x2b\x34"), (0, b"\0\0\x01\xba"), (0, b"\0\0\x01\xb3"), (0, b"0&\xb2u\x8ef\xcf\x11"), (0, b"FLV\x01"),
)  # fmt: skip
RECOPY = "copy it again from its origin"
NOT_A_FILM = "is no film that can be read; leave it out, or convert it to Matroska with FFV1 if it is one"
ENCRYPTED = "it is encrypted; get it without copy protection"
# Sample entries of protected streams (ISO/IEC 14496-12, 8.12; and Apple's FairPlay).
_PROTECTED = ("encv", "drmi")


@dataclass(frozen=True)
class Input:
    """An open container, its picture stream, and what it says of colours. Closed by `open_input`."""

    container: InputContainer
    stream: VideoStream
    file: WatchedFile
    name: str
    tags: Tags

    @property
    def format(self) -> str:
        """FFmpeg's short name of the format: "matroska", "mov", "mpegts"."""
        return str(self.container.format.name).split(",", 1)[0]

    @property
    def untimed(self) -> bool:
        """Whether frames have no times that can be trusted: they are counted. AVI has times of packets alone, which are no
        times of frames where the codec reorders these."""
        return self.format in _UNTIMED or (self.format == "avi" and self.stream.codec_context.reorder_depth > 0)

    @property
    def needs_rising_times(self) -> bool:
        """Whether few frames have a time of their own, and FFmpeg's guesses for the others have to be mended, which begins at
        the start: MPEG programme streams."""
        return self.format == "mpeg" and self.stream.codec_context.name in {"mpeg1video", "mpeg2video"}

    @property
    def time_base(self) -> Fraction:
        return self.stream.time_base or Fraction(1, 90000)

    @property
    def rates(self) -> list[Fraction]:
        """What is said of the frames a second, likeliest first; not all of it is true."""
        stream = self.stream
        rates = [stream.guessed_rate, stream.base_rate, stream.codec_context.framerate, stream.average_rate]
        return [Fraction(rate) for rate in dict.fromkeys(rates) if rate]

    @property
    def field_order(self) -> int:
        """FFmpeg's number of what the container or the stream's header says: 0 unknown, 1 progressive, above interlaced."""
        return int(self.stream.codec_context.field_order)

    def announced(self) -> tuple[int, Fraction | None, Fraction | None]:
        """What the header announces: packets of pictures (0: nothing), seconds at which the last picture ends, and seconds at
        which the last of any stream ends (None: nothing)."""
        if self.format in {"mov", "avi"}:
            # An edit list leaves samples out; the index has those that are left.
            return (len(self.stream.index_entries) if self.format == "mov" else self.stream.frames), None, None
        if self.format not in _TIMED_HEADERS:
            return 0, None, None
        duration = self.container.duration
        every = Fraction(duration, av.time_base) if duration and duration > 0 else None
        return 0, parse_clock(str(self.stream.metadata.get("DURATION", ""))), every


@contextmanager
def open_input(source: BinaryIO | str, name: str, options: FilmOptions, threads: int = 1) -> Iterator[Input]:
    """Open a film and find its pictures; nothing is decoded but what FFmpeg needs to know the streams.

    Args:
        source: a path, or a binary file that seeks; it is closed at the end.
        name: of the film, for reasons.
        options: limits.
        threads: of the decoder.

    Raises:
        ItemError: "empty", "not_a_film", "no_frames", "truncated", "corrupt", "unsupported", "too_many_pixels", "zero_size",
            "too_many_frames".
        OSError: it cannot be read.
    """
    # Also a local path is opened here: FFmpeg would take some names for addresses or patterns.
    file = WatchedFile(Path(source).open("rb") if isinstance(source, str) else source)  # noqa: SIM115
    try:
        container = _open(file, name, options)
        try:
            stream = _picture_stream(container, name)
            context = stream.codec_context
            tags = Tags.of(context) if context else Tags(UNKNOWN, 0, UNKNOWN, UNKNOWN)
            film = Input(container, stream, file, name, tags)
            _check(film, options)
            context.thread_count, context.thread_type = threads, "AUTO"
            context.options = {"max_pixels": _allowance(options), "err_detect": "crccheck"}
            yield film
        finally:
            container.close()
    finally:
        with suppress(OSError):
            file.file.close()


def _open(file: WatchedFile, name: str, options: FilmOptions) -> InputContainer:
    head = file.read(4096)
    if not head:
        raise ItemError("empty", f"{label(name)}: the file has no bytes; {RECOPY}")
    file.seek(0)
    # A film may name other files; none of them is opened. A frame too large must not be decoded while probing either.
    guards = {"protocol_whitelist": "none", "max_pixels": _allowance(options)}
    try:
        return av.open(file, "r", options=guards, metadata_errors="replace", buffer_size=_BUFFER)
    except Exception as error:
        if file.error is not None:
            raise file.error from None
        raise _cannot_open(error, head, name) from error


def _allowance(options: FilmOptions) -> str:
    """Pixels for the decoder's own guard against bombs, which counts edges and padding, too."""
    return str(2 * options.max_pixels + (1 << 20))


def _cannot_open(error: Exception, head: bytes, name: str) -> ItemError:
    if b"sinf" in head and any(entry.encode() in head for entry in _PROTECTED):
        return ItemError("unsupported", f"{label(name)}: {ENCRYPTED}")
    film = any(head[place:].startswith(magic) for place, magic in _MAGIC)
    if not film:
        return ItemError("not_a_film", f"{label(name)}: {NOT_A_FILM}")
    if isinstance(error, EOFError):
        return ItemError("no_frames", f"{label(name)}: it ends before its first frame; {RECOPY}")
    if isinstance(error, av.error.InvalidDataError) and head[4:8] in {b"ftyp", b"mdat", b"wide", b"free"}:
        reason = "its index (moov) is missing: the file was cut off or never finished"
        return ItemError("truncated", f"{label(name)}: {reason}; {RECOPY}")
    return ItemError("corrupt", f"{label(name)}: its header cannot be read ({_words(error)}); {RECOPY}")


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or type(error).__name__)


def _picture_stream(container: InputContainer, name: str) -> VideoStream:
    brand = str(container.metadata.get("major_brand", ""))
    if _NO_FILM.match(container.format.name) or brand in _PICTURE_BRANDS:
        raise ItemError("not_a_film", f"{label(name)}: {NOT_A_FILM} ({container.format.name.split(',')[0]})")
    # Cover art and thumbnails are pictures that lie beside a film or a sound file.
    beside = Disposition.attached_pic | Disposition.timed_thumbnails
    films = [cast(VideoStream, s) for s in container.streams if s.type == "video" and not s.disposition & beside]
    if not films:
        sound = any(s.type == "audio" for s in container.streams)
        what = "it holds sound alone, which is not restored" if sound else "it holds no pictures"
        raise ItemError("not_a_film", f"{label(name)}: {what}; it may stay where it is: --only leaves it out")
    default = [s for s in films if s.disposition & Disposition.default]
    return (default or films)[0]


def _check(film: Input, options: FilmOptions) -> None:
    context, name = film.stream.codec_context, label(film.name)
    unknown = context is None or not context.width or not context.height
    if _tag(film.stream) in _PROTECTED or (unknown and _names_protection(film.file)):
        raise ItemError("unsupported", f"{name}: {ENCRYPTED}")
    if context is None:
        reason = f"its codec ({_tag(film.stream)}) is not known; convert it to Matroska with FFV1"
        raise ItemError("unsupported", f"{name}: {reason}")
    if not context.width or not context.height:
        raise ItemError("corrupt", f"{name}: the size of its frames cannot be found; {RECOPY}")
    if context.width * context.height > options.max_pixels:
        reason = f"{context.width} x {context.height} pixels are more than the limit of {options.max_pixels}"
        raise ItemError("too_many_pixels", f"{name}: {reason}; raise --max-pixels if it is genuine")
    packets, pictures, every = film.announced()
    seconds = pictures or every
    # A hundredth more, as the rate is not known exactly yet.
    frames = packets or (int(seconds * min(film.rates) / Fraction("1.01")) if seconds and film.rates else 0)
    if frames > options.max_frames:
        raise too_many_frames(frames, film.name, options)


def _names_protection(file: WatchedFile) -> bool:
    """Whether a file's beginning or end, where an index lies, describes a protected stream."""
    place, found = file.tell(), False
    for offset, whence in ((0, 0), (-_INDEX, 2)):
        with suppress(OSError, ValueError):
            if file.seek(offset, whence) >= 0:
                data = file.read(_INDEX)
                found |= b"sinf" in data and any(entry.encode() in data for entry in _PROTECTED)
    file.seek(place)
    return found


def too_many_frames(count: int, name: str, options: FilmOptions) -> ItemError:
    """The error of a film longer than the limit."""
    reason = f"{count} frames are more than the limit of {options.max_frames}"
    return ItemError("too_many_frames", f"{label(name)}: {reason}; raise --max-film-frames if it is genuine")


def _tag(stream: Stream) -> str:
    with suppress(Exception):
        return "".join(c if c.isprintable() else "?" for c in str(stream.codec_tag)) or "no name"
    return "no name"


def other_streams(film: Input) -> tuple[str, ...]:
    """A line on each stream beside the pictures: kind, codec, language."""
    lines = []
    for stream in film.container.streams:
        if stream.index == film.stream.index:
            continue
        context = stream.codec_context
        parts = [str(context.name) if context else _tag(stream)]
        if isinstance(context, AudioCodecContext):
            parts.append(f"{context.sample_rate} Hz {context.layout.name}")
        if stream.language and stream.language != "und":
            parts.append(str(stream.language))
        if stream.disposition & Disposition.attached_pic:
            parts.append("cover art")
        lines.append(f"{stream.type}: {', '.join(parts)}")
    return tuple(lines)


def timecode(film: Input) -> str:
    """Of the first frame as the container's metadata have it, else empty."""
    streams = [film.stream, *film.container.streams]
    for tags in [*(stream.metadata for stream in streams), film.container.metadata]:
        for key, value in tags.items():
            if key.lower() == "timecode" and value:
                return str(value)
    return ""


def chroma_site(film: Input) -> str:
    """Where chroma samples lie, as container or decoder say ("left", "center", "topleft" ...), or empty. PyAV has no other
    way to ask than FFmpeg's own listing."""
    av.logging.set_level(av.logging.VERBOSE)
    av.logging.set_libav_level(av.logging.VERBOSE)
    try:
        listing = film.container.dumps_format()  # type: ignore[attr-defined]  # PyAV's stubs leave it out
    finally:
        av.logging.set_level(None)
    line = re.search(rf"Stream #0:{film.stream.index}\b.*?: Video: (.*)", listing)
    site = re.search(r"[(, ](left|center|topleft|top|bottomleft|bottom)[,)]", line[1]) if line else None
    return site[1] if site else ""

"""What a film is to the rest of the pipeline: its facts, its timeline, and its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np

__all__ = [
    "SLATE",
    "Deinterlace",
    "FilmFacts",
    "FilmOptions",
    "FilmReader",
    "Frame",
    "JsonObject",
    "Opener",
    "Timeline",
]

# Opens a film's file for reading, anew each time; a path where the file lies on a local disk.
Opener = Callable[[], "BinaryIO | str"]
JsonObject = dict[str, Any]  # plain values, as the standard library writes and reads them

Deinterlace = Literal["refuse", "frames", "keep"]
GapFill = Literal["repeat", "slate"]
SLATE = -1  # origin of a frame that stands for a missing one


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """How a film is read.

    Attributes:
        deinterlace: what becomes of interlaced film: `refuse` makes it an error that names the choices, `frames` makes one
            progressive frame of each interlaced one, `keep` takes frames as they are.
        tolerate_gaps: how many missing frames are filled; with more the film fails.
        gap_fill: `repeat` shows the frame before a gap again, `slate` a marked slate.
        rate: frames a second of sequences that do not say it themselves, such as "24" or "24000/1001".
        max_pixels: of a frame.
        max_frames: of the film.
    """

    deinterlace: Deinterlace = "refuse"
    tolerate_gaps: int = 0
    gap_fill: GapFill = "repeat"
    rate: str = "24"
    max_pixels: int = 400_000_000
    max_frames: int = 1_000_000


@dataclass(frozen=True, kw_only=True)
class FilmFacts:
    """What was found in the source; recorded in the manifest as JSON.

    Attributes:
        format: container or kind of sequence: "matroska", "mov", "dpx sequence".
        codec: of the pictures: "ffv1", "prores", "h264", "dpx".
        width, height: of a frame as it is handed on: upright.
        channels: 1 for grey sources, else 3.
        bit_depth: bits a component, 8 to 16 (32 for float EXR).
        pixel_format: the source's own, such as "yuv422p10le".
        rate: frames a second, as a fraction; the average where they vary.
        variable_rate: frames last unequally long.
        time_base: seconds that a unit of `Timeline.pts` is worth, as a fraction.
        pixel_aspect: width to height of a pixel, upright, as a fraction.
        rotation: degrees clockwise that frames were turned by to stand upright: 0, 90, 180 or 270.
        field_order: progressive, tff, bff, or mixed, as detected.
        deinterlaced: whether frames were made progressive.
        colour_range: limited or full, as decoded by.
        matrix, primaries, transfer: names as FFmpeg has them ("bt709"); decoded by. `assumed` names those that the source
            leaves open.
        assumed: of the colour facts above, those that are our assumption.
        timecode: of the first frame, or empty.
        streams: one line each on the other streams: kind, codec, language.
        warnings: what a reader of the manifest should know.
    """

    format: str
    codec: str
    width: int
    height: int
    channels: int = 3
    bit_depth: int = 8
    pixel_format: str = ""
    rate: str = "24/1"
    variable_rate: bool = False
    time_base: str = "1/24"
    pixel_aspect: str = "1/1"
    rotation: int = 0
    field_order: str = "progressive"
    deinterlaced: bool = False
    colour_range: str = "full"
    matrix: str = "rgb"
    primaries: str = "bt709"
    transfer: str = "bt709"
    assumed: tuple[str, ...] = ()
    timecode: str = ""
    streams: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> JsonObject:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: JsonObject) -> FilmFacts:
        """From what `to_dict` gave, also after JSON."""
        tuples = {field.name for field in fields(cls) if "tuple" in str(field.type)}
        known: JsonObject = {name: tuple(v) if name in tuples else v for name, v in values.items()}
        return cls(**known)


@dataclass(frozen=True)
class Timeline:
    """Every frame of the result in order: when it is shown and which decoded frame it is made of.

    Attributes:
        pts: int64 [n], strictly increasing, in the facts' time base.
        durations: int64 [n], 1 or more, likewise.
        origins: int64 [n]: number of the decodable frame of the source, counted from 0; that of the frame before it where it
            fills a gap by repeating, `SLATE` where it is a slate.
        repeats: bool [n]: fills a gap by repeating.
    """

    pts: np.ndarray
    durations: np.ndarray
    origins: np.ndarray
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def filled(self) -> list[int]:
        """Numbers of frames that fill gaps."""
        return [int(n) for n in np.flatnonzero(self.repeats | (self.origins == SLATE))]

    def to_dict(self) -> dict[str, list[int]]:
        """Plain values, for JSON."""
        return {name: getattr(self, name).tolist() for name in ("pts", "durations", "origins", "repeats")}

    @classmethod
    def from_dict(cls, values: dict[str, list[int]]) -> Timeline:
        """From what `to_dict` gave."""
        pts, durations, origins = (np.array(values[name], np.int64) for name in ("pts", "durations", "origins"))
        return cls(pts, durations, origins, np.array(values["repeats"], bool))

    def seconds(self, time_base: str) -> float:
        """From the first frame's start to the last one's end."""
        if not len(self):
            return 0.0
        return float(Fraction(int(self.pts[-1] + self.durations[-1] - self.pts[0])) * Fraction(time_base))


@dataclass(frozen=True)
class Frame:
    """A frame as it is restored.

    Attributes:
        number: in the timeline (in a scan: of the decodable frame).
        pixels: [height, width, 3], RGB in the source's primaries and transfer, full range, upright: uint8 for sources of 8
            bits, else uint16 over its whole range. A slate has the film's own size and type.
    """

    number: int
    pixels: np.ndarray


class FilmReader(Protocol):
    """A film that was opened: a container file or a sequence of frames. Holds no frames."""

    @property
    def facts(self) -> FilmFacts:
        """What was found. Whole only after `scan` has ended: field order and rate are judged over all frames."""
        ...

    def scan(self) -> Iterator[Frame]:
        """Every decodable frame from first to last, one at a time.

        Raises:
            ItemError: not a film, no frames, over a limit, interlaced but not to be, or not readable.
        """
        ...

    def timeline(self) -> Timeline:
        """After a whole `scan`: the frames of the result.

        Raises:
            ItemError: more frames are missing than are tolerated; says how many and where.
        """
        ...

    def frames(self, timeline: Timeline, first: int, count: int) -> Iterator[Frame]:
        """Frames `first` to `first + count - 1` of a timeline that an earlier scan gave, also in another process: equal to
        those of the scan, bit for bit, without decoding the film from its start where it can be helped.

        Raises:
            ItemError: the source is no longer what was scanned, or cannot be read.
        """
        ...

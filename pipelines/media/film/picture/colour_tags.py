"""Colour tags of containers and frames: FFmpeg's numbers for matrix, range, primaries and transfer, and their names."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.video.codeccontext import VideoCodecContext

__all__ = [
    "FULL_RANGE",
    "LIMITED",
    "MATRICES",
    "MATRIX_NUMBERS",
    "PRIMARIES",
    "PRIMARIES_NUMBERS",
    "TRANSFERS",
    "TRANSFER_NUMBERS",
    "UNKNOWN",
    "Tags",
]

# FFmpeg's numbers (AVColorSpace, AVColorPrimaries, AVColorTransferCharacteristic) and names.
MATRICES = {
    0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFERS = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
# The same the other way round, with the names that FFmpeg's options take besides. Of matrices, those that are computed here.
PRIMARIES_NUMBERS = {name: number for number, name in PRIMARIES.items()} | {"jedec-p22": 22}
TRANSFER_NUMBERS = {name: number for number, name in TRANSFERS.items()} | {
    "gamma22": 4, "gamma28": 5, "log": 9, "log_sqrt": 10,
}  # fmt: skip
MATRIX_NUMBERS = {
    "rgb": 0, "gbr": 0, "bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "bt2020nc": 9,
}  # fmt: skip
UNKNOWN = 2  # of each of the three
LIMITED, FULL_RANGE = 1, 2  # FFmpeg's numbers of ranges
# FFmpeg's numbers for "not said": 0 is a matrix (RGB) and a reserved value of the others.
_OPEN = {"matrix": (2, 3), "colour_range": (0,), "primaries": (0, 2), "transfer": (0, 2)}


@dataclass(frozen=True)
class Tags:
    """What is said of colours, as FFmpeg's numbers: by a container, or by a frame."""

    matrix: int
    colour_range: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, tagged: av.VideoFrame | VideoCodecContext) -> Tags:
        """By a frame or a codec's context."""
        return cls(int(tagged.colorspace), int(tagged.color_range), int(tagged.color_primaries), int(tagged.color_trc))

    def filled(self, other: Tags) -> Tags:
        """These, and what is left open as another has it."""
        return Tags(*(mine if mine not in _OPEN[name] else getattr(other, name) for name, mine in vars(self).items()))

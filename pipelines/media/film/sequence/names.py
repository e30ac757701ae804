"""Which files form a frame sequence: numbered names, grouped by their pattern."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pipelines.media.kinds import suffix

__all__ = ["FrameSequence", "SequenceGrouper", "frame_path"]

# The last run of digits of a stem. ASCII alone: printf writes no others.
_DIGITS = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)
_PLACE = re.compile(r"(?<!%)((?:%%)*)%(0[0-9]+)?d")
_MOST_DIGITS = 18  # of a number that 64 bits hold
_MODULUS = 1 << 256


@dataclass(frozen=True)
class FrameSequence:
    """Numbered files that belong together.

    Attributes:
        pattern: path with the number's place as printf has it, `reel/shot.%06d.dpx`, and any other `%` of the last
            component doubled; folders are as they are. Without a place where the name has no number.
        count: files.
        first, last: smallest and largest number; 0 where the name has none.
        size: bytes of all files.
        version: hex; changes when any file is added, removed, or changes its size or version.
        numbers: int64 [count], rising; None unless the grouper keeps them.
    """

    pattern: str
    count: int
    first: int
    last: int
    size: int
    version: str
    numbers: np.ndarray | None = None


def frame_path(pattern: str, number: int) -> str:
    """The path of a sequence's frame.

    Args:
        pattern: as of `FrameSequence`.
        number: 0 or more; without meaning where the pattern has no place for it.
    """
    folder, slash, name = pattern.rpartition("/")
    place = _PLACE.search(name)
    if place is not None:
        digits = f"{number:0{int(place[2] or 0)}d}"
        before, after = name[: place.start()] + place[1], name[place.end() :]
    else:
        before, digits, after = name, "", ""
    return folder + slash + before.replace("%%", "%") + digits + after.replace("%%", "%")


@dataclass
class _Files:
    """What is remembered of the files of one width. Sums do not depend on the order in which files come."""

    count: int = 0
    first: int = 0
    last: int = 0
    size: int = 0
    version: int = 0
    numbers: array[int] = field(default_factory=lambda: array("q"))

    def join(self, other: _Files) -> None:
        self.first = min(self.first, other.first) if self.count else other.first
        self.last = max(self.last, other.last) if self.count else other.last
        self.count += other.count
        self.size += other.size
        self.version = (self.version + other.version) % _MODULUS
        self.numbers.extend(other.numbers)


class SequenceGrouper:
    """Puts files together into sequences, in whatever order they come.

    Names that differ in their number alone belong together, in one sequence for each width of zero padding: `a_9`, `a_10` are
    of `a_%d`; `a_09`, `a_10` are of `a_%02d`; `a_1`, `a_01` are of two. A number without a leading zero that could be of
    several is of the widest padding that it fills.

    A sequence takes a few hundred bytes of memory, however long it is: its version is SHA-256 over the number of files and
    the sum, modulo 2^256, of SHA-256 over "number size version" of each file.

    Args:
        keep_numbers: remember every number, too, in 8 bytes.
    """

    def __init__(self, *, keep_numbers: bool = False) -> None:
        self._keep_numbers = keep_numbers
        # By what stands before and after the number: files by width, padded ones under it, others under minus their length.
        self._groups: dict[tuple[str, str], dict[int | None, _Files]] = {}

    def add(self, path: str, size: int, version: str) -> None:
        """One more file. A path is to be added once.

        Args:
            path: in its store.
            size: in bytes.
            version: changes with the file's content.

        Raises:
            ValueError: the path ends in no name.
        """
        parts = _split(path)
        if parts is None:
            raise ValueError(f"{path!r} ends in no file name")
        before, digits, after = parts
        width = None
        if digits:
            width = len(digits) if len(digits) > 1 and digits[0] == "0" else -len(digits)
        number = int(digits or 0)
        line = f"{number} {size} {version}".encode("utf-8", "surrogateescape")
        version_sum = int.from_bytes(hashlib.sha256(line).digest(), "big")
        numbers = array("q", [number] if self._keep_numbers else [])
        files = self._groups.setdefault((before, after), {}).setdefault(width, _Files())
        files.join(_Files(1, number, number, size, version_sum, numbers))

    def sequences(self) -> Iterator[FrameSequence]:
        """What was found, in the order of the patterns."""
        found: dict[str, _Files] = {}
        for (before, after), by_width in self._groups.items():
            padded = sorted(width for width in by_width if width is not None and width > 0)
            for width, files in by_width.items():
                unpadded = width is not None and width < 0
                filled = max((wide for wide in padded if wide <= -(width or 0)), default=0) if unpadded else width
                found.setdefault(_pattern(before, after, filled), _Files()).join(files)
        for pattern in sorted(found):
            files = found[pattern]
            digest = hashlib.sha256(f"{files.count} {files.version:064x}".encode()).hexdigest()
            numbers = np.sort(np.array(files.numbers, np.int64)) if self._keep_numbers else None
            yield FrameSequence(pattern, files.count, files.first, files.last, files.size, digest, numbers)


def _split(path: str) -> tuple[str, str, str] | None:
    """Folder and what stands before the number, its digits or nothing, what stands after it."""
    folder, slash, name = path.rpartition("/")
    if not name:
        return None
    ending = len(name) - len(suffix(name))
    match = _DIGITS.fullmatch(name[:ending])
    if match is None or len(match[2]) > _MOST_DIGITS:
        return folder + slash + name, "", ""
    return folder + slash + match[1], match[2], match[3] + name[ending:]


def _pattern(before: str, after: str, width: int | None) -> str:
    """The parts of a path as a pattern; a width of None has no number, one of 0 no padding."""
    folder, slash, name = before.rpartition("/")
    place = "" if width is None else f"%0{width}d" if width else "%d"
    return folder + slash + name.replace("%", "%%") + place + after.replace("%", "%%")

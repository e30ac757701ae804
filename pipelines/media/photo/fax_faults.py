"""Faults in the code words of fax pages in TIFF, which libtiff at best prints: every line is read again, to its width.

Nothing is drawn: of each line only the places where its colour changes are kept, which the next line is coded by.
"""

from __future__ import annotations

from array import array

import imagecodecs

from pipelines.media.photo.fault import Fault
from pipelines.media.photo.fax_codes import BLACK, HORIZONTAL, MODES, PASS, WHITE, WINDOW, code_windows
from pipelines.media.photo.tiff_pages import TiffHeader

__all__ = ["FAX", "fax_fault"]

RLE, GROUP3, GROUP4, RLE_WORDS = 2, 3, 4, 32771
FAX = frozenset({RLE, GROUP3, GROUP4, RLE_WORDS})
_UNCOMPRESSED = 2  # bit of T4Options and T6Options: lines may hold plain bits, which no decoder here reads
_TWO_DIMENSIONAL = 1  # bit of T4Options
_END_OF_LINE, _END_BITS = 1, 12  # eleven zeros or more and a one

_ENDS = "the data ends"
_SLIGHT = (
    0.01  # share of lines that a telephone line may spoil, where each is coded by itself; libtiff leaves them short
)


class _BadCodeError(Exception):
    """A line cannot be read on."""


def fax_fault(data: bytes, header: TiffHeader) -> Fault | None:
    """The fault of a fax page; None where each line ends at its width and no line is missing.

    Args:
        data: the file that `header` was read from.
        header: of a page whose compression is one of `FAX`.
    """
    if header.fax_options & _UNCOMPRESSED:
        return None
    wide, high = header.chunk
    down = -(-header.height // high)
    lost, first, ends = 0, "", False
    for index, (offset, size) in enumerate(zip(header.offsets.tolist(), header.sizes.tolist(), strict=True)):
        top = index // (len(header.offsets) // down) * high
        rows = high if header.tiled else min(high, header.height - top)
        packed = data[offset : offset + size]
        strip = _Strip(bytes(imagecodecs.bitorder_decode(packed)) if header.bits_reversed else packed, wide, header)
        bad = strip.count_bad_lines(rows)
        if bad and not first:
            ends, first = strip.ended, f"{strip.what} in line {top + strip.first_bad + 1}"
        lost += bad
    if not first:
        return None
    share = min(lost / (len(header.offsets) // down * header.height), 1.0)
    slight = header.compression == GROUP3 and share <= _SLIGHT
    return Fault(code="truncated" if ends else "corrupt", what=first, lost=share, slight=slight)


class _Strip:
    """The lines of one strip or tile.

    Attributes:
        first_bad: number of the first line that is not whole, from 0.
        what: why it is not.
        ended: whether the strip's lines ended with it.
    """

    def __init__(self, packed: bytes, width: int, header: TiffHeader) -> None:
        self._width, self._kind, self._options = width, header.compression, header.fax_options
        self._windows: array[int] = code_windows(packed)
        self._end, self._at = len(self._windows), 0
        self.first_bad, self.what, self.ended = -1, "", False

    def count_bad_lines(self, rows: int) -> int:
        """Lines that are not whole: those that cannot be read, and those behind them that depend on them."""
        above: list[int] = []
        bad = 0
        for row in range(rows):
            try:
                above = self._line(above)
            except _BadCodeError as error:
                if self.first_bad < 0:
                    self.first_bad, self.what, self.ended = row, str(error), str(error) == _ENDS
                bad += 1
                if self._kind != GROUP3 or not self._find_end_of_line():
                    return bad + rows - row - 1
                above = []
        return bad

    def _line(self, above: list[int]) -> list[int]:
        """Places where the colour of the next line changes, white first."""
        if self._kind == GROUP4:
            return self._two_dimensional(above)
        if self._kind in (RLE, RLE_WORDS):
            changes = self._one_dimensional()
            step = 16 if self._kind == RLE_WORDS else 8
            self._at = -(-self._at // step) * step
            return changes
        found = self._pass_end_of_line()
        if not self._options & _TWO_DIMENSIONAL:
            return self._one_dimensional()
        if not found:
            raise _BadCodeError("no start of a line" if self._at + WINDOW <= self._end else _ENDS)
        one_dimensional = self._peek() >> (WINDOW - 1)
        self._at += 1
        return self._one_dimensional() if one_dimensional else self._two_dimensional(above)

    def _peek(self) -> int:
        return self._windows[self._at] if self._at < self._end else 0

    def _pass_end_of_line(self) -> bool:
        """Step behind the mark of a line, with the zeros that fill up before it; False where there is none."""
        at = self._at
        while at < self._end and self._windows[at] >> 1 == 0:
            at += 1
        if at < self._end and self._windows[at] >> (WINDOW - _END_BITS) == _END_OF_LINE:
            self._at = at + _END_BITS
            return True
        return False

    def _find_end_of_line(self) -> bool:
        """Go on to the mark of the next line."""
        while self._at < self._end and self._windows[self._at] >> (WINDOW - _END_BITS) != _END_OF_LINE:
            self._at += 1
        return self._at < self._end

    def _fault(self) -> _BadCodeError:
        """What stands where a code word belongs: a mark that ends pages, or nothing that is one."""
        over = self._at + WINDOW > self._end or self._peek() >> (WINDOW - _END_BITS) == _END_OF_LINE
        return _BadCodeError(_ENDS if over else "a bad code word")

    def _run(self, black: bool) -> int:
        table, length = (BLACK if black else WHITE), 0
        while True:
            entry = table[self._peek()]
            if entry is None:
                raise self._fault()
            self._at += entry[0]
            length += entry[1]
            if entry[1] < 64:
                return length

    def _one_dimensional(self) -> list[int]:
        changes, place, black = [], 0, False
        while place < self._width:
            place += self._run(black)
            changes.append(place)
            black = not black
        if place > self._width:
            raise _BadCodeError("pixels beyond the end of a line")
        return changes

    def _two_dimensional(self, above: list[int]) -> list[int]:
        width = self._width
        changes: list[int] = []
        place, black, index = -1, False, 0
        over = [*above, width, width, width, width]
        while place < width:
            entry = MODES[self._peek()]
            if entry is None:
                raise self._fault()
            self._at += entry[0]
            if entry[1] == HORIZONTAL:
                start = max(place, 0)
                middle = start + self._run(black)
                place = middle + self._run(not black)
                changes += [middle, place]
            else:
                # The first change above that lies right of here and is of the other colour.
                index = max(index - 2, 0) & ~1 | black
                while over[index] <= place and over[index] < width:
                    index += 2
                if entry[1] == PASS:
                    place = over[index + 1]
                    continue
                start, place = max(place, 0), over[index] + entry[1]
                if place < start:
                    raise _BadCodeError("pixels before the start of a run")
                changes.append(place)
                black = not black
            if place > width:
                raise _BadCodeError("pixels beyond the end of a line")
        return changes

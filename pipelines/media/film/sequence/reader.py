"""A frame sequence as a film: numbered files read in order, gaps found and filled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.facts import SLATE, FilmFacts, FilmOptions, Frame, Timeline
from pipelines.media.film.sequence.formats import read_frame
from pipelines.media.film.sequence.frame import FrameFile, FrameKind
from pipelines.media.film.sequence.listing import Listing
from pipelines.media.film.sequence.names import frame_path
from pipelines.media.film.sequence.notes import SequenceNotes
from pipelines.media.film.slate import slate
from pipelines.media.guard import label
from pipelines.media.limits import DecodeLimits

__all__ = ["SequenceReader", "open_sequence", "ranges"]

# What is wrong with a frame's file when it counts as missing; all else is wrong with the film.
_DAMAGE = frozenset({"empty", "truncated", "corrupt", "unreadable", "not_an_image", "zero_size"})

Read = Callable[[str], bytes]


def open_sequence(
    pattern: str, numbers: Sequence[int], read: Read, options: FilmOptions, limits: DecodeLimits
) -> SequenceReader:
    """Open a frame sequence; no frame is read yet.

    Args:
        pattern: of its files (`names.FrameSequence`).
        numbers: of the files that are there, in any order.
        read: gives a file's bytes by its path; OSError where it cannot be read.
        options: how films are read.
        limits: of one frame's file.

    Raises:
        ItemError: "no_frames", "too_many_frames", or "missing_frames" where numbers lie further apart than films are long.
    """
    return SequenceReader(pattern, numbers, read, options, limits)


class SequenceReader:
    """A film of numbered files: DPX, OpenEXR, TIFF or PNG (a `FilmReader`). Use `open_sequence`.

    Frames of 8-bit TIFF and PNG are uint8, all others uint16.

    Attributes:
        digest: after a whole `scan`: SHA-256, hex, of the `sha256sum` listing of the files that could be read
            (`listing.sequence_digest`); empty before.
    """

    def __init__(
        self, pattern: str, numbers: Sequence[int], read: Read, options: FilmOptions, limits: DecodeLimits
    ) -> None:
        self.digest = ""
        self._pattern, self._read, self._options = pattern, read, options
        self._limits = replace(limits, max_pixels=min(limits.max_pixels, options.max_pixels))
        self._there = np.unique(np.array(numbers, np.int64))
        self._scanned: tuple[FilmFacts, np.ndarray] | None = None
        self._last_timeline: tuple[Timeline, np.ndarray] | None = None  # it is asked about frame by frame
        if not len(self._there):
            raise ItemError("no_frames", f"{label(pattern)}: no files of this sequence; check the source")
        span = int(self._there[-1] - self._there[0]) + 1
        absent = span - len(self._there)
        if len(self._there) > options.max_frames or (span > options.max_frames and absent <= options.tolerate_gaps):
            reason = f"{span} frames are more than the limit of {options.max_frames}"
            raise ItemError("too_many_frames", f"{label(pattern)}: {reason}; raise --max-film-frames if it is genuine")
        if span > options.max_frames:
            gaps = np.flatnonzero(np.diff(self._there) > 1)
            missing = [(int(self._there[gap]) + 1, int(self._there[gap + 1]) - 1) for gap in gaps]
            raise self._too_many_missing(absent, _written(missing))
        self._first, self._span = int(self._there[0]), span

    @property
    def facts(self) -> FilmFacts:
        """What was found. Only after a whole `scan`.

        Raises:
            RuntimeError: the film was not scanned.
        """
        return self._result()[0]

    def scan(self) -> Iterator[Frame]:
        """Every decodable frame, in order; each file is read once and hashed.

        Raises:
            ItemError: "no_frames": not one can be decoded; "unsupported": a frame's kind is not read, or differs from that of
                the frames before it; a limit is exceeded.
        """
        notes, decodable, lines = SequenceNotes(), np.zeros(self._span, bool), Listing()
        self._scanned, self.digest = None, ""
        found = 0
        first: FrameFile | None = None
        damage: ItemError | None = None
        for number in self._there.tolist():
            path = frame_path(self._pattern, number)
            try:
                data = self._bytes(path)
                lines.add(hashlib.sha256(data).hexdigest(), path.rpartition("/")[2])
                frame = read_frame(data, path, self._limits)
            except ItemError as error:
                if error.code not in _DAMAGE:
                    raise
                damage = damage or error
                notes.damaged(error.reason)
                continue
            if first is None:
                first = frame
            self._check_kind(frame.kind, first.kind, path)
            notes.add(frame)
            decodable[number - self._first] = True
            yield Frame(found, frame.pixels)
            found += 1
        if first is None:
            cause = f"; the first: {damage.reason}" if damage else ""
            raise ItemError("no_frames", f"{label(self._pattern)}: not one frame can be decoded{cause}")
        self.digest = lines.digest()
        self._scanned = self._facts(first, notes, bool(decodable[0])), decodable

    def timeline(self) -> Timeline:
        """Every number from the first to the last, a frame each; missing and damaged ones are filled as the options say.

        Before the first decodable frame there is none to repeat: that one itself is shown.

        Raises:
            ItemError: "missing_frames": more than are tolerated; names them.
            RuntimeError: the film was not scanned.
        """
        decodable = self._result()[1]
        missing = np.flatnonzero(~decodable)
        if len(missing) > self._options.tolerate_gaps:
            damaged = len(missing) - (self._span - len(self._there))
            raise self._too_many_missing(len(missing), ranges(missing + self._first), damaged)
        origins = np.maximum(np.cumsum(decodable) - 1, 0)
        repeats = ~decodable
        if self._options.gap_fill == "slate":
            origins[missing] = SLATE
            repeats = np.zeros(self._span, bool)
        return Timeline(np.arange(self._span), np.ones(self._span, np.int64), origins.astype(np.int64), repeats)

    def frames(self, timeline: Timeline, first: int, count: int) -> Iterator[Frame]:
        """Frames of a timeline; only the files that are needed are read. No scan is needed.

        Raises:
            ItemError: "unreadable": the files are no longer those of the timeline; or what reading a frame raises.
        """
        decoded = self._decodable(timeline)
        like: FrameFile | None = None
        last: tuple[int, FrameFile] | None = None
        for number in range(first, first + count):
            origin = int(timeline.origins[number])
            if origin == SLATE:
                like = like or self._decode(int(decoded[_nearest(decoded, number)]))
                text = str(self._first + number)
                yield Frame(number, slate(like.kind.height, like.kind.width, like.pixels.dtype, text))
                continue
            if last is None or last[0] != origin:
                last = origin, self._decode(int(decoded[origin]))
            like = like or last[1]
            self._check_kind(last[1].kind, like.kind, self.path(number))
            yield Frame(number, last[1].pixels)

    def path(self, number: int) -> str:
        """The file that frame `number` of the timeline has in the source, or would have."""
        return frame_path(self._pattern, self._first + number)

    def original(self, timeline: Timeline, number: int) -> str:
        """The source's file whose header and metadata a restored frame takes: its own; that of the nearest decodable frame
        where it fills a gap.

        Raises:
            ItemError: "unreadable": the files are no longer those of the timeline.
        """
        decoded = self._decodable(timeline)
        return self.path(int(decoded[_nearest(decoded, number)]))

    def _result(self) -> tuple[FilmFacts, np.ndarray]:
        if self._scanned is None:
            raise RuntimeError("facts and timeline are known after a whole scan")
        return self._scanned

    def _bytes(self, path: str) -> bytes:
        try:
            return self._read(path)
        except OSError as error:
            reason = f"cannot be read ({error.strerror or type(error).__name__}); check access"
            raise ItemError("unreadable", f"{label(path)}: {reason}") from error

    def _decode(self, position: int) -> FrameFile:
        path = self.path(position)
        return read_frame(self._bytes(path), path, self._limits)

    def _check_kind(self, kind: FrameKind, first: FrameKind, path: str) -> None:
        if kind != first:
            reason = f"is {kind}, the frames before it are {first}; split the sequence or convert its frames alike"
            raise ItemError("unsupported", f"{label(path)}: {reason}")

    def _decodable(self, timeline: Timeline) -> np.ndarray:
        """Places in the timeline of its decodable frames, in order."""
        if self._last_timeline is None or self._last_timeline[0] is not timeline:
            decoded = np.flatnonzero(~timeline.repeats & (timeline.origins != SLATE))
            if len(timeline) != self._span or not len(decoded) or not np.isin(decoded + self._first, self._there).all():
                reason = "its files are no longer those that were scanned; run again"
                raise ItemError("unreadable", f"{label(self._pattern)}: {reason}")
            self._last_timeline = timeline, decoded
        return self._last_timeline[1]

    def _too_many_missing(self, count: int, places: str, damaged: int = 0) -> ItemError:
        what = "1 frame is missing" if count == 1 else f"{count} frames are missing"
        what += f" ({damaged} of them cannot be read or decoded)" if damaged else ""
        there = f"more than the {self._options.tolerate_gaps} of --tolerate-gaps"
        do = f"find them, or fill them with --tolerate-gaps {count}"
        return ItemError("missing_frames", f"{label(self._pattern)}: {what}, {there}: {places}; {do}")

    def _facts(self, first: FrameFile, notes: SequenceNotes, begins: bool) -> FilmFacts:
        kind = first.kind
        rate = Fraction(first.rate or self._options.rate)
        assumed = (
            () if first.rate else (f"frames do not say their rate: {rate} a second were assumed (--sequence-rate)",)
        )
        return FilmFacts(
            format=f"{kind.format.lower()} sequence",
            codec=kind.codec,
            width=kind.width,
            height=kind.height,
            channels=kind.channels,
            bit_depth=kind.bit_depth,
            pixel_format=kind.pixel_format,
            rate=f"{rate.numerator}/{rate.denominator}",
            time_base=f"{rate.denominator}/{rate.numerator}",
            pixel_aspect=first.pixel_aspect,
            rotation=kind.rotation,
            transfer=kind.transfer,
            primaries=kind.primaries,
            assumed=kind.assumed,
            # Of the first frame; that of a later one would be wrong by the frames that are missing before it.
            timecode=first.timecode if begins else "",
            warnings=(*notes.warnings(), *assumed),
        )


def _nearest(positions: np.ndarray, number: int) -> int:
    """Index of the position nearest to a number; of two, the one before it."""
    after = int(np.searchsorted(positions, number))
    if after == len(positions) or (after and number - positions[after - 1] <= positions[after] - number):
        return after - 1
    return after


def ranges(numbers: np.ndarray, most: int = 20) -> str:
    """Rising numbers as ranges, `12-14, 80`; the first few of many."""
    breaks = np.flatnonzero(np.diff(numbers) > 1)
    starts, ends = numbers[np.concatenate([[0], breaks + 1])], numbers[np.concatenate([breaks, [-1]])]
    return _written(list(zip(starts.tolist(), ends.tolist(), strict=True)), most)


def _written(pairs: list[tuple[int, int]], most: int = 20) -> str:
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in pairs[:most]]
    return ", ".join(texts) + (f" and {len(pairs) - most} more" if len(pairs) > most else "")

"""A film in a container, read by FFmpeg's libraries: whatever PyAV opens, recognised by content."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain

import av
import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.container.decoding import Decoder, Picture
from pipelines.media.film.container.deinterlace import CONTEXT, Comb, Deinterlacer, Judgement
from pipelines.media.film.container.facts import Look, facts_of, look_of, missing_at_end
from pipelines.media.film.container.gaps import Rate, ScanResult, build_timeline, find_rate
from pipelines.media.film.container.probe import NOT_A_FILM, RECOPY, Input, open_input, too_many_frames
from pipelines.media.film.facts import SLATE, FilmFacts, FilmOptions, Frame, Opener, Timeline
from pipelines.media.film.slate import slate
from pipelines.media.guard import label

__all__ = ["ContainerReader", "open_container"]

_FALLBACK_RATE = Fraction(25)  # of streams that say nothing
# Seconds before the wanted frame that are sought, one after another, until a key frame before it is met.
_BACK = (0, 1, 4, 16, 64)
# Formats that hold moving and still pictures alike.
_MAYBE_STILL = frozenset(("gif", "apng", "mjpeg", "webp_anim"))


def open_container(opener: Opener, name: str, options: FilmOptions, threads: int = 1) -> ContainerReader:
    """Open a film in a container and see whether it can be read; no frame is read yet.

    Args:
        opener: gives a path or a seekable binary file.
        name: of the film, for reasons.
        options: how films are read.
        threads: of decoding; results are the same.

    Raises:
        ItemError: "empty", "not_a_film", "no_frames", "truncated", "corrupt", "unsupported", "zero_size", "unreadable",
            "too_many_pixels" or "too_many_frames"; and nothing else, whatever the bytes. What `opener` raises passes through.
    """
    reader = ContainerReader(opener, name, options, threads)
    with reader._input():
        return reader


class ContainerReader:
    """A film in a container (a `FilmReader`). Use `open_container`.

    Attributes:
        decoded: frames that were decoded so far, whether handed on or not.
    """

    def __init__(self, opener: Opener, name: str, options: FilmOptions, threads: int = 1) -> None:
        self.decoded = 0
        self._opener, self._name, self._options, self._threads = opener, name, options, threads
        self._scanned: tuple[FilmFacts, ScanResult, Rate] | None = None

    @property
    def facts(self) -> FilmFacts:
        """What was found. Only after a whole `scan`.

        Raises:
            RuntimeError: the film was not scanned.
        """
        return self._result()[0]

    def scan(self) -> Iterator[Frame]:
        """Every sound frame, in order. Frames that the decoder patched, and those that refer to them, are left out.

        Raises:
            ItemError: what `open_container` raises; "no_frames": not one can be decoded; "interlaced": and no choice was made;
                "unsupported": frames change their size.
        """
        self._scanned = None
        with self._input() as film:
            rate = fallback_rate(film)
            decoder = Decoder(film, rate, from_start=True, all_streams=True)
            pts, durations, judgement = array("q"), array("q"), Judgement(film.field_order)
            deinterlacer = Deinterlacer(film.time_base)
            look: Look | None = None
            for picture, look in self._pictures(film, decoder, deinterlacer, judgement):
                if len(pts) >= self._options.max_frames:
                    raise too_many_frames(len(pts) + 1, self._name, self._options)
                if judgement.plain:
                    self._refuse(judgement)
                pts.append(picture.pts)
                durations.append(picture.duration)
                yield Frame(len(pts) - 1, look.pixels(picture.frame))
            if look is None:
                what = "none of its frames can be decoded" if decoder.packets else "it holds no frames"
                raise ItemError("no_frames", f"{label(self._name)}: {what}; {RECOPY}")
            if len(pts) == 1 and film.format in _MAYBE_STILL:
                raise ItemError("not_a_film", f"{label(self._name)}: it holds one still picture; {NOT_A_FILM}")
            if judgement.interlaced:
                self._refuse(judgement)
            if decoder.backward > len(pts) // 50 + 2:
                reason = f"{decoder.backward} of its frames have times that go back, as in files joined end to end"
                raise ItemError(
                    "unsupported", f"{label(self._name)}: {reason}; split it there, or copy its streams anew"
                )
            times = np.array(pts, np.int64)
            kept = Rate(rate, False)
            if not film.untimed:
                kept = find_rate(np.union1d(times, np.array(decoder.damaged, np.int64)), film.time_base, film.rates)
            behind, cut = missing_at_end(film, decoder, kept, pts[0])
            result = ScanResult(times, np.array(durations, np.int64), decoder.damaged, behind, cut)
            choice = self._options.deinterlace
            facts = facts_of(film, look, kept, judgement, deinterlacer.changed, choice, decoder.unreached)
            self._scanned = facts, result, kept

    def timeline(self) -> Timeline:
        """The frames of the result. A film of one rate has a frame at each of its times; where rates vary only frames that are
        there and broken count as missing.

        Raises:
            ItemError: "missing_frames": more than are tolerated; "truncated": cut off, by nobody knows how much.
            RuntimeError: the film was not scanned.
        """
        facts, scan, rate = self._result()
        return build_timeline(scan, rate, Fraction(facts.time_base), self._options, self._name)

    def frames(self, timeline: Timeline, first: int, count: int) -> Iterator[Frame]:
        """Frames of a timeline, decoded from the key frame before them. No scan is needed.

        Raises:
            ItemError: "unreadable": the source is no longer what was scanned; or what `open_container` raises.
        """
        numbers = range(first, min(first + count, len(timeline)))
        real = ~timeline.repeats & (timeline.origins != SLATE)
        times = timeline.pts[real]
        origins = timeline.origins[numbers.start : numbers.stop]
        origins = origins[origins != SLATE]
        if not numbers:
            return
        if not len(origins):  # slates alone: one frame shows what they are like
            origins = np.array([max(int(np.count_nonzero(real[: numbers.start])) - 1, 0)])
        decoded = self._at(times, int(origins.min()), int(origins.max()))
        origin, pixels = next(decoded)
        for number in numbers:
            wants = int(timeline.origins[number])
            if wants == SLATE:
                yield Frame(number, slate(pixels.shape[0], pixels.shape[1], pixels.dtype, str(number)))
                continue
            while origin < wants:
                origin, pixels = next(decoded)
            yield Frame(number, pixels)

    def _result(self) -> tuple[FilmFacts, ScanResult, Rate]:
        if self._scanned is None:
            raise RuntimeError("facts and timeline are known after a whole scan")
        return self._scanned

    def _refuse(self, judgement: Judgement) -> None:
        if self._options.deinterlace == "refuse":
            choices = "choose --deinterlace frames (one progressive frame of each) or --deinterlace keep (as they are)"
            choices += ", or for it alone --deinterlace-for"
            reason = f"it is interlaced, {judgement.field_order} ({judgement.summary()})"
            raise ItemError("interlaced", f"{label(self._name)}: {reason}; {choices}")

    @contextmanager
    def _input(self) -> Iterator[Input]:
        """The open film; whatever goes wrong while it is in use becomes an `ItemError`."""
        source = self._opener()
        try:
            with open_input(source, self._name, self._options, self._threads) as film:
                yield film
        except ItemError:
            raise
        except MemoryError as error:
            reason = "not enough memory to decode it; lower --max-pixels or use a larger machine"
            raise ItemError("too_many_pixels", f"{label(self._name)}: {reason}") from error
        except OSError as error:
            if isinstance(error, av.FFmpegError):
                raise self._corrupt(error) from error
            reason = f"it cannot be read ({error.strerror or type(error).__name__}); check access"
            raise ItemError("unreadable", f"{label(self._name)}: {reason}") from error
        except Exception as error:  # a crafted structure that no reader foresaw
            raise self._corrupt(error) from error

    def _corrupt(self, error: Exception) -> ItemError:
        what = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
        return ItemError("corrupt", f"{label(self._name)}: it cannot be decoded ({what}); {RECOPY}")

    def _checked(self, pictures: Iterator[Picture], look: Look) -> Iterator[Picture]:
        """Pictures of one size and format, with their chroma's place."""
        for picture in pictures:
            frame = picture.frame
            if (frame.width, frame.height, frame.format.name) != (look.width, look.height, look.pixel_format):
                change = f"{look.width}x{look.height} {look.pixel_format} to {frame.width}x{frame.height} {frame.format.name}"
                raise ItemError(
                    "unsupported", f"{label(self._name)}: frames change from {change}; split the film there"
                )
            yield picture if look.prepared is None else Picture(look.prepared(frame), picture.pts, picture.duration)

    def _pictures(
        self, film: Input, decoder: Decoder, deinterlacer: Deinterlacer, judgement: Judgement
    ) -> Iterator[tuple[Picture, Look]]:
        """The film's pictures from its start, as they are shown, and how they look; counts what is interlaced."""
        pictures = self._counting(decoder)
        first = next(pictures, None)
        if first is None:
            return
        look = look_of(film, first.frame)
        if first.frame.width * first.frame.height > self._options.max_pixels:
            raise ItemError("too_many_pixels", f"{label(self._name)}: frames are larger than --max-pixels")
        prepared = judgement.flags(self._checked(chain([first], pictures), look))
        if self._options.deinterlace == "frames":
            for picture, vote in deinterlacer.frames(prepared):
                judgement.add(vote)
                yield picture, look
            return
        comb: Comb | None = None
        for picture in prepared:
            comb = comb or Comb(picture.frame, film.time_base)
            for vote in comb.votes(picture.frame):
                judgement.add(vote)
            yield picture, look
        for vote in comb.votes(None) if comb else []:
            judgement.add(vote)

    def _counting(self, decoder: Decoder) -> Iterator[Picture]:
        before = 0
        try:
            for picture in decoder.pictures():
                self.decoded, before = self.decoded + decoder.decoded - before, decoder.decoded
                yield picture
        finally:
            self.decoded += decoder.decoded - before

    def _at(self, times: np.ndarray, low: int, high: int) -> Iterator[tuple[int, np.ndarray]]:
        """Sound frames `low` to `high`, of which all times are given, by number."""
        around = CONTEXT if self._options.deinterlace == "frames" else 0
        start, end = max(low - around, 0), min(high + around, len(times) - 1)
        with self._input() as film:
            first = next(self._counting(Decoder(film, fallback_rate(film), from_start=True)), None)
            if first is None:
                raise self._changed()
            look, time_base = look_of(film, first.frame), film.time_base
        pictures: Iterator[Picture] = self._checked(self._seek(times, start, end), look)
        if around:
            pictures = (picture for picture, _ in Deinterlacer(time_base).frames(pictures))
        for number, picture in enumerate(pictures, start):
            if low <= number <= high:
                yield number, look.pixels(picture.frame)

    def _seek(self, times: np.ndarray, start: int, end: int) -> Iterator[Picture]:
        """Sound pictures `start` to `end`. Where seeking misses it starts further back, then it reads from the start, and at
        last decodes from there."""
        number = start
        for back in (*_BACK, "read", "decode"):
            with self._input() as film:
                target = int(times[number])
                if film.untimed and back != "decode":
                    continue
                if not isinstance(back, str):
                    if film.needs_rising_times:
                        continue
                    time = target - round(back / film.time_base)
                    if time <= times[0] or not seek_to(film, time):
                        continue
                whole = back == "decode"
                decoder = Decoder(film, fallback_rate(film), from_start=whole, target=None if whole else target)
                decoder.after_seek = not isinstance(back, str)
                for picture in self._counting(decoder):
                    if picture.pts > times[number] or not (whole or decoder.met_key):
                        break
                    if picture.pts == times[number]:
                        yield picture
                        number += 1
                        if number > end:
                            return
        raise self._changed()

    def _changed(self) -> ItemError:
        return ItemError("unreadable", f"{label(self._name)}: it is no longer what was scanned; run again")


def fallback_rate(film: Input) -> Fraction:
    """Frames a second where times do not tell."""
    return film.rates[0] if film.rates else _FALLBACK_RATE


def seek_to(film: Input, pts: int) -> bool:
    """Seek to the key frame at or before a time; whether that could be done."""
    try:
        film.container.seek(pts, stream=film.stream, backward=True)
    except (av.FFmpegError, ValueError):
        return False
    return True

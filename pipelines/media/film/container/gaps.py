"""Which frames of a film are missing: its rate out of its frames' times, and the timeline with the gaps filled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.clock import format_clock
from pipelines.media.film.container.probe import RECOPY
from pipelines.media.film.facts import SLATE, FilmOptions, Timeline
from pipelines.media.guard import label

__all__ = ["Rate", "ScanResult", "build_timeline", "find_rate"]

_USUAL = [Fraction(n) for n in (12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60, 100, 120)]
_USUAL += [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)]
# A film has one rate if its times lie on that rate's grid, and nearly all neighbours are one frame apart.
_NEIGHBOURS = 0.9
_OFF_GRID = 0.01  # share of frames whose times may lie beside it
_SHOWN = 10  # places that an error names
_FILLED = 100  # gaps, or as many as there are sound frames, up to which an error says how to fill them


@dataclass(frozen=True)
class Rate:
    """Frames a second.

    Attributes:
        value: exact where the film has one rate, else the average.
        variable: frames last unequally long.
    """

    value: Fraction
    variable: bool


def find_rate(pts: np.ndarray, time_base: Fraction, said: Sequence[Fraction]) -> Rate:
    """The rate that frames' times keep.

    Args:
        pts: int64 [n], strictly rising, in the time base; may have holes.
        said: by the container and the codec, likeliest first; may be wrong.
    """
    if len(pts) < 2:
        return Rate(said[0] if said else Fraction(25), False)
    average = Fraction(len(pts) - 1) / (int(pts[-1] - pts[0]) * time_base)
    common = Counter(np.diff(pts).tolist()).most_common(1)[0][0]
    usual = [rate for rate in said if rate in _USUAL] + sorted(_USUAL, key=lambda rate: abs(rate - average))
    for rate in dict.fromkeys([*usual, *said, 1 / (common * time_base)]):
        if 0 < rate <= 1000 and _keeps(pts, time_base, rate):
            return Rate(rate, False)
    return Rate(average, True)


def _keeps(pts: np.ndarray, time_base: Fraction, rate: Fraction) -> bool:
    unit = float(1 / (rate * time_base))
    place = (pts - pts[0]) / unit
    # Times are rounded to the time base, the first as well as any other.
    near = np.abs(place - np.rint(place)) <= max(min(1.01 / unit, 0.45), 0.02)
    steps = np.diff(np.rint(place))
    if unit < 0.99 or (~near).mean() > _OFF_GRID or (steps < 1).any():
        return False
    return bool((steps == 1).mean() >= _NEIGHBOURS or (len(pts) <= 20 and np.median(steps) == 1))


@dataclass(frozen=True)
class ScanResult:
    """The times of a film's frames after a scan.

    Attributes:
        pts: int64 [n]: of the sound frames, strictly rising.
        durations: int64 [n]: likewise; 0 where nothing is said.
        damaged: times of frames that are there and broken.
        behind: frames that are announced and are not there at the end.
        cut: the file ends too early, and nothing tells how many frames are missing.
    """

    pts: np.ndarray
    durations: np.ndarray
    damaged: Sequence[int]
    behind: int
    cut: bool


def build_timeline(scan: ScanResult, rate: Rate, time_base: Fraction, options: FilmOptions, name: str) -> Timeline:
    """The frames of the result, gaps filled as the options say.

    Raises:
        ItemError: "missing_frames": more than are tolerated; "truncated": cut off by nobody knows how much.
    """
    if scan.cut:
        reason = "the file is cut off, and nothing in it tells how much is missing"
        raise ItemError("truncated", f"{label(name)}: {reason}; {RECOPY}")
    unit = 1 / (rate.value * time_base)
    missing, count = _missing(scan, rate, unit)
    if count > options.tolerate_gaps:
        raise _too_many(missing, count, scan, time_base, unit, options, name)
    times = np.sort(np.concatenate([scan.pts, missing]))
    real = np.isin(times, scan.pts)
    before = np.cumsum(real) - 1
    origins, repeats = np.maximum(before, 0), ~real
    if options.gap_fill == "slate":
        origins, repeats = np.where(real, before, SLATE), np.zeros(len(times), bool)
    last = int(scan.durations[-1]) if real[-1] else 0
    durations = np.diff(times, append=times[-1] + max(1, last or round(unit)))
    return Timeline(times, durations, origins.astype(np.int64), repeats)


def _missing(scan: ScanResult, rate: Rate, unit: Fraction) -> tuple[np.ndarray, int]:
    """Times of the missing frames, rising and unlike those that are there, and their number. The times of very many are not
    worked out."""
    damaged = np.setdiff1d(np.array(scan.damaged, np.int64), scan.pts)
    every = np.union1d(scan.pts, damaged)
    start, step = int(every[0]), float(unit)
    if rate.variable:
        behind = int(every[-1]) + np.rint(np.arange(1, scan.behind + 1) * step).astype(np.int64)
        return np.concatenate([damaged, behind]), len(damaged) + scan.behind
    places = np.rint((scan.pts - start) / step).astype(np.int64)
    end = max(int(places[-1]), round((int(every[-1]) - start) / step)) + scan.behind
    count = end + 1 - len(np.unique(places))
    if count > 10_000_000:
        return np.zeros(0, np.int64), count
    absent = np.setdiff1d(np.arange(end + 1), places)
    # From the frame before, so that rounding of the first frame's time does not run through the film.
    before = np.maximum(np.searchsorted(places, absent) - 1, 0)
    times = scan.pts[before] + np.rint((absent - places[before]) * step).astype(np.int64)
    return np.setdiff1d(times, scan.pts), count


def _too_many(
    missing: np.ndarray,
    count: int,
    scan: ScanResult,
    time_base: Fraction,
    unit: Fraction,
    options: FilmOptions,
    name: str,
) -> ItemError:
    start = int(min(scan.pts[0], missing[0])) if len(missing) else int(scan.pts[0])
    numbers = np.searchsorted(np.sort(np.concatenate([scan.pts, missing])), missing)
    groups = np.split(np.arange(len(missing)), np.flatnonzero(np.diff(numbers) > 1) + 1) if len(missing) else []
    places = []
    for group in groups[:_SHOWN]:
        first, last = int(numbers[group[0]]), int(numbers[group[-1]])
        when = format_clock((int(missing[group[0]]) - start) * time_base)
        places.append(f"{first}-{last} ({when})" if last > first else f"{first} ({when})")
    more = f" and {len(groups) - _SHOWN} more places" if len(groups) > _SHOWN else ""
    where = f": {', '.join(places)}{more}" if places else ""
    what = "1 frame is" if count == 1 else f"{count} frames are"
    there = len(scan.pts)
    if count > max(_FILLED, there):  # what is left is no film with gaps but a piece of one
        cut = "the file is cut off: " if scan.behind > count / 2 else ""
        reason = f"{cut}{there} of its {there + count} frames are there and sound{where}"
        return ItemError("missing_frames", f"{label(name)}: {reason}; {RECOPY}")
    reason = f"{what} missing or damaged, more than the {options.tolerate_gaps} of --tolerate-gaps{where}"
    return ItemError("missing_frames", f"{label(name)}: {reason}; {RECOPY}, or fill them with --tolerate-gaps {count}")

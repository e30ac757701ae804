"""One picture of a film at a time: what a reviewer looks at, found by seeking and without a scan."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.container.decoding import Decoder, Picture
from pipelines.media.film.container.facts import look_of
from pipelines.media.film.container.probe import RECOPY, Input, open_input
from pipelines.media.film.container.reader import fallback_rate, seek_to
from pipelines.media.film.facts import FilmOptions, Opener
from pipelines.media.guard import label

__all__ = ["still_at"]

_BACK = (0, 2, 8, 32)  # seconds before the wanted time that are sought, one after another


def still_at(opener: Opener, name: str, options: FilmOptions, seconds: float) -> np.ndarray:
    """The picture that is shown at a time: the last sound one that begins at or before it.

    Args:
        opener: gives a path or a seekable binary file.
        name: of the film, for reasons; only its last part is used.
        options: limits.
        seconds: after the film's first picture.

    Returns:
        RGB [H, W, 3], upright, full range: uint8 for sources of 8 bits, else uint16.

    Raises:
        ItemError: "no_frames", "corrupt", "unreadable", and what opening a film raises.
    """
    try:
        return _still(opener, name, options, seconds)
    except ItemError:
        raise
    except MemoryError as error:
        raise ItemError("too_many_pixels", f"{label(name)}: not enough memory to decode it") from error
    except OSError as error:
        if isinstance(error, av.FFmpegError):
            raise _corrupt(name, error) from error
        reason = f"it cannot be read ({error.strerror or type(error).__name__}); check access"
        raise ItemError("unreadable", f"{label(name)}: {reason}") from error
    except Exception as error:  # a crafted structure that no reader foresaw
        raise _corrupt(name, error) from error


def _still(opener: Opener, name: str, options: FilmOptions, seconds: float) -> np.ndarray:
    with open_input(opener(), name, options) as film:
        pictures = _pictures(film, from_start=True)
        first = next(pictures, None)
        if first is None:
            raise ItemError("no_frames", f"{label(name)}: none of its frames can be decoded; {RECOPY}")
        look = look_of(film, first.frame)
        target = first.pts + int(Fraction(seconds) / film.time_base)
        if target <= first.pts + first.duration or film.untimed or film.needs_rising_times:
            return look.pixels(_prepared(look.prepared, _last(pictures, target, first)))
    for back in _BACK:
        with open_input(opener(), name, options) as film:
            start = target - round(back / film.time_base)
            if start <= first.pts or not seek_to(film, start):
                break
            found = _last(_pictures(film, target=start), target, None)
            if found is not None:
                return look.pixels(_prepared(look.prepared, found))
    with open_input(opener(), name, options) as film:
        return look.pixels(_prepared(look.prepared, _last(_pictures(film, from_start=True), target, first)))


def _prepared(prepare: object, picture: Picture | None) -> av.VideoFrame:
    assert picture is not None
    return prepare(picture.frame) if callable(prepare) else picture.frame


def _pictures(film: Input, *, from_start: bool = False, target: int | None = None) -> Iterator[Picture]:
    decoder = Decoder(film, fallback_rate(film), from_start=from_start, target=target)
    decoder.after_seek = not from_start
    for picture in decoder.pictures():
        if from_start or decoder.met_key:
            yield picture


def _last(pictures: Iterator[Picture], target: int, found: Picture | None) -> Picture | None:
    """The last picture that begins at or before a time; None where the first begins after it."""
    for picture in pictures:
        if picture.pts > target:
            break
        found = picture
    return found


def _corrupt(name: str, error: Exception) -> ItemError:
    what = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
    return ItemError("corrupt", f"{label(name)}: it cannot be decoded ({what}); {RECOPY}")

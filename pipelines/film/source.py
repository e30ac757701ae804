"""What a film is in its store: one file, or the numbered files of a sequence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.errors import ItemError
from pipelines.media.film.facts import FilmOptions, FilmReader, Opener
from pipelines.media.film.sequence.names import SequenceGrouper, frame_path
from pipelines.media.kinds import is_sequence, suffix
from pipelines.media.limits import limits_of
from pipelines.settings import Settings
from pipelines.store.concurrency import map_threaded
from pipelines.store.large_files import folder_files, opener
from pipelines.store.listing import OutsideError
from pipelines.store.store import Store

__all__ = [
    "Frames",
    "film_opener",
    "film_options",
    "frames_of",
    "open_film",
    "reading_film",
    "source_digest",
    "source_state",
]

_HASHERS = 4


@dataclass(frozen=True)
class Frames:
    """The files of a sequence as they lie in the store.

    Attributes:
        numbers: of the frames that are there, rising.
        size: bytes of all.
        version: changes when any of them does; equal to that of the plan.
    """

    numbers: tuple[int, ...]
    size: int
    version: str


def frames_of(store: Store, pattern: str) -> Frames:
    """Look up a sequence's files. Raises FileNotFoundError where there are none, OSError where its folder cannot be listed."""
    grouper = SequenceGrouper(keep_numbers=True)
    for entry in folder_files(store, pattern.rpartition("/")[0]):
        if suffix(entry.path) == suffix(pattern):
            grouper.add(entry.path, entry.size, entry.version)
    for sequence in grouper.sequences():
        if sequence.pattern == pattern:
            assert sequence.numbers is not None
            return Frames(tuple(sequence.numbers.tolist()), sequence.size, sequence.version)
    raise FileNotFoundError(errno.ENOENT, "no frame of the sequence is there", pattern)


def source_state(store: Store, path: str) -> str:
    """Size and version of a source as it is now, as one text. Raises OSError."""
    found = frames_of(store, path) if is_sequence(path) else store.info(path)
    return f"{found.size} {found.version}"


def source_digest(store: Store, path: str) -> tuple[str, int]:
    """SHA-256 and size of a source, a few megabytes in memory at a time; of a sequence, that of its `sha256sum` listing.

    Raises:
        OSError: it cannot be read.
    """
    if not is_sequence(path):
        return store.sha256(path)
    from pipelines.media.film.sequence.listing import sequence_digest  # late: the plan needs no decoders

    frames = frames_of(store, path)
    names = [frame_path(path, number) for number in frames.numbers]
    digests = map_threaded(store.sha256, names, _HASHERS)
    lines = ((sha256, name.rpartition("/")[2]) for name, (sha256, _) in zip(names, digests, strict=True))
    return sequence_digest(lines), frames.size


def film_options(settings: Settings) -> FilmOptions:
    """How a film's settings want it read."""
    return FilmOptions(
        deinterlace=settings.deinterlace,
        tolerate_gaps=settings.tolerate_gaps,
        gap_fill=settings.gap_fill,
        rate=settings.sequence_rate,
        max_pixels=settings.max_pixels,
        max_frames=settings.max_film_frames,
    )


def open_film(store: Store, path: str, settings: Settings) -> FilmReader:
    """Open a film for scanning or reading.

    Raises:
        ItemError: it cannot be opened or is no film.
    """
    with reading_film(path):
        options = film_options(settings.for_film(path))
        if is_sequence(path):
            from pipelines.media.film.sequence.reader import open_sequence

            numbers = frames_of(store, path).numbers
            return open_sequence(path, numbers, store.read, options, limits_of(settings))
        from pipelines.media.film.container.reader import open_container

        return open_container(opener(store, path), path, options)


def film_opener(store: Store, path: str) -> Opener | None:
    """What opens a film's file for its other streams; a sequence has none."""
    return None if is_sequence(path) else opener(store, path)


@contextmanager
def reading_film(path: str) -> Iterator[None]:
    """Turn what a store raises into an `ItemError` on this film.

    Args:
        path: names it.
    """
    try:
        yield
    except OutsideError as error:
        reason = "is a link to something outside the source tree; copy the file into it"
        raise ItemError("outside", f"{path}: {reason}") from error
    except FileNotFoundError as error:
        raise ItemError("unreadable", f"{path}: listed but not there (removed since); check the source") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ItemError("unreadable", f"{path}: cannot be read ({reason}); check access") from error

"""Titles, dates, languages and the like: which are carried into the result, and which did not arrive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
from av.stream import Disposition

__all__ = ["Tags", "lost_tags", "passthrough_tags"]

# Says how the source's file was made, not what the film is; the result's own container states its own.
_NOT_CARRIED = {
    "encoder",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "vendor_id",
    "timecode",
    "rotate",
}
_STATISTICS = ("bps", "number_of_", "_statistics_")  # mkvmerge's, of the source's own packets
# MOV knows languages by these codes alone, which differ from those that ISO 639-2 prefers.
_MOV_LANGUAGES = {
    "deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb", "mkd": "mac",
    "fre": "fra", "cze": "ces", "slo": "slk", "rum": "ron",
}  # fmt: skip


def passthrough_tags(tags: dict[str, str], target: str) -> dict[str, str]:
    """Tags that still hold for the result, by name.

    Args:
        tags: of the source or one of its streams.
        target: FFmpeg's name of the result's container.
    """
    carried = {}
    for name, value in tags.items():
        plain = name.lower()
        if plain in _NOT_CARRIED or plain.startswith(_STATISTICS) or (plain, value) == ("language", "und"):
            continue
        other = plain == "language" and target == "mov"
        carried[name] = _MOV_LANGUAGES.get(value, value) if other else value
    return carried


@dataclass(frozen=True, kw_only=True)
class Tags:
    """What a file is to say of a film.

    Attributes:
        film: by name.
        streams: by name, and the disposition's bits, of each stream.
        chapters: how many there are.
    """

    film: dict[str, str]
    streams: list[tuple[dict[str, str], int]]
    chapters: int


def lost_tags(path: Path, given: Tags, target: str) -> list[str]:
    """A line on each tag that is not in the written file.

    Args:
        path: of the film, local.
        given: what was to be said.
        target: FFmpeg's name of the container.
    """
    advice = "" if target == "matroska" else ", --film-format ffv1 keeps it"
    lost: list[str] = []
    with av.open(f"file:{path}", "r", metadata_errors="replace") as container:
        lost += [f"{tag} of the film" for tag in _missing(given.film, container.metadata)]
        found = list(container.streams)
        for index, (tags, disposition) in enumerate(given.streams):
            # Chapters and timecode may have become streams of their own; they come last.
            if index >= len(found):
                lost.append(f"stream {index}")
                continue
            lost += [f"{tag} of stream {index}" for tag in _missing(tags, found[index].metadata)]
            flags = Disposition(disposition & ~int(found[index].disposition))
            lost += [f'"{flag.name}" of stream {index}' for flag in flags]
        if len(container.chapters()) != given.chapters:
            lost.append(f"{given.chapters} chapters")
    return [f"{each}: {target} cannot hold it{advice}" for each in lost]


def _missing(given: dict[str, str], found: dict[str, str]) -> list[str]:
    known = {name.lower(): value for name, value in found.items()}
    return [f"{name} ({value})" for name, value in given.items() if known.get(name.lower()) != value]

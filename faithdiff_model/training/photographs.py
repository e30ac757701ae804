"""High-quality photographs from any store, decoded once a process, with their captions."""

from __future__ import annotations

import csv
import logging
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import fsspec
import numpy as np

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


class PhotographError(ValueError):
    """A training photograph or folder cannot be used."""


@dataclass(frozen=True)
class Photograph:
    """Where one HQ photograph is, and its caption ("" where it has none)."""

    url: str
    caption: str = ""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.url).name


def list_photographs(folders: tuple[str, ...], captions: str = "") -> list[Photograph]:
    """All photographs under folders or fsspec URLs, sorted.

    Args:
        folders: local folders or URLs (`s3://bucket/hq`).
        captions: "" for none; `beside` for a text file of the same stem beside each photograph; otherwise the path or URL of
            a CSV file with the columns `path` (the end of a photograph's path, as much as makes it unique) and `caption`.

    Raises:
        PhotographError: a folder that cannot be listed or holds no photograph; a captions file without these columns.
    """
    found: list[tuple[fsspec.AbstractFileSystem, str]] = []
    for folder in folders:
        try:
            filesystem, root = fsspec.core.url_to_fs(folder)
            paths = filesystem.find(root)
        except (OSError, ValueError, ImportError) as error:
            raise PhotographError(f"{folder}: could not be listed ({error}): give a folder or an fsspec URL") from error
        images = sorted(path for path in paths if path.lower().endswith(SUFFIXES))
        if not images:
            raise PhotographError(f"{folder}: no photograph in it: give a folder with {', '.join(SUFFIXES)} files")
        found += [(filesystem, path) for path in images]
    table = _caption_table(captions) if captions not in ("", "beside") else {}
    photographs = []
    for filesystem, path in found:
        caption = ""
        if captions == "beside":
            text = str(PurePosixPath(path).with_suffix(".txt"))
            caption = filesystem.cat_file(text).decode("utf-8", "replace").strip() if filesystem.exists(text) else ""
        elif table:
            caption = _caption(path, table)
        photographs.append(Photograph(filesystem.unstrip_protocol(path), caption))
    return photographs


def without(photographs: list[Photograph], names_file: str) -> list[Photograph]:
    """Those whose names are not in a file of names, a line each.

    Raises:
        PhotographError: the file cannot be read, or a name in it is no photograph's.
    """
    try:
        with fsspec.open(names_file, "r", encoding="utf-8") as file:
            names = set(file.read().split())
    except OSError as error:
        raise PhotographError(f"{names_file}: could not be read ({error})") from error
    unknown = names - {photograph.name for photograph in photographs}
    if unknown:
        raise PhotographError(f"{names_file}: {min(unknown)} is no photograph in the data: correct its name")
    return [photograph for photograph in photographs if photograph.name not in names]


def _caption_table(url: str) -> dict[str, str]:
    try:
        with fsspec.open(url, "r", encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        raise PhotographError(f"{url}: captions could not be read ({error})") from error
    if not rows or not {"path", "caption"} <= set(rows[0]):
        raise PhotographError(f"{url}: captions need the columns path and caption")
    return {row["path"].rpartition("://")[2].strip("/"): (row["caption"] or "").strip() for row in rows if row["path"]}


def _caption(path: str, table: dict[str, str]) -> str:
    """The caption of the longest end of a path, in whole folders, that the table has."""
    parts = path.strip("/").split("/")
    ends = ("/".join(parts[first:]) for first in range(len(parts)))
    return next((table[end] for end in ends if end in table), "")


def read_photograph(url: str) -> np.ndarray:
    """Decode to RGB uint8 [H, W, 3].

    Raises:
        PhotographError: it cannot be read or decoded.
    """
    try:
        with fsspec.open(url, "rb") as file:
            content = file.read()
    except OSError as error:
        raise PhotographError(f"{url}: could not be read ({error})") from error
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if len(content) else None
    except cv2.error as error:
        raise PhotographError(f"{url}: could not be decoded ({error.err}): remove it or make it smaller") from error
    if image is None:
        raise PhotographError(f"{url}: not an image that can be decoded: remove it or save it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class PhotographCache:
    """Decoded photographs, the least recently used dropped beyond `limit_mib`. A bad file is reported once and skipped."""

    def __init__(self, photographs: list[Photograph], *, smallest_side: int, limit_mib: int) -> None:
        self.photographs = photographs
        self.smallest_side = smallest_side
        self.limit = limit_mib << 20
        self._held = 0
        self._images: OrderedDict[int, np.ndarray] = OrderedDict()
        self._bad: set[int] = set()

    def image(self, index: int) -> tuple[Photograph, np.ndarray]:
        """The photograph at `index`, or the next one that can be used: [H, W, 3] uint8.

        Raises:
            PhotographError: none can be used.
        """
        for offset in range(len(self.photographs)):
            candidate = (index + offset) % len(self.photographs)
            if candidate in self._bad:
                continue
            try:
                return self.photographs[candidate], self._decoded(candidate)
            except PhotographError as error:
                logger.warning("left out of training: %s", error)
                self._bad.add(candidate)
        raise PhotographError(
            f"none of {len(self.photographs)} photographs can be used: each side must be {self.smallest_side} pixels or more"
        )

    def _decoded(self, index: int) -> np.ndarray:
        if index in self._images:
            self._images.move_to_end(index)
            return self._images[index]
        url = self.photographs[index].url
        image = read_photograph(url)
        if min(image.shape[:2]) < self.smallest_side:
            raise PhotographError(f"{url}: {image.shape[1]}x{image.shape[0]} pixels, below {self.smallest_side} a side")
        self._images[index] = image
        self._held += image.nbytes
        while self._held > self.limit and len(self._images) > 1:
            self._held -= self._images.popitem(last=False)[1].nbytes
        return image

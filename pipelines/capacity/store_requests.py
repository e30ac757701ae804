"""How many requests the code makes of an object store, counted from it; its test counts real ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.manifest.compact import ROWS
from pipelines.manifest.writer import FLUSH_ROWS, FLUSH_SECONDS

__all__ = ["Requests", "fence_requests", "gets_of", "item_requests", "manifest_files", "plan_requests", "writes_of"]

_PAGE = 1000  # keys that a LIST answers with
_RANGE = 50 << 20  # s3fs reads larger objects in ranges of this, and from twice this writes them in parts of it
_FENCE_SECONDS = 10.0  # lease_seconds / 6: how often a node asks after the lease (pipelines/store/lease.py)


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Requests to object stores by kind. Writes are PUT and the POSTs of multipart uploads."""

    write: float = 0
    get: float = 0
    head: float = 0
    list: float = 0
    delete: float = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def times(self, factor: float) -> Requests:
        return Requests(**{name: value * factor for name, value in vars(self).items()})


def writes_of(size: float) -> int:
    """Requests that publish an object of `size` bytes: one, or those of a multipart upload."""
    return 1 if size < 2 * _RANGE else 2 + math.ceil(size / _RANGE)


def gets_of(size: float) -> int:
    """GET requests that read one; a HEAD comes before them."""
    return max(1, math.ceil(size / _RANGE))


def item_requests(tiles: int, source_bytes: float, result_bytes: float) -> Requests:
    """Requests of one new photograph from source to sidecar.

    Of a large one each tile is looked for, published, read back and removed, and the source is read once more.
    """
    read_source = Requests(head=1, get=gets_of(source_bytes))
    # The result, where nothing lies, and its sidecar; a mask of damage costs one more. What replaces a result of ours costs two
    # deletions besides: of the old sidecar, and of an old mask.
    publish = Requests(write=writes_of(result_bytes) + 1)
    if tiles == 1:
        return read_source + publish
    a_tile = Requests(head=2, list=1, write=1, get=1, delete=1)
    return read_source.times(2) + publish + a_tile.times(tiles) + Requests(list=1)


def manifest_files(items: float, hours: float) -> int:
    """Manifest files of a night: one every 2,000 rows, or each half minute in which a row arrived."""
    return math.ceil(max(items / FLUSH_ROWS, min(items, hours * 3600 / FLUSH_SECONDS)))


def plan_requests(items: int, nights: int, files_a_night: int, *, compacted: bool = False) -> Requests:
    """Requests of the plans of all nights, if all sources are there from the first.

    Each plan lists all sources, all results with their sidecars, and the manifest twice (with the output, and for its files),
    and reads every manifest file. Records of runs, a few requests a night, are left out.

    Args:
        items: photographs.
        nights: that they take.
        files_a_night: manifest files that a night leaves.
        compacted: whether each night's files are put together after it; that they are read and deleted once is in it.
    """
    earlier = nights * (nights - 1) / 2  # nights before each night, summed
    done = items / nights * earlier
    files = done / ROWS if compacted else files_a_night * earlier
    listed = (items * nights + 2 * done + 2 * files) / _PAGE
    plans = Requests(list=math.ceil(listed), head=files, get=files)
    if not compacted:
        return plans
    return plans + Requests(head=1, get=1, delete=1).times(files_a_night * nights)


def fence_requests(nodes: float, hours: float) -> Requests:
    """Requests by which nodes ask, every ten seconds, whether the run still holds the output: one process of each for all."""
    return Requests(head=2, list=1, get=1).times(nodes * hours * 3600 / _FENCE_SECONDS)

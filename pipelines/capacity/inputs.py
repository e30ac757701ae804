"""What an estimate is made from: what is known of the work, the archive, the devices it is restored with, and prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "ARITHMETIC", "COUNTED", "DRIVER_ROWS", "GIVEN", "MEASURED", "S3_READS", "S3_WRITES", "Archive", "Basis", "Known", "Pool",
    "Prices",
]  # fmt: skip

MEASURED, GIVEN, COUNTED, ARITHMETIC = "measured", "given", "counted", "arithmetic"


class Known(NamedTuple):
    """A number and how it is known."""

    value: float
    how: str


# Ray Data's driver on 2 cores with one row a task, as photographs above 1 MiB go, however trivial the work (42 to 49 with
# several small ones a task: README of tests/benchmarks, "the stream's ceiling").
DRIVER_ROWS = Known(30.0, "measured, on 2 cores")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html: at least so many a second and prefix.
S3_WRITES, S3_READS = Known(3500.0, "documented, S3"), Known(5500.0, "documented, S3")


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What is known of the work. None is unknown; what needs it is left out of an estimate.

    Attributes:
        device: that `restore` is of.
        restore: seconds of one replica a megapixel of result.
        caption: seconds of one captioner a photograph.
        decode: CPU seconds a megapixel of source: reading, hashing, decoding; waiting for the store is among them.
        write: CPU seconds a megapixel of result: enlarging, encoding, publishing.
        source_bytes: a megapixel of source.
        result_bytes: a megapixel of result.
        sidecar_bytes: a photograph.
        manifest_bytes: a row.
    """

    device: str = ""
    restore: Known | None = None
    caption: Known | None = None
    decode: Known | None = None
    write: Known | None = None
    source_bytes: Known | None = None
    result_bytes: Known | None = None
    sidecar_bytes: Known | None = None
    manifest_bytes: Known | None = None


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What is to be restored.

    Attributes:
        items: photographs.
        megapixels: of each source.
        enlargement: megapixels of result a megapixel of source: the square of `upscale`.
        tiles: that each result is restored in.
    """

    items: int
    megapixels: float
    enlargement: float
    tiles: int = 1


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What it is restored with.

    Attributes:
        gpus: replicas, a device each.
        hours: a night.
        captioners: devices that describe; 0 where nothing is described.
        cpus: for reading and writing; 0 is as many as it takes.
        drivers: runs side by side, each over its own output store.
        driver_rows: a second through one driver.
        compacted: whether the manifest is compacted after each night.
        prefixes: of the stores that take requests apart from each other.
        writes, reads: requests a second that a prefix takes.
    """

    gpus: int
    hours: float
    captioners: int = 0
    cpus: int = 0
    drivers: int = 1
    driver_rows: Known = DRIVER_ROWS
    compacted: bool = False
    prefixes: int = 1
    writes: Known = S3_WRITES
    reads: Known = S3_READS


@dataclass(frozen=True, kw_only=True)
class Prices:
    """In any one currency; None is not said.

    Attributes:
        gpu_hour, cpu_hour: of a device and of a CPU.
        gb_month: of 10^9 bytes for a month.
        thousand_writes: PUT, POST and LIST requests.
        thousand_reads: GET and HEAD requests.
    """

    gpu_hour: float | None = None
    cpu_hour: float | None = None
    gb_month: float | None = None
    thousand_writes: float | None = None
    thousand_reads: float | None = None

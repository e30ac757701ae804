"""Memory and time of listing a store: `python tests/benchmarks/listing.py --objects 1000000 --files 200000`."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

from facts import text_table, write_results
from million_objects import MillionObjects

from pipelines.store.store import Store

MIB = 1 << 20


def measure(name: str, store: Store, count: int) -> dict[str, Any]:
    """Walk a listing and keep nothing of it. Memory is this process's resident peak above what it had before, in MiB; the
    server of the S3 listing runs in this process, too, a page at a time."""
    before = resident()
    started = time.monotonic()
    seen, last, peak, at_tenth = 0, "", before, 0.0
    for entry in store.list():
        assert entry.path > last
        last, seen = entry.path, seen + 1
        if seen % 1000 == 0:
            peak = max(peak, resident())
        if seen == count // 10:
            at_tenth = peak - before
    assert seen == count
    seconds = time.monotonic() - started
    return {
        "store": name,
        "entries": count,
        "seconds": round(seconds, 1),
        "entries_per_second": round(count / seconds),
        "peak_mib": round(peak - before, 1),
        "peak_mib_at_a_tenth": round(at_tenth, 1),
    }


def resident() -> float:
    """Resident memory of this process, MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


def make_files(folder: Path, count: int) -> None:
    """Empty files, 1000 a folder."""
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:05d}").mkdir()
        os.close(os.open(folder / f"{number // 1000:05d}" / f"{number:08d}.tif", os.O_CREAT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=200_000)
    options = parser.parse_args()
    with MillionObjects(1000) as server:  # what the libraries take is not the listing's
        list(server.store().list())
    rows = []
    with MillionObjects(options.objects) as server:
        rows.append(measure("s3 (pages of 1000)", server.store(), options.objects))
    with tempfile.TemporaryDirectory() as name:
        make_files(Path(name), options.files)
        rows.append(measure("local (1000 files a folder)", Store(name), options.files))
    print(text_table(rows, list(rows[0])))
    print(write_results("listing", "cpu", {"rows": rows}))


if __name__ == "__main__":
    main()

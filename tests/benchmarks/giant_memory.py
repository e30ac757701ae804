"""Peak memory of a giant TIFF photograph on its way through the stages, by region and whole; each way in a process of its own.

python tests/benchmarks/giant_memory.py --megapixels 200 800

No network runs: a stage that hands each tile's own pixels on stands in its place. Measured is the memory around a network,
which sees a tile at a time. All other stages are the pipeline's own, called one after the other as Ray calls them: read,
hash, cut, write durable tiles, join, compare with the source, encode, publish. The upscale is 1, so that a small machine gets
through 800 megapixels in minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import tifffile
from facts import peak_mb, text_table, write_results

from faithdiff_model.image.colour_statistics import ColourStatistics
from faithdiff_model.image.resize import to_unit_float
from pipelines.manifest.identity import software_versions
from pipelines.plan.plan import make_plan
from pipelines.rows import PART_DONE, PENDING, Row, get_pixels, put_pixels, to_table, whole_row
from pipelines.settings import Settings
from pipelines.stages.adapter import stream_rows
from pipelines.stages.decode import Decode
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.tile_parts import PartStatistics
from pipelines.stages.tiling import pixels_of, tile_places
from pipelines.stages.write import Write

_ASPECT = 1.28  # width by height
_TILE = 256  # of the file, in pixels


class Identity:
    """Stands for the network: a tile's core is what the tile is.

    Args:
        settings: of the tiles.
    """

    name: ClassVar[str] = "restore"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def core(self, row: Row) -> Iterator[Row]:
        """The core of a tile's pixels, with its statistics, as `Restore` leaves them."""
        place = tile_places(row["width"], row["height"], self.settings)[row["part"]]
        region, core = (pixels_of(area, place, self.settings) for area in (place.tile.region, place.tile.core))
        pixels = get_pixels(row)[core.within(region).slices]
        row.update({"seconds_restore": 0.0, "device": "none", "software": software_versions()})
        colours = ColourStatistics.of(to_unit_float(pixels).transpose(2, 0, 1))
        row["statistics"] = PartStatistics(colours, colours).to_json()
        put_pixels(row, pixels.astype(np.uint16) * 257)
        yield row


def make_scan(path: Path, megapixels: float) -> tuple[int, int]:
    """A tiled deflate TIFF in RGB of 8 bits, a tile at a time: gradients, and noise in every 64th row, which packs fast."""
    height = round((megapixels * 1e6 / _ASPECT) ** 0.5)
    width = round(megapixels * 1e6 / height)
    rows, columns = np.mgrid[0:_TILE, 0:_TILE]
    noise = np.random.default_rng(0).integers(0, 40, (_TILE, _TILE, 3), dtype=np.uint8)
    noise[np.arange(_TILE) % 64 > 0] = 0

    def tiles() -> Iterator[np.ndarray]:
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                plane = ((rows + top) // 97 + (columns + left) // 131) % 200
                yield plane[..., None].astype(np.uint8) + noise

    tifffile.imwrite(
        path,
        tiles(),
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(_TILE, _TILE),
        photometric="rgb",
        compression="zlib",
        compressionargs={"level": 1},
        metadata=None,
        bigtiff=True,
    )
    return width, height


def pass_through(folder: Path, whole: bool) -> dict[str, object]:
    """All stages on the one scan of a folder, in this process; what came of it, with the peaks of memory on the way."""
    limit = 10**10
    settings = Settings(
        source=str(folder / "scans"), output=str(folder / ("whole" if whole else "regions")), preset="tiny", upscale=1,
        colour_fix="none", max_pixels=limit, max_bytes=limit, max_seconds=3600, giant_pixels=limit if whole else 10**6,
    )  # fmt: skip
    (row,) = make_plan(settings).pending
    started, before = time.monotonic(), peak_mb()
    last = whole_row({})
    decode, tile, network, write = Decode(settings), Tile(settings), Identity(settings), Write(settings)
    for table in stream_rows(decode, to_table([whole_row({**row, "run_id": "a", "flow_run_id": ""})])):
        for tiles in stream_rows(tile, table):
            for restored in stream_rows(network, tiles):
                for written in stream_rows(write, restored):
                    (last,) = written.to_pylist()
                    assert last["status"] == PART_DONE, last["error_reason"]
    cut = peak_mb()
    (done,) = Stitch(settings).core({**last, "status": PENDING})
    return {
        "started": before,
        "tiles_made": cut,
        "joined": peak_mb(),
        "seconds": time.monotonic() - started,
        "tiles": done["parts"],
        "sha256": done["output_sha256"],
        "lq_psnr_db": done["lq_psnr_db"],
    }


def main() -> None:
    """Print the table, and what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[200, 800])
    parser.add_argument(
        "--whole-up-to", type=float, default=200, help="megapixels up to which the whole way is measured, too"
    )
    parser.add_argument("--scratch", action="store_true", help="keep no results")
    parser.add_argument("--folder", type=Path, help="where the scans lie; set in the measured process alone")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(pass_through(options.folder, options.whole)))
        return
    rows = []
    for megapixels in options.megapixels:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "scans").mkdir()
            width, height = make_scan(folder / "scans" / "a.tif", megapixels)
            for way in ("whole", "regions") if megapixels <= options.whole_up_to else ("regions",):
                command = [sys.executable, __file__, "--folder", name, *(["--whole"] if way == "whole" else [])]
                ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
                result = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else {"failed": ran.returncode}
                rows.append({"megapixels": megapixels, "size": f"{width}x{height}", "way": way, **result})
                print(json.dumps(rows[-1]), flush=True)
    columns = ["megapixels", "size", "way", "tiles", "started", "tiles_made", "joined", "seconds"]
    print(text_table(rows, columns))
    if not options.scratch:
        print(write_results("giant-memory", "cpu", {"rows": rows}))


if __name__ == "__main__":
    main()

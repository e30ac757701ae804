"""Whole files of rare kinds: read rightly, or `unsupported` with what to do, and never called damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from archive_steps import table_of
from photo_files import code_of, noise, read, tiff_file

from pipelines.errors import ItemError
from pipelines.plan.plan import make_plan
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.survey import SurveyFilm


def bmp(bits: int, packing: int, body: bytes, palette: bytes = b"") -> bytes:
    """Of 4x4 pixels."""
    colours, start = len(palette) // 4, 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, bits, packing, len(body), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def bare_tiff(bits: int, sample_format: int) -> bytes:
    """24x20 grey samples, of a kind that no writer here makes."""
    body = np.random.default_rng(0).bytes(24 * 20 * bits // 8)
    entries = [(256, 24), (257, 20), (258, bits), (259, 1), (262, 1), (273, 0), (277, 1), (278, 20), (279, len(body)),
               (339, sample_format)]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    table = b"".join(struct.pack("<HHII", tag, 4, 1, start if tag == 273 else value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + body


RARE = {
    "BMP of 2 bits": lambda: bmp(2, 0, bytes(16), bytes(16)),
    "BMP of 64 bits": lambda: bmp(64, 0, bytes(128)),
    "JPEG in BMP": lambda: bmp(0, 4, b"\xff\xd8\xff\xd9"),
    "TIFF of 24-bit floats": lambda: bare_tiff(24, 3),
    "TIFF with a palette of 16 bits": lambda: tiff_file(
        noise(1, np.uint16)[..., 0], photometric="palette", colormap=np.zeros((3, 65536), np.uint16)
    ),
}


@pytest.mark.parametrize("kind", RARE)
def test_rare_kinds_are_unsupported_and_say_what_to_do(kind: str) -> None:
    with pytest.raises(ItemError, match=r"not supported.*; (convert|export) it") as caught:
        read(RARE[kind]())
    assert code_of(RARE[kind]()) == "unsupported"
    assert "copy it again" not in str(caught.value)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_separate_planes_with_further_samples_are_whole(dtype: type, compression: str | None) -> None:
    planes = np.moveaxis(noise(5, dtype), 2, 0)
    options = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": [0, 0], "compression": compression}
    photo = read(tiff_file(np.ascontiguousarray(planes), **options))
    assert np.array_equal(photo.pixels, np.moveaxis(planes[:3], 0, 2))


def test_frames_that_unfold_to_a_bomb_name_the_limit(tmp_path: Path) -> None:
    """OpenEXR of a few hundred bytes that claims 65,536 x 65,536 pixels; no frame is unfolded."""
    folder = tmp_path / "in" / "reel"
    folder.mkdir(parents=True)
    for number in range(2):
        path = folder / f"f_{number}.exr"
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"RGB": np.zeros((8, 8, 3), np.float32)}).write(str(path))
        data = path.read_bytes()
        for name in (b"dataWindow\0box2i\0", b"displayWindow\0box2i\0"):
            at = data.index(name) + len(name) + 4
            data = data[:at] + struct.pack("<4i", 0, 0, 65535, 65535) + data[at + 16 :]
        path.write_bytes(data)
    settings = Settings(source=str(tmp_path / "in"), output=str(tmp_path / "out"), preset="nano", sequences="reel")
    (planned,) = make_plan(settings).pending
    (row,) = run_stage(SurveyFilm(settings), table_of(planned)).to_pylist()
    assert row["error_code"] == "too_many_pixels"
    assert f"65536 x 65536 pixels are more than the limit of {settings.max_pixels}" in row["error_reason"]
    assert "--max-pixels" in row["error_reason"]

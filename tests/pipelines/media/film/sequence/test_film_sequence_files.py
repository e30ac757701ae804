"""Restored frames become files of the source's kind: TIFF, PNG and DPX. OpenEXR has its own test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from frame_files import LIMITS, PATTERN, SIZE, code_of, codes_of, dpx, ffmpeg_codes, opened, pixel_bytes, reel
from photo_files import icc_profile, pillow_file, tiff_file
from PIL import Image

from pipelines.media.film.sequence.encode import frame_encoder
from pipelines.media.photo.decode import decode

STILLS = {
    "grey 8 PNG": lambda rng: (rng.integers(0, 256, (*SIZE, 1), np.uint8), "PNG"),
    "RGB 8 PNG": lambda rng: (rng.integers(0, 256, (*SIZE, 3), np.uint8), "PNG"),
    "RGBA 8 PNG": lambda rng: (rng.integers(0, 256, (*SIZE, 4), np.uint8), "PNG"),
    "RGB 8 TIFF": lambda rng: (rng.integers(0, 256, (*SIZE, 3), np.uint8), "TIFF"),
    "grey 16 TIFF": lambda rng: (rng.integers(0, 65536, (*SIZE, 1), np.uint16), "TIFF"),
    "RGB 16 TIFF": lambda rng: (rng.integers(0, 65536, (*SIZE, 3), np.uint16), "TIFF"),
}


@pytest.mark.parametrize("kind", STILLS)
def test_stills_come_and_go(kind: str) -> None:
    pixels, format = STILLS[kind](np.random.default_rng(3))
    channels = pixels.shape[2]
    profile = icc_profile(b"RGB " if channels > 1 else b"GRAY", "Scanner")
    flat = pixels[..., 0] if channels == 1 else pixels
    if format == "PNG":
        data = pillow_file(pixels, "PNG", icc_profile=profile, dpi=(300, 300))
    else:
        photometric = "rgb" if channels > 1 else "minisblack"
        data = tiff_file(
            flat, photometric=photometric, iccprofile=profile, resolution=(300, 300), resolutionunit="INCH"
        )
    pattern = f"scans/p_%d.{format.lower()}"
    files = reel([9, 10], lambda number: data, pattern)
    reader = opened(files, [9, 10], pattern)
    frames = list(reader.scan())
    expected = pixels.repeat(3, axis=2) if channels == 1 else pixels[..., :3]
    np.testing.assert_array_equal(frames[1].pixels, expected)
    assert frames[1].pixels.dtype == pixels.dtype
    facts = reader.facts
    assert (facts.format, facts.codec) == (f"{format.lower()} sequence", format.lower())
    assert (facts.channels, facts.bit_depth) == (1 if channels == 1 else 3, pixels.itemsize * 8)
    assert (facts.primaries, facts.transfer, facts.assumed) == ("bt709", "iec61966-2-1", ("primaries", "transfer"))
    assert any("colour profile Scanner" in line for line in facts.warnings)
    assert any("alpha" in line for line in facts.warnings) == (channels == 4)
    # Restored: twice the size, 16 bits.
    restored = frames[0].pixels.repeat(2, axis=0).repeat(2, axis=1)
    wide = restored if restored.dtype == np.uint16 else restored.astype(np.uint16) * 257
    photo = decode(frame_encoder(pattern, facts, LIMITS)(wide, data), "restored", LIMITS)
    np.testing.assert_array_equal(photo.pixels, restored[..., :1] if channels == 1 else restored)
    assert (photo.format, photo.pixels.dtype, photo.icc_profile) == (format, pixels.dtype, profile)
    assert photo.dpi == pytest.approx((600, 600), abs=0.1)


def test_other_images_are_no_frames() -> None:
    files = reel([1], lambda number: pillow_file(Image.new("RGB", (64, 48)), "JPEG"), "p%d.tif")
    error = code_of(lambda: list(opened(files, [1], "p%d.tif").scan()))
    assert str(error).startswith("unsupported: p1.tif: is JPEG; frames are DPX, EXR, TIFF or PNG")


def test_restored_dpx_keeps_log_and_header() -> None:
    files = reel([1], lambda number: dpx(1, transfer=1, user=b"edge code"))
    reader = opened(files, [1])
    (frame,) = reader.scan()
    encoder = frame_encoder(PATTERN, reader.facts, LIMITS)
    (original,) = files.values()
    restored = frame.pixels.repeat(2, axis=0).repeat(2, axis=1)
    result = encoder(restored, original)
    assert result[2048:].startswith(b"edge code")
    assert (result[801], result[800]) == (1, 50)
    codes = codes_of(10, 3, SIZE, seed=1).repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(ffmpeg_codes(result, 10), codes)
    assert result[2048 + 9 :] == pixel_bytes(codes, 10, 1, ">")
    with pytest.raises(ValueError, match="uint16"):
        encoder(frame.pixels.astype(np.uint8), original)
    error = code_of(lambda: encoder(restored, b"no frame"))
    assert str(error).startswith("encode_error: reel/shot.%04d.dpx: the source frame's header cannot be used")


def test_what_cannot_be_written_says_what_can() -> None:
    reader = opened(reel([1]), [1])
    list(reader.scan())
    error = code_of(lambda: frame_encoder(PATTERN, replace(reader.facts, codec="jpeg2000"), LIMITS))
    assert (
        str(error) == "unsupported: reel/shot.%04d.dpx: frames of jpeg2000 cannot be written; choose --film-format ffv1"
    )

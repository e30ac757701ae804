"""Damage that decoders fill up in grey or white without a word is an error, or a warning with the share of rows lost."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from photo_files import code_of, pillow_file, smooth, tiff_file, with_tag
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.photo.decode import DecodeLimits, Photo, decode
from pipelines.media.photo.fax_codes import BLACK, WHITE, code_windows
from pipelines.media.photo.fax_faults import fax_fault
from pipelines.media.photo.jpeg_faults import jpeg_fault
from pipelines.media.photo.jpeg_markers import read_frame
from pipelines.media.photo.tiff_pages import read_tiff
from pipelines.rows import MANIFEST_SCHEMA, Row, new_row
from pipelines.settings import Settings
from pipelines.stages.decode import Decode

SIZE = (192, 256)
END = b"\xff\xd9"
PICTURE = smooth(3, SIZE)
JPEGS = {
    "plain": {},
    "optimised": {"optimize": True, "subsampling": 0},
    "restarts": {"restart_marker_rows": 1},
}


def jpeg(**options: object) -> bytes:
    return pillow_file(PICTURE, "JPEG", quality=90, **options)


def cut(data: bytes, share: float) -> bytes:
    """A JPEG whose coded pixels end after a share of them, closed as if that were all."""
    start = data.index(b"\xff\xda") + 14
    return data[: start + int((len(data) - start) * share)].rstrip(b"\xff") + END


def kept(data: bytes) -> Photo:
    return decode(data, "scans/a.jpg", DecodeLimits(), keep_damaged=True)


def spoilt(photo: Photo, whole: bytes) -> float:
    """Share of rows that are not those of the sound file."""
    return float((photo.pixels != decode(whole, "a", DecodeLimits()).pixels).any(axis=(1, 2)).mean())


def page(comp: str, seed: int = 0) -> bytes:
    """A fax page of runs of many lengths."""
    runs = np.random.default_rng(seed).integers(1, 90, 400)
    row = np.repeat(np.arange(400) % 2 == 0, runs)[:1700]
    rows = np.stack([np.roll(row, 3 * number) for number in range(200)])
    return pillow_file(Image.fromarray(rows.astype(np.uint8) * 255).convert("1"), "TIFF", compression=comp)


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_jpeg_closed_before_its_last_rows_is_not_taken_for_sound(kind: str, share: float) -> None:
    data = jpeg(**JPEGS[kind])
    damaged = cut(data, share)
    assert (code_of(data), code_of(damaged)) == ("", "truncated")
    photo, whole = kept(damaged), decode(data, "a", DecodeLimits())
    assert photo.lost_rows == pytest.approx(spoilt(photo, data), abs=16 / SIZE[0])
    assert whole.lost_rows is None
    assert "premature end of data segment" in photo.warnings[0]
    first_lost = int(SIZE[0] * (1 - photo.lost_rows)) - 16
    np.testing.assert_array_equal(photo.pixels[:first_lost], whole.pixels[:first_lost])
    assert (photo.pixels[-8:] == 128).all()


def test_a_jpeg_that_breaks_off_says_what_share_of_its_rows_is_lost() -> None:
    data = cut(jpeg(), 0.5)[:-2]
    assert code_of(data) == "truncated"
    assert kept(data).lost_rows == pytest.approx(spoilt(kept(data), jpeg()), abs=16 / SIZE[0])
    with pytest.raises(ItemError, match=r"a\.jpg: the picture is damaged: .*of its rows are lost; .*--damaged restore"):
        decode(data, "scans/a.jpg", DecodeLimits())


def test_a_marker_among_the_pixels_is_not_taken_for_the_end() -> None:
    data = bytearray(jpeg())
    middle = data.index(b"\xff\xda") + 14 + (len(data) - data.index(b"\xff\xda")) // 2
    data[middle : middle + 2] = END
    assert code_of(bytes(data)) == "truncated"


def test_codes_that_stand_for_nothing_are_found_and_placed() -> None:
    data = bytearray(jpeg(restart_marker_rows=1))
    start = data.index(b"\xff\xda") + 14
    third = [at for at in range(start, len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7][5]
    data[third + 4 : third + 24] = b"\xff\0" * 10  # more ones than any code word has
    assert code_of(bytes(data)) == "corrupt"
    photo = kept(bytes(data))
    assert photo.lost_rows == pytest.approx(0.5, abs=0.1)  # the sixth of twelve rows of blocks and all behind it
    assert "bad Huffman code" in photo.warnings[0]


def test_passes_that_are_missing_are_missed() -> None:
    data = jpeg(progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert code_of(data) == ""
    closed = data[: scans[-1]] + END
    assert code_of(closed) == "truncated"
    photo = kept(closed)
    assert (photo.lost_rows, photo.warnings[0].partition(";")[0]) == (
        0.0,
        "the picture is damaged: the last passes over the picture are missing, detail is lost",
    )
    assert code_of(data[: scans[1]] + END) == "truncated"


@pytest.mark.parametrize(
    "data",
    [
        jpeg() + b"\0" * 1000,
        jpeg()[:-2] + b"\0" * 7 + END,
        jpeg()[:-2],
        jpeg(progressive=True, restart_marker_blocks=3),
        pillow_file(smooth(1, SIZE), "JPEG"),
        pillow_file(Image.fromarray(smooth(4, SIZE), "CMYK"), "JPEG"),
        pillow_file(np.full((*SIZE, 3), 128, np.uint8), "JPEG"),
    ],
    ids=["bytes behind", "bytes before the end", "no end marker", "progressive", "grey", "CMYK", "all grey"],
)
def test_odd_and_sound_jpeg_is_never_refused(data: bytes) -> None:
    photo = decode(data, "a", DecodeLimits())
    assert photo.lost_rows is None
    assert not [line for line in photo.warnings if "damaged:" in line]


def test_strips_of_jpeg_in_a_tiff_are_looked_at_too() -> None:
    data = tiff_file(PICTURE, photometric="ycbcr", compression="jpeg", rowsperstrip=64)
    header = read_tiff(data)
    assert (len(header.offsets), code_of(data)) == (3, "")
    middle = int(header.offsets[1]) + int(header.sizes[1]) * 4 // 5  # behind the strip's tables
    damaged = data[:middle] + END + data[middle + 2 :]
    assert code_of(damaged) == "truncated"


def test_lossless_jpeg_never_reaches_a_decoder_that_overflows() -> None:
    # simplejpeg 1.9 writes whole lossless pictures into the buffer of an eighth, which ends the process.
    packed = imagecodecs.ljpeg_encode(PICTURE[..., 0], bitspersample=8)
    assert read_frame(packed).lossless
    data = bytearray(tiff_file(PICTURE[..., 0], photometric="minisblack", compression="jpeg", rowsperstrip=SIZE[0]))
    place = len(data)
    data = bytearray(with_tag(bytes(with_tag(bytes(data + packed), 273, place)), 279, len(packed)))
    assert code_of(bytes(data)) in {"", "corrupt", "unsupported"}
    assert jpeg_fault(packed) is None


@pytest.mark.parametrize("comp", ["group4", "group3", "tiff_ccitt"])
def test_sound_fax_pages_have_no_fault(comp: str) -> None:
    data = page(comp)
    assert fax_fault(data, read_tiff(data)) is None


def test_bad_code_words_of_a_fax_are_not_taken_for_lines() -> None:
    data = bytearray(page("group4"))
    header = read_tiff(bytes(data))
    middle = int(header.offsets[0]) + int(header.sizes[0]) // 2
    data[middle : middle + 200] = bytes(200)
    Image.open(io.BytesIO(data)).load()  # libtiff gives white and says nothing
    assert code_of(bytes(data)) == "corrupt"
    photo = kept(bytes(data))
    assert photo.lost_rows == pytest.approx(0.5, abs=0.1)
    assert "a bad code word in line" in photo.warnings[0]


def test_a_spoilt_line_of_a_group_3_fax_is_a_warning() -> None:
    data = bytearray(page("group3"))
    header = read_tiff(bytes(data))
    data[int(header.offsets[0]) + int(header.sizes[0]) // 2] ^= 0x10
    photo = decode(bytes(data), "a", DecodeLimits())
    assert photo.lost_rows == pytest.approx(1 / 200)
    assert "of its rows is lost" in photo.warnings[0]


def test_code_words_of_fax_are_those_of_an_encoder() -> None:
    # Rows of one white and one black run: what an encoder writes for them is read back by the tables.
    for length in (*range(1, 130), 640, 1727, 1728, 1792, 2560, 2623):
        row = np.repeat(np.array([[0, 1]], np.uint8), [length, length], axis=1)
        packed = pillow_file(Image.fromarray(row * 255).convert("1"), "TIFF", compression="tiff_ccitt")
        header = read_tiff(packed)
        windows, at, found = code_windows(packed[int(header.offsets[0]) :][: int(header.sizes[0])]), 0, []
        for table in (WHITE, BLACK):
            total, last = 0, 64
            while last >= 64:
                bits, last = table[windows[at]]
                at, total = at + bits, total + last
            found.append(total)
        assert found == [length, length]


def test_a_damaged_scan_fails_or_is_restored_with_its_loss_in_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.jpg").write_bytes(cut(jpeg(), 0.5))

    def row_of(**choice: Any) -> Row:
        settings = Settings(source=str(tmp_path / "scans"), output=str(tmp_path / "out"), **choice)
        (row,) = Decode(settings).core(new_row(source_path="a.jpg", item_id="a"))
        return row

    with pytest.raises(ItemError, match="--damaged restore") as raised:
        row_of()
    assert raised.value.code == "truncated"
    row = row_of(damaged="restore")
    assert 0.25 < (row["lost_rows"] or 0.0) < 1
    assert "of its rows are lost" in row["warnings"][0]
    assert "lost_rows" in MANIFEST_SCHEMA.names
    assert Settings(damaged="restore").result_digest() == Settings().result_digest()

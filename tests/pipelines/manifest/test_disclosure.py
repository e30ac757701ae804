"""What results say of their making: true of what was done, the same each time, and read by others than us."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from archive_steps import archive_settings, full_row, restore_without_model, save_photo
from metadata import exiftool, needs_exiftool
from photo_files import noise
from PIL import Image

from pipelines.manifest.disclosure import disclosure_of
from pipelines.manifest.reader import current_rows
from pipelines.media.photo.encode import encode
from pipelines.rows import Row
from pipelines.setting_types import SourceType
from pipelines.settings import Settings
from pipelines.store.store import Store

ENHANCED, COMPOSITE = "algorithmicallyEnhanced", "compositeWithTrainedAlgorithmicMedia"


def row(marks: int | None = None, **changes: Any) -> Row:
    settings = Settings(**({"preset": "nano"} | changes))
    result = full_row(settings=json.dumps(settings.result_settings()), prompt=None, tone_curve=None)
    result["damage_marks"] = marks
    return result


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (row(), ENHANCED),
        (row(marks=3, repair_damage="mark"), ENHANCED),
        (row(marks=0, repair_damage="fill"), ENHANCED),
        (row(marks=3, repair_damage="fill"), COMPOSITE),
        (row(detail=0.25), COMPOSITE),
        (row(preset="tiny"), COMPOSITE),
        (row(preset="sdxl"), COMPOSITE),
    ],
)
def test_the_source_type_says_whether_anything_was_drawn(given: Row, kind: str) -> None:
    assert disclosure_of(given).source_type == f"http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"


def test_a_setting_overrules_it() -> None:
    for word in get_args(SourceType)[1:]:
        assert disclosure_of(row(), word).source_type.endswith(f"/{word}")


def test_it_names_source_model_settings_and_steps() -> None:
    given = row(marks=3, repair_damage="fill")
    given["prompt"] = "a mill & its <wheel>\x00"
    found = disclosure_of(given)
    text = found.xmp().decode()
    for part in (
        given["source_sha256"],
        given["model_digest"],
        given["settings_digest"],
        given["identity"],
        "preset nano",
    ):
        assert str(part) in text
    assert "found 3 marks of damage and filled the narrow ones" in text
    assert "a mill &amp; its &lt;wheel&gt;\ufffd" in text
    assert ElementTree.fromstring(text).tag == "{adobe:ns:meta/}xmpmeta"
    assert found.tags()["AI_PROMPT_INFORMATION"] == given["prompt"]
    assert "AI_PROMPT_INFORMATION" not in disclosure_of(row()).tags()
    assert disclosure_of(given).xmp() == found.xmp()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_each_format_holds_it_beside_the_same_pixels(format: str, channels: int, dtype: type) -> None:
    pixels, packet = noise(channels, dtype), disclosure_of(row()).xmp()
    data = encode(pixels, format=format, dpi=(300, 300), xmp=packet)
    assert encode(pixels, format=format, dpi=(300, 300), xmp=packet) == data
    plain = encode(pixels, format=format, dpi=(300, 300))
    assert packet not in plain
    if format == "TIFF":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            assert file.pages[0].tags[700].value == packet
            np.testing.assert_array_equal(file.asarray(), pixels[..., 0] if channels == 1 else pixels)
        return
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(plain)) as without:
        found = image.info["XML:com.adobe.xmp"].encode() if "XML:com.adobe.xmp" in image.info else image.info["xmp"]
        assert found == packet
        np.testing.assert_array_equal(np.asarray(image), np.asarray(without))


@needs_exiftool
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_exiftool_reads_it(format: str, tmp_path: Path) -> None:
    given = row()
    path = tmp_path / f"result.{format.lower()}"
    path.write_bytes(encode(noise(3), format=format, xmp=disclosure_of(given).xmp()))
    found = exiftool(path)
    assert found["XMP-iptcExt:DigitalSourceType"].endswith(ENHANCED)
    assert found["XMP-xmp:CreatorTool"].startswith("FaithArchive ")
    assert found["XMP-xmpMM:DerivedFrom"] == {"DocumentID": f"urn:sha256:{given['source_sha256']}"}
    (event,) = found["XMP-xmpMM:History"]
    assert event["Action"] == "edited"
    assert str(given["model_digest"]) in event["Parameters"]
    assert not [name for name in found if "Warning" in name]


def test_results_say_it_unless_a_reason_is_given(tmp_path: Path) -> None:
    for changes, expected in (({}, ENHANCED), ({"disclosure": False, "undisclosed_because": "training data"}, None)):
        folder = tmp_path / str(expected)
        settings = archive_settings(folder, **({"preset": "nano"} | changes))
        save_photo(folder / "scans" / "a.png")
        restore_without_model(settings)
        (found,) = current_rows(Store(settings.output)).values()
        with Image.open(folder / "restored" / "a.png") as image:
            assert ("XML:com.adobe.xmp" in image.info) == (expected is not None)
        assert (found["disclosure"] or "").rpartition("/")[2] == (expected or "")
        sidecar = json.loads((folder / "restored" / "a.png.restoration.json").read_bytes())
        assert sidecar["disclosure"] == found["disclosure"]


def test_silence_needs_a_reason() -> None:
    with pytest.raises(ValueError, match=r"disclosure is off: .* say in undisclosed_because why"):
        Settings(disclosure=False)
    with pytest.raises(ValueError, match="undisclosed_because"):
        Settings(disclosure=False, undisclosed_because=" ")
    silent = Settings(disclosure=False, undisclosed_because="a test set that never leaves the house")
    assert silent.result_settings()["disclosure"] is False
    assert silent.result_digest() != Settings().result_digest()

"""What an item is by its name, and where a film's result goes."""

from __future__ import annotations

import pytest

from pipelines.manifest.naming import frames_folder, output_extension, output_format, plain_output
from pipelines.media.kinds import is_sequence, kind_of, looks_numbered, plain_stem
from pipelines.setting_types import Formats


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("1924/print.tif", "photo"),
        ("reel.MKV", "film"),
        ("a/b.mov", "film"),
        ("reel/shot.%06d.dpx", "film"),
        ("reel/shot.%04d.tif", "film"),
        ("one.dpx", "film"),
        ("one.exr", "film"),
        ("notes.txt", None),
        ("sound.wav", None),
        ("noextension", None),
        (".mkv", None),
        ("100%.png", "photo"),
        ("100%%d.png", "photo"),
    ],
)
def test_kinds(path: str, kind: str | None) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize(
    ("name", "numbered"),
    [
        ("a%d.png", True),
        ("a%06d.png", True),
        ("%d", True),
        ("a%%d.png", False),
        ("a%%%d.png", True),
        ("50%dpi.png", True),
    ],
)
def test_the_place_of_a_number(name: str, numbered: bool) -> None:
    assert looks_numbered(f"folder%d/{name}") == numbered
    assert not looks_numbered("folder%d/plain.png")
    assert is_sequence(name) == numbered


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("shot.%06d.dpx", "shot"),
        ("shot_%d.png", "shot"),
        ("%06d.dpx", "frames"),
        ("clip.dpx", "clip"),
        ("50%%_%04d.tif", "50%"),
        ("A012 - %d.exr", "A012"),
    ],
)
def test_the_stem_of_a_sequence(name: str, stem: str) -> None:
    assert plain_stem(name) == stem


@pytest.mark.parametrize(
    ("path", "formats", "output"),
    [
        ("reels/a.mov", Formats("auto", "auto"), "reels/a.mkv"),
        ("reels/a.mov", Formats("auto"), "reels/a.mkv"),
        ("reels/a.mov", Formats("webp", "prores"), "reels/a.mov"),
        ("reels/a.avi", Formats("auto", "h264"), "reels/a.mp4"),
        ("reels/s.%04d.dpx", Formats("auto", "auto"), "reels/s.sha256"),
        ("reels/s.%04d.dpx", Formats("auto", "ffv1"), "reels/s.mkv"),
        ("reels/s.%04d.tif", Formats("png", "auto"), "reels/s.sha256"),
        ("print.tif", Formats("auto", "h264"), "print.tif"),
        ("print.jpg", Formats("webp", "h264"), "print.webp"),
    ],
)
def test_outputs(path: str, formats: Formats, output: str) -> None:
    assert plain_output(path, formats) == output
    assert output.endswith(output_extension(path, formats))


def test_frames_lie_beside_their_list() -> None:
    assert output_format("s.%04d.dpx", Formats()) == "sequence"
    assert frames_folder("reels/s.sha256") == "reels/s.frames"

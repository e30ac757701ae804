"""`faitharchive attribute` as a person meets it: a picture with a heat map a word, or one line that says why not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main as cli
from jobs.cli.attribute import CELL, COLUMNS, GAP, LABEL, draw_sheet

FAST = ["--preset", "tiny", "--steps", "1", "--guidance-scale", "1"]
PROMPT = ["--prompt", "A dog on the  green grass"]


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    Image.effect_noise((40, 30), 80).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def attribute(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["faitharchive", "attribute", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_command_in_a_process_of_its_own(scan: Path) -> None:
    output = scan.with_name("maps.png")
    command = [
        sys.executable,
        "-c",
        "from jobs.cli.main import main; main()",
        "attribute",
        scan,
        *PROMPT,
        "--word",
        "dog",
    ]
    done = subprocess.run(
        [*map(str, command), "--word", "grass", "--output", str(output), *FAST],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "4 pictures, with maps of dog, grass" in done.stdout
    assert "untrained" in done.stderr
    assert "Traceback" not in done.stderr
    with Image.open(output) as picture:
        pixels = np.asarray(picture)
    height = round(CELL * 30 / 40)
    assert pixels.shape == (GAP + height + LABEL + GAP, GAP + 4 * (CELL + GAP), 3)
    cells = [pixels[GAP : GAP + height, GAP + i * (CELL + GAP) :][:, :CELL].astype(int) for i in range(4)]
    spread = [np.ptp(cell, axis=2).max() for cell in cells]
    assert spread[0] == spread[1] == 0  # the scan is grey, and stays so
    assert min(spread[2:]) > 100  # heat maps are not
    assert not np.array_equal(cells[2], cells[3])


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "CMYK"])
@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_any_scan_and_any_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str, suffix: str) -> None:
    scan = tmp_path / "scan.tif"
    image = Image.effect_noise((20, 33), 80)
    (Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)).save(scan)
    before = scan.read_bytes()
    output = tmp_path / f"maps{suffix}"
    arguments = [scan, *PROMPT, "--word", "green grass", "-o", output, *FAST, "--upscale", "1"]
    assert attribute(monkeypatch, *arguments) == 0
    with Image.open(output) as picture:
        assert picture.size == (GAP + 3 * (round(CELL * 20 / 33) + GAP), GAP + CELL + LABEL + GAP)
    assert scan.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["SCAN", *PROMPT, "--word", "cat", "-o", "OUT.png"],
            "'cat' is not a word of the prompt; its words: A, dog, on",
        ),
        (["SCAN", *PROMPT, "-o", "OUT.png"], "Missing option '--word'"),
        (["SCAN", "--word", "dog", "-o", "OUT.png"], "Missing option '--prompt'"),
        (["SCAN", *PROMPT, "--word", "dog"], "Missing option '--output'"),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "OUT.docx"], "not a picture's name; end it in one of .png"),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "/no/such/maps.png"], "there is no folder /no/such; make it first"),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "SCAN"], "which is never written to; choose another name"),
        (["/no/such.png", *PROMPT, "--word", "dog", "-o", "OUT.png"], "image /no/such.png: cannot be read"),
        (["TEXT", *PROMPT, "--word", "dog", "-o", "OUT.png"], "image notes.txt: "),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "OUT.png", "--upscale", "9"], "upscale is 9"),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "OUT.png", "--preset", "sdxl", "--base", "/no/base"], "/no/base"),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "OUT.png", "--max-pixels", "100"], "100"),
        (["SCAN", *PROMPT, "--word", "dog", "-o", "OUT.png", "--replicas", "2"], "No such option"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], scan: Path, arguments: list[str], words: str
) -> None:
    notes = scan.with_name("notes.txt")
    notes.write_text("no picture")
    places = {"SCAN": str(scan), "TEXT": str(notes), "OUT": str(scan.with_name("maps"))}
    given = [next((a.replace(k, v) for k, v in places.items() if a.startswith(k)), a) for a in arguments]
    assert attribute(monkeypatch, *given, *(FAST if "--preset" not in given else [])) == 2
    errors = capfd.readouterr().err
    assert " ".join(words.split()) in " ".join(errors.replace("│", " ").split())
    assert "Traceback" not in errors
    assert sorted(path.name for path in scan.parent.iterdir()) == ["notes.txt", "scan.png"]


def test_a_preset_without_text(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], scan: Path) -> None:
    def without_text(spec: object, options: object) -> SimpleNamespace:
        unet = SimpleNamespace(core=SimpleNamespace(named_modules=lambda: []))
        return SimpleNamespace(unet=unet, config=SimpleNamespace(name="mute"), prompt_encoder=None, trained=True)

    monkeypatch.setattr("faithdiff_model.build.build_restorer", without_text)
    assert attribute(monkeypatch, scan, *PROMPT, "--word", "dog", "-o", scan.with_name("maps.png"), *FAST) == 2
    assert "preset mute takes no text" in " ".join(capfd.readouterr().err.split())
    assert not scan.with_name("maps.png").exists()


def test_settings_come_from_a_file_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], scan: Path
) -> None:
    file = scan.with_name("settings.yaml")
    file.write_text("steps: 1\npreset: tiny\nupscale: 3\nreplicas: 2\ntile: 64\n")
    wanted = [scan, *PROMPT, "--word", "dog", "-o", scan.with_name("maps.png"), "--config", file]
    assert attribute(monkeypatch, *wanted) == 0
    file.write_text("stops: 1\n")
    assert attribute(monkeypatch, *wanted) == 2
    assert "unknown setting 'stops'" in " ".join(capfd.readouterr().err.split())


def test_flags_are_those_that_matter(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert attribute(monkeypatch, "--help") == 0
    text = capfd.readouterr().out
    for flag in ("--prompt", "--word", "--output", "--config", "--preset", "--base", "--steps", "--seed", "--device"):
        assert flag in text
    for flag in ("--tile", "--replicas", "--redo", "--captions", "--compile", "SOURCE"):
        assert flag not in text


@pytest.mark.parametrize("count", [1, COLUMNS, COLUMNS + 1])
def test_pictures_in_rows(count: int) -> None:
    sheet = draw_sheet([(f"{number}", np.full((20, 10, 3), 10 * number, np.uint8)) for number in range(count)])
    columns, rows = min(count, COLUMNS), -(-count // COLUMNS)
    assert sheet.size == (GAP + columns * (CELL // 2 + GAP), GAP + rows * (CELL + LABEL + GAP))
    for number in range(count):
        at = (GAP + number % COLUMNS * (CELL // 2 + GAP) + 9, GAP + number // COLUMNS * (CELL + LABEL + GAP) + 9)
        assert sheet.getpixel(at) == (10 * number,) * 3


def test_a_label_stays_under_its_picture() -> None:
    blank = np.zeros((100, 20, 3), np.uint8)
    narrow = np.asarray(draw_sheet([("a very long word \x1b[31m of the prompt " * 4, blank), ("", blank)]))
    beyond = narrow[:, GAP + round(CELL / 5) :][:, :GAP]
    assert (beyond == narrow[0, 0]).all()
    assert (narrow[GAP + CELL : -GAP, GAP : GAP + round(CELL / 5)] != narrow[0, 0]).any()

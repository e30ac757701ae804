"""`faitharchive evaluate` as a person meets it: tables in a folder, or one line that says why not."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from typer.testing import CliRunner

from faithdiff_model.evaluation.labels import METRIC_NAMES, OWN
from faithdiff_model.presets import PRESETS
from jobs.cli import main as cli

FAST = ["--preset", "tiny", "--steps", "1"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAITHARCHIVE_GUIDANCE_SCALE", "1")
    monkeypatch.setenv("FAITHARCHIVE_DEVICE", "cpu")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """`hq` with two photographs of 64x48, `lq` with both at half size."""
    for name, corner in (("a", 60), ("1924/b", 140)):
        pixels = np.ascontiguousarray(data.astronaut()[corner : corner + 48, 150:214])
        for folder, part, suffix in (("hq", pixels, "png"), ("lq", pixels[::2, ::2], "jpg")):
            path = tmp_path / folder / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(part).save(path)
    return tmp_path


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command as the shell does; its exit code."""
    monkeypatch.setattr(sys, "argv", ["faitharchive", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_paired_folders(folders: Path) -> None:
    output = folders / "tables"
    results = [
        str(item) for item in ("--hq", folders / "hq", "--lq", folders / "lq", "--output", output, "--seed", "4")
    ]
    done = CliRunner().invoke(cli.app, ["evaluate", *results, *FAST, "--results", f"perfect={folders / 'hq'}"])
    assert done.exit_code == 0, done.output
    assert "8 rows measured, 0 failed. Open" in done.output
    assert "tiny is untrained" in done.output
    rows = pq.read_table(output / "per-image.parquet").to_pylist()
    assert [(row["image"], row["method"]) for row in rows] == [
        (image, method) for image in ("1924/b", "a") for method in ("bicubic", "lanczos", "perfect", "tiny")
    ]
    assert {(row["width"], row["height"], row["lq_width"], row["lq_height"]) for row in rows} == {(64, 48, 32, 24)}
    by_method = {row["method"]: row for row in rows if row["image"] == "a"}
    assert by_method["perfect"]["psnr_y"] == 100
    assert by_method["perfect"]["seconds"] is None
    assert 15 < by_method["bicubic"]["psnr_y"] < 50
    assert by_method["tiny"]["psnr_y"] < by_method["lanczos"]["psnr_y"]
    text = (output / "summary.md").read_text(encoding="utf-8")
    assert "## paired (2 images)" in text
    assert "| perfect | 2      | **100.00**" in text
    assert "steps 1, guidance_scale 1.0, sampler euler" in text
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert summary["asked"]["seed"] == 4
    assert summary["methods"]["tiny"]["guidance_scale"] == 1
    assert [row["steps"] for row in summary["run_time"]] == [None, None, None, 1]
    assert sorted(path.name for path in output.iterdir()) == ["per-image.parquet", "summary.json", "summary.md"]


def test_degradations_with_images_kept_and_the_same_again(monkeypatch: pytest.MonkeyPatch, folders: Path) -> None:
    given = ["--hq", folders / "hq", "--degradation", "level-I", "--degradation", "archive", "--preset", "none"]
    given += ["--metrics", "ssim_rgb", "--metrics", "gmsd", "--limit", "1"]
    assert evaluate(monkeypatch, *given, "--output", folders / "first", "--save-images") == 0
    rows = pq.read_table(folders / "first" / "per-image.parquet").to_pylist()
    assert [(row["degradation"], row["image"], row["method"]) for row in rows] == [
        (degradation, "1924/b", method) for degradation in ("level-I", "archive") for method in ("bicubic", "lanczos")
    ]
    assert list(rows[0])[-2:] == ["ssim_rgb", "gmsd"]
    images = folders / "first" / "images"
    kept = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    assert kept == sorted(
        f"{degradation}/{kind}/1924/b.png"
        for degradation in ("level-I", "archive")
        for kind in ("hq", "lq", "bicubic", "lanczos")
    )
    # What was kept can be measured as another method's results, and is the same.
    for degradation in ("level-I", "archive"):
        (folders / "other" / degradation).parent.mkdir(exist_ok=True)
        (images / degradation / "lanczos").rename(folders / "other" / degradation)
    again = [*given, "--output", folders / "again", "--results", f"other={folders / 'other'}"]
    assert evaluate(monkeypatch, *again) == 0
    second = pq.read_table(folders / "again" / "per-image.parquet").to_pylist()
    figures = {(row["degradation"], row["method"]): (row["ssim_rgb"], row["gmsd"], row["seed"]) for row in second}
    for degradation in ("level-I", "archive"):
        assert figures[degradation, "other"] == figures[degradation, "lanczos"]
    for row in rows:
        assert figures[row["degradation"], row["method"]] == (row["ssim_rgb"], row["gmsd"], row["seed"])


def test_an_image_that_cannot_be_read_is_a_failed_row(
    monkeypatch: pytest.MonkeyPatch, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "hq" / "a.png").write_bytes((folders / "hq" / "a.png").read_bytes()[:900])
    output = folders / "tables"
    given = ["--hq", folders / "hq", "--lq", folders / "lq", "--output", output, "--preset", "none"]
    assert evaluate(monkeypatch, *given) == 1
    printed = capsys.readouterr()
    assert "2 rows measured, 2 failed" in printed.out
    assert "Traceback" not in printed.err
    failed = [row for row in pq.read_table(output / "per-image.parquet").to_pylist() if row["status"] == "failed"]
    assert [(row["image"], row["method"]) for row in failed] == [("a", "bicubic"), ("a", "lanczos")]
    assert {row["reason"].partition(":")[0] for row in failed} == {"a.png"}
    assert "| a     | paired      | bicubic, lanczos | a.png: " in (output / "summary.md").read_text(encoding="utf-8")


def test_wrong_commands_are_one_line(
    monkeypatch: pytest.MonkeyPatch, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hq, lq, output = folders / "hq", folders / "lq", folders / "tables"
    (folders / "file").touch()
    (folders / "empty").mkdir()
    paired = ["--hq", hq, "--lq", lq]
    cases: list[tuple[list[str | Path], str]] = [
        (["--hq", hq], "neither by --lq nor by --degradation"),
        ([*paired, "--degradation", "archive"], "by --lq and by --degradation: give one of the two"),
        (["--hq", folders / "absent", "--lq", lq], "absent: is not a folder; check the path"),
        (["--hq", hq, "--lq", folders / "empty"], "empty: no photograph in it"),
        (["--hq", hq, "--degradation", "level-V"], "there is no degradation 'level-V'"),
        ([*paired, "--metrics", "beauty"], "there is no metric 'beauty'"),
        ([*paired, "--preset", "huge"], "'huge' is not a preset"),
        ([*paired, "--preset", "tiny", "--preset", "tiny"], "--preset tiny is given twice"),
        ([*paired, "--results", "other"], "--results other: is not NAME=DIR"),
        ([*paired, "--results", f"other={folders / 'absent'}"], "absent: is not a folder"),
        ([*paired, "--results", f"bicubic={hq}"], "two methods are called bicubic"),
        ([*paired, "--results", f"lq={hq}"], "a method cannot be called 'lq'"),
        ([*paired, "--results", f"x={hq}", "--results", f"x={lq}"], "--results x is given twice"),
        ([*paired, *FAST, "--sampler", "slow"], "sampler is 'slow'"),
        ([*paired, *FAST, "--seed", "-1"], "seed is -1"),
        ([*paired, *FAST, "--device", "gpu"], "device is 'gpu'"),
        ([*paired, "--ocr", "--ocr-language", "xyz"], "rapidocr has no languages to choose"),
    ]
    for arguments, said in cases:
        network = [] if "--preset" in arguments else ["--preset", "none"]
        assert evaluate(monkeypatch, *arguments, *network, "--output", output) == 2, said
        printed = " ".join(capsys.readouterr().err.split())
        assert printed.startswith("error:"), printed
        assert said in printed
        assert "Traceback" not in printed
    for place, said in (
        (hq / "inside", "lies in --hq"),
        (lq, "lies in --lq"),
        (folders / "file", "is a file; choose a folder"),
    ):
        assert evaluate(monkeypatch, *paired, "--preset", "none", "--output", place) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    kept = folders / "out" / "images" / "paired" / "hq"
    kept.parent.mkdir(parents=True)
    hq.rename(kept)
    given = ["--hq", kept, "--lq", lq, "--preset", "none", "--output", folders / "out", "--save-images"]
    assert evaluate(monkeypatch, *given) == 2
    assert "where images are to be kept" in " ".join(capsys.readouterr().err.split())
    assert not output.exists()
    assert not (hq / "inside").exists()


@pytest.mark.parametrize("program", ["rapidocr", "tesseract"])
def test_text_is_read_by_the_real_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    if program == "tesseract" and shutil.which("tesseract") is None:
        pytest.skip("the program tesseract is not installed here (Debian: apt-get install tesseract-ocr)")
    pytest.importorskip("pytesseract" if program == "tesseract" else program, reason="the extra ocr is not installed")
    page = Image.new("L", (500, 160), 255)
    ImageDraw.Draw(page).multiline_text((20, 20), "GRAND HOTEL\nOpen 14 July 1912", 0, ImageFont.load_default(40))
    for folder, size in (("hq", (500, 160)), ("lq", (83, 27))):
        (tmp_path / folder).mkdir()
        page.resize(size, Image.Resampling.BOX).save(tmp_path / folder / "sign.png")
    (tmp_path / "hq" / "sign.txt").write_text("Grand Hotel\nOpen 14 July 1912\n", encoding="utf-8")
    given = [
        "--hq",
        tmp_path / "hq",
        "--lq",
        tmp_path / "lq",
        "--output",
        tmp_path / "out",
        "--preset",
        "none",
        "--ocr",
        "--ocr-program",
        program,
    ]
    assert evaluate(monkeypatch, *given, "--metrics", "ssim_y", "--results", f"perfect={tmp_path / 'hq'}") == 0
    rows = {row["method"]: row for row in pq.read_table(tmp_path / "out" / "per-image.parquet").to_pylist()}
    assert rows["perfect"]["ocr_word_recall"] == rows["perfect"]["ocr_char_precision"] == 1
    assert rows["bicubic"]["ocr_word_recall"] < 0.7
    assert {row["ocr_reference"] for row in rows.values()} == {"file"}
    text = (tmp_path / "out" / "summary.md").read_text(encoding="utf-8")
    assert "OCR words, recall ↑" in text
    assert f"{program} " in text


def test_a_lone_image_is_named(
    monkeypatch: pytest.MonkeyPatch, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folders / "lq" / "1924" / "b.jpg").unlink()
    given = ["--hq", folders / "hq", "--lq", folders / "lq", "--output", folders / "tables"]
    assert evaluate(monkeypatch, *given, "--preset", "none") == 2
    assert f"1924/b is in {folders / 'hq'} but not in {folders / 'lq'}" in " ".join(capsys.readouterr().err.split())


def test_a_metric_that_is_not_to_be_had(
    monkeypatch: pytest.MonkeyPatch, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)  # as if it were not installed
    given = ["--hq", folders / "hq", "--lq", folders / "lq", "--output", folders / "tables", "--preset", "none"]
    assert evaluate(monkeypatch, *given, "--metrics", "lpips") == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "metric lpips needs pyiqa, which" in printed
    assert 'pip install "faitharchive[metrics]"' in printed


def test_the_default_network_is_the_settings_one(monkeypatch: pytest.MonkeyPatch, folders: Path) -> None:
    monkeypatch.setenv("FAITHARCHIVE_PRESET", "tiny")
    monkeypatch.setenv("FAITHARCHIVE_STEPS", "1")
    monkeypatch.setenv("FAITHARCHIVE_COLOUR_FIX", "wavelet")
    given = ["--hq", folders / "hq", "--lq", folders / "lq", "--output", folders / "tables", "--limit", "1"]
    assert evaluate(monkeypatch, *given, "--metrics", "psnr_y") == 0
    summary = json.loads((folders / "tables" / "summary.json").read_text(encoding="utf-8"))
    assert list(summary["methods"]) == ["bicubic", "lanczos", "tiny"]
    assert summary["methods"]["tiny"]["colour_fix"] == "wavelet"
    assert summary["methods"]["tiny"]["trained"] is False


def test_help_names_every_metric_and_preset_default() -> None:
    shown = " ".join(CliRunner().invoke(cli.app, ["evaluate", "--help"]).output.replace("│", " ").split())
    for name in METRIC_NAMES:
        assert name in shown
    assert f"{', '.join(label.name for label in OWN)} (these by default)" in shown
    assert any(f"Network to measure, {name} by default" in shown for name in PRESETS)

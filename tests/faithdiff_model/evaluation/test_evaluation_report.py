"""Whole evaluations with methods whose figures are known, and the tables that come out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from faithdiff_model.evaluation.data import PAIRED, Pair
from faithdiff_model.evaluation.fidelity import psnr_rgb, ssim_y
from faithdiff_model.evaluation.labels import OWN, Label
from faithdiff_model.evaluation.methods import Method
from faithdiff_model.evaluation.metrics import Metric, SetMetric, prepare_metrics
from faithdiff_model.evaluation.report import to_markdown, write_report
from faithdiff_model.evaluation.run import FAILED, MEASURED, Evaluation, Plan, evaluate

FIXED = [
    "image", "degradation", "method", "seed", "status", "reason", "width", "height", "lq_width", "lq_height", "seconds",
    "ocr_reference",
]  # fmt: skip
REFERENCES = {
    name: np.random.default_rng(number).integers(30, 200, (24, 32, 3)).astype(np.uint8)
    for number, name in enumerate(("a", "b|c", "1924/d"))
}


def read(path: Path) -> np.ndarray:
    name = path.with_suffix("").as_posix()
    if name == "bad":
        raise ValueError("bad.png: the file ends | early; copy it again")
    return REFERENCES[name] if path.suffix == ".png" else REFERENCES[name][::2, ::2]


def pair(name: str, degradation: str = PAIRED) -> Pair:
    lq = Path(f"{name}.jpg") if degradation == PAIRED else None
    return Pair(name=name, degradation=degradation, seed=2**62, hq=Path(f"{name}.png"), lq=lq)


def brighter(name: str, by: int, **facts: Any) -> Method:
    def run(lq: np.ndarray, height: int, width: int, pair: Pair) -> np.ndarray:
        assert lq.shape == (height // 2, width // 2, 3)
        return REFERENCES[pair.name] + np.uint8(by)

    return Method(name=name, run=run, **facts)


def plan(names: Sequence[str], methods: Sequence[Method], **changes: Any) -> Plan:
    metrics = [Metric(label, prepare_metrics([label.name], "cpu")[0][0].measure) for label in OWN]
    return replace(Plan(pairs=[pair(n) for n in names], methods=methods, metrics=metrics, read=read), **changes)


def test_rows_have_the_figures_of_the_measures() -> None:
    seen: list[dict[str, Any]] = []
    done = evaluate(plan(["a", "b|c"], [brighter("far", 40), brighter("near", 5)]), seen.append)
    assert seen == done.rows
    assert [(row["image"], row["method"]) for row in done.rows] == [
        ("a", "far"), ("a", "near"), ("b|c", "far"), ("b|c", "near"),
    ]  # fmt: skip
    for row in done.rows:
        assert list(row) == [*FIXED, *(label.name for label in OWN)]
        assert (row["status"], row["reason"], row["seed"]) == (MEASURED, None, 2**62)
        assert [row[name] for name in ("width", "height", "lq_width", "lq_height")] == [32, 24, 16, 12]
        assert row["seconds"] > 0
        reference = REFERENCES[row["image"]]
        result = reference + np.uint8(40 if row["method"] == "far" else 5)
        assert (
            row["psnr_rgb"]
            == psnr_rgb(result, reference)
            == pytest.approx(20 * math.log10(255 / (result - reference)[0, 0, 0]))
        )
        assert row["ssim_y"] == ssim_y(result, reference)


def test_failures_are_rows_and_the_rest_goes_on() -> None:
    def run(lq: np.ndarray, height: int, width: int, pair: Pair) -> np.ndarray:
        if pair.name == "a":
            raise RuntimeError("CUDA out of\nmemory")
        return REFERENCES[pair.name][:-1]

    methods = [brighter("good", 5), Method(name="broken", run=run)]
    done = evaluate(plan(["bad", "a", "b|c"], methods))
    found = [(row["image"], row["method"], row["status"], row["reason"]) for row in done.rows]
    assert found == [
        ("bad", "good", FAILED, "bad.png: the file ends | early; copy it again"),
        ("bad", "broken", FAILED, "bad.png: the file ends | early; copy it again"),
        ("a", "good", MEASURED, None),
        ("a", "broken", FAILED, "RuntimeError: CUDA out of memory"),
        ("b|c", "good", MEASURED, None),
        (
            "b|c",
            "broken",
            FAILED,
            "broken of b|c is 32x23 pixels, its reference 32x24: results must have the reference's size",
        ),
    ]
    assert done.rows[0]["psnr_y"] is None
    assert list(done.rows[0]) == list(done.rows[2])


def test_parquet_has_a_row_an_image_and_method(tmp_path: Path) -> None:
    asked = plan(["bad", "a"], [brighter("near", 5)])
    done = evaluate(asked)
    write_report(tmp_path / "new" / "folder", asked, done, {})
    table = pq.read_table(tmp_path / "new" / "folder" / "per-image.parquet")
    assert table.column_names == [*FIXED, *(label.name for label in OWN)]
    assert table.schema.field("seed").type == pa.int64()
    assert {table.schema.field(label.name).type for label in OWN} == {pa.float64()}
    assert table.to_pylist() == done.rows


def test_summary(tmp_path: Path) -> None:
    methods = [
        brighter("far", 40, parameters=0, device="a CPU"),
        brighter(
            "near",
            5,
            parameters=2_612_000_000,
            steps=20,
            device="a GPU",
            made_by={"model_digest": "0123abc", "preset": "x"},
        ),
        brighter("given", 5, timed=False, trained=False),
    ]
    asked = plan(["a", "b|c", "bad"], methods)
    done = evaluate(asked)
    for number, row in enumerate(done.rows):
        row["seconds"] = None if row["method"] == "given" or row["status"] == FAILED else (7.0, 0.25)[number // 3]
    path = write_report(tmp_path, asked, done, {"seed": 7})
    text = path.read_text(encoding="utf-8")
    lines = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ]
    head, _rule, far, near, given = lines[:5]
    assert head == [
        "method", "images", "PSNR-Y dB ↑", "PSNR-RGB dB ↑", "SSIM-Y ↑", "SSIM-RGB ↑", "MS-SSIM-Y ↑", "GMSD ↓", "FSIM ↑",
    ]  # fmt: skip
    mean = np.mean([row["psnr_y"] for row in done.rows if row["method"] == "far" and row["psnr_y"]])
    assert far[:4] == ["far", "2", f"{mean:.2f}", f"{20 * math.log10(255 / 40):.2f}"]
    assert near[3] == given[3] == f"**{20 * math.log10(255 / 5):.2f}**"
    assert all(cell.startswith("**") for cell in near[2:])
    assert "**" not in "".join(far)
    assert "## paired (3 images)" in text
    assert "given: random weights, which restore nothing." in text
    run_time = lines[5:]
    assert run_time[0] == ["method", "steps", "seconds an image", "of pixels", "images", "parameters", "device"]
    assert run_time[2:5] == [
        ["far", "-", "0.25", "32x24", "1", "0", "a CPU"],  # the first image pays for warming up
        ["near", "20", "0.25", "32x24", "1", "2612 M", "a GPU"],
        ["given", "-", "-", "-", "0", "-", "-"],
    ]
    assert "| bad   | paired      | far, near, given | bad.png: the file ends \\| early; copy it again |" in text
    assert "- near: model_digest 0123abc, preset x" in text
    assert "- asked: seed 7" in text
    for package in ("torch", "diffusers", "numpy", "opencv-python-headless", "scikit-image", "faitharchive"):
        assert f"{package} " in text
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert to_markdown(summary) == text
    assert summary["degradations"]["paired"]["methods"]["far"]["figures"]["psnr_y"] == {"mean": mean, "images": 2}
    assert len(summary["failures"]) == 3
    assert summary["software"]["python"].startswith("3.")


def test_means_say_of_how_many_images_they_are(tmp_path: Path) -> None:
    odd = Metric(
        Label(name="odd", title="Odd", about="not of a"), lambda result, _: math.nan if (result == FIRST).all() else 2.0
    )
    asked = plan(["a", "b|c"], [brighter("near", 5)], metrics=[odd])
    FIRST = REFERENCES["a"] + np.uint8(5)
    done = evaluate(asked)
    assert [row["odd"] for row in done.rows] == [None, 2.0]
    text = write_report(tmp_path, asked, done, {}).read_text(encoding="utf-8")
    assert "**2.0000** (1)" in text
    empty = write_report(tmp_path, asked, Evaluation(), {}).read_text(encoding="utf-8")
    assert "| near   | 0      | -" in empty


def test_methods_on_different_images_are_told_apart(tmp_path: Path) -> None:
    def run(lq: np.ndarray, height: int, width: int, pair: Pair) -> np.ndarray:
        raise ValueError("no result")

    for methods, said in (([brighter("x", 5), Method(name="y", run=run)], True), ([brighter("x", 5)], False)):
        asked = plan(["a"], methods)
        text = write_report(tmp_path, asked, evaluate(asked), {}).read_text(encoding="utf-8")
        assert ("different numbers of images" in text) == said


def test_images_are_kept(tmp_path: Path) -> None:
    evaluate(plan(["1924/d"], [brighter("near", 5)], save_to=tmp_path))
    for kind, expected in (
        ("hq", REFERENCES["1924/d"]),
        ("lq", REFERENCES["1924/d"][::2, ::2]),
        ("near", REFERENCES["1924/d"] + np.uint8(5)),
    ):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "paired" / kind / "1924" / "d.png")), expected)


def test_sets_are_measured_as_folders(tmp_path: Path) -> None:
    def counted(results: Path, references: Path) -> float:
        files = [path for path in results.rglob("*.png") if (references / path.relative_to(results)).is_file()]
        if results.name == "odd":
            raise RuntimeError("no features")
        return 100.0 * len(files)

    asked = plan(["a", "b|c", "bad"], [brighter("x", 5), brighter("odd", 6)])
    label = Label(name="fid", title="FID", about="of sets", lower_is_better=True, digits=2)
    asked = replace(asked, set_metrics=[SetMetric(label, counted)])
    done = evaluate(asked)
    assert done.set_figures == {(PAIRED, "x"): {"fid": 200.0}}
    assert done.notes == ["FID of odd under paired: RuntimeError: no features"]
    text = write_report(tmp_path, asked, done, {}).read_text(encoding="utf-8")
    assert "FID ↓" in text
    assert "**200.00**" in text
    assert "- FID of odd under paired: RuntimeError: no features" in text
    alone = evaluate(replace(asked, pairs=[pair("a")]))
    assert alone.notes[0] == "FID of x under paired: wants two images or more, there is 1"


def test_text_is_compared_with_the_file_beside_the_reference_or_the_reference(tmp_path: Path) -> None:
    seen = {
        REFERENCES["a"].tobytes(): "grand hotel paris",
        (REFERENCES["a"] + np.uint8(5)).tobytes(): "grand hotel hotel",
    }
    hq = tmp_path / "a.png"
    Image.fromarray(REFERENCES["a"]).save(hq)
    here = replace(pair("a"), hq=hq)
    asked = plan([], [brighter("near", 5)], read_text=lambda image: seen[image.tobytes()])
    asked = replace(asked, pairs=[here], read=lambda path: REFERENCES["a"] if path == hq else REFERENCES["a"][::2, ::2])
    (row,) = evaluate(asked).rows
    assert (row["ocr_reference"], row["ocr_word_precision"], row["ocr_word_recall"]) == ("image", 2 / 3, 2 / 3)
    hq.with_suffix(".txt").write_text("Grand Hotel,\nHotel Paris", encoding="utf-8")
    (row,) = evaluate(asked).rows
    assert (row["ocr_reference"], row["ocr_word_precision"], row["ocr_word_recall"]) == ("file", 1, 3 / 4)
    hq.with_suffix(".txt").write_bytes(b"\xff\xfe\xff")
    (row,) = evaluate(asked).rows
    assert row["status"] == FAILED
    assert row["reason"] == f"{hq.with_suffix('.txt')}: is not text in UTF-8; save it as UTF-8"


def test_names_that_are_not_unicode(tmp_path: Path) -> None:
    REFERENCES["\udcff"] = REFERENCES["a"]
    try:
        asked = plan(["\udcff"], [brighter("near", 5)])
        done = evaluate(asked)
        write_report(tmp_path, asked, done, {})
    finally:
        del REFERENCES["\udcff"]
    assert pq.read_table(tmp_path / "per-image.parquet").to_pylist()[0]["image"] == "\\udcff"


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    asked = plan([], [brighter("[x]", 5)], pairs=[replace(pair("bad"), name="`a`\n[b](c)<d>")])
    text = write_report(tmp_path, asked, evaluate(asked), {}).read_text(encoding="utf-8")
    assert "| \\[x] " in text
    assert "| \\`a\\` \\[b](c)\\<d> |" in text

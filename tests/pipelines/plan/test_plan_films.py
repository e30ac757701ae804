"""Films and frame sequences in the plan: which there are, what they are called, when they are due again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.film.source import film_options, frames_of, source_digest, source_state
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import FAILED, RESTORED
from pipelines.settings import Settings
from pipelines.store.store import Store


def _archive(folder: Path, names: list[str]) -> Settings:
    for name in names:
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return Settings(source=str(folder / "in"), output=str(folder / "out"), preset="tiny")


def _outputs(plan: Plan) -> dict[str, tuple[str, str]]:
    return {row["source_path"]: (row["media_kind"], row["output_path"]) for row in plan.pending}


NAMES = [
    "a.mkv", "a.jpg", "b.MOV", "reel/s.0001.dpx", "reel/s.0002.dpx", "reel/s.0004.dpx", "reel/s.txt", "reel/t.1.exr",
    "frames/x_1.tif", "frames/x_2.tif", "frames/cover.tif",
]  # fmt: skip


def test_what_there_is(tmp_path: Path) -> None:
    settings = _archive(tmp_path, NAMES)
    plan = make_plan(settings)
    assert _outputs(plan) == {
        "a.jpg": ("photo", "a.png"),
        "a.mkv": ("film", "a.mkv"),
        "b.MOV": ("film", "b.mkv"),
        "frames/cover.tif": ("photo", "frames/cover.tif"),
        "frames/x_1.tif": ("photo", "frames/x_1.tif"),
        "frames/x_2.tif": ("photo", "frames/x_2.tif"),
        "reel/s.%04d.dpx": ("film", "reel/s.sha256"),
        "reel/t.%d.exr": ("film", "reel/t.sha256"),
    }
    assert plan.skipped == {".txt": 1}
    rows = {row["source_path"]: row for row in plan.pending}
    assert rows["reel/s.%04d.dpx"]["source_size"] == 3 * len("reel/s.0001.dpx")
    assert rows["a.mkv"]["settings_digest"] == settings.result_digest(kind="film")
    assert rows["a.jpg"]["settings_digest"] == settings.result_digest()


def test_numbered_stills_are_frames_where_the_archive_says_so(tmp_path: Path) -> None:
    settings = _archive(tmp_path, NAMES)
    plan = make_plan(settings.model_copy(update={"sequences": "frames*"}))
    found = _outputs(plan)
    assert found["frames/x_%d.tif"] == ("film", "frames/x.sha256")
    assert found["frames/cover.tif"] == ("photo", "frames/cover.tif")
    assert "frames/x_1.tif" not in found


def test_films_may_be_left_out(tmp_path: Path) -> None:
    settings = _archive(tmp_path, NAMES).model_copy(update={"films": False, "sequences": "frames"})
    plan = make_plan(settings)
    assert {kind for kind, _ in _outputs(plan).values()} == {"photo"}
    assert plan.skipped == {".txt": 1, ".mkv": 1, ".mov": 1, ".dpx": 3, ".exr": 1}


def test_only_takes_a_sequence_by_its_pattern(tmp_path: Path) -> None:
    settings = _archive(tmp_path, NAMES).model_copy(update={"only": "reel/s.*"})
    assert list(_outputs(make_plan(settings))) == ["reel/s.%04d.dpx"]


def test_formats_and_films_on_one_name(tmp_path: Path) -> None:
    settings = _archive(tmp_path, ["a.mov", "a.avi", "a.png", "s1.dpx", "s2.dpx"])
    plan = make_plan(settings.model_copy(update={"film_format": "h264"}))
    assert _outputs(plan) == {
        "a.avi": ("film", "a.avi.mp4"),
        "a.mov": ("film", "a.mov.mp4"),
        "a.png": ("photo", "a.png"),
        "s%d.dpx": ("film", "s.mp4"),
    }


def test_a_photograph_named_like_a_sequence_is_told(tmp_path: Path) -> None:
    plan = make_plan(_archive(tmp_path, ["x%04d.png", "fine.png"]))
    assert [row["source_path"] for row in plan.pending] == ["fine.png"]
    (row,) = plan.final_rows
    assert (row["status"], row["error_code"]) == (FAILED, "bad_name")
    assert "rename it" in row["error_reason"]


@pytest.mark.parametrize("url", ["file", "memory"])
def test_the_plan_and_the_worker_see_one_version(tmp_path: Path, url: str) -> None:
    root = str(tmp_path / "in") if url == "file" else f"memory://{tmp_path.name}/in"
    store = Store(root)
    names = [f"reel/s.{n:03d}.dpx" for n in (7, 8, 9, 11, 1000)]
    for name in [*names, "reel/s.7.dpx", "reel/s.txt", "one.mkv"]:
        store.publish(name, name.encode() * 3)
    settings = Settings(source=root, output=str(tmp_path / "out"), preset="tiny")
    rows = {row["source_path"]: row for row in make_plan(settings).pending}
    row = rows["reel/s.%03d.dpx"]
    assert source_state(store, "reel/s.%03d.dpx") == f"{row['source_size']} {row['source_version']}"
    assert source_state(store, "one.mkv").startswith(f"{rows['one.mkv']['source_size']} ")
    assert frames_of(store, "reel/s.%03d.dpx").numbers == (7, 8, 9, 11, 1000)
    with pytest.raises(FileNotFoundError):
        frames_of(store, "reel/t.%03d.dpx")


def test_a_sequence_is_done_until_one_frame_changes(tmp_path: Path) -> None:
    settings = _archive(tmp_path, ["reel/s.0001.dpx", "reel/s.0002.dpx"])
    source, output = Store(settings.source), Store(settings.output)
    (row,) = make_plan(settings).pending
    digest, _ = source_digest(source, row["source_path"])
    output.publish(row["output_path"], b"list")
    output.publish(row["output_path"] + ".restoration.json", b"{}")
    writer = ManifestWriter(output, "20260101T000000.000Z-aaaaaa")
    writer.add(
        row | {"status": RESTORED, "run_id": "20260101T000000.000Z-aaaaaa", "source_sha256": digest, "output_size": 4}
    )
    writer.flush()
    assert (len(make_plan(settings).pending), make_plan(settings).done) == (0, 1)

    frame = Path(settings.source, "reel/s.0002.dpx")
    os.utime(frame, (1, 1))  # touched: its bytes tell that nothing changed
    touched = make_plan(settings)
    assert (len(touched.pending), touched.done, len(touched.final_rows)) == (0, 1, 1)

    frame.write_bytes(b"edited bytes...")
    assert make_plan(settings).pending.reasons[0] == "source changed"
    Path(settings.source, "reel/s.0003.dpx").write_bytes(b"one more")
    assert make_plan(settings).pending.reasons[0] == "source changed"


def test_a_choice_for_one_film_plans_only_that_film(tmp_path: Path) -> None:
    settings = _archive(tmp_path, ["reel/a.mov", "reel/b.mov", "c.mkv", "d.png"])
    chosen = settings.model_copy(update={"deinterlace_for": "reel/a.*=keep,reel/*=refuse"})
    before, after = (
        {row["source_path"]: row["settings_digest"] for row in make_plan(each).pending} for each in (settings, chosen)
    )
    assert {path for path in before if before[path] != after[path]} == {"reel/a.mov"}
    assert after["reel/a.mov"] == settings.model_copy(update={"deinterlace": "keep"}).result_digest(kind="film")
    assert film_options(chosen.for_film("reel/a.mov")).deinterlace == "keep"
    assert film_options(chosen.for_film("reel/b.mov")).deinterlace == "refuse"

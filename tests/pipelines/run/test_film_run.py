"""Films through the whole pipeline in real Ray: every frame once, timing and sound as they were, bad films as rows."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from archive_steps import handed_out
from film_clips import decoded, moving_frames, times_and_sound, write_film
from film_evening import EVENING, FAST, Evening, restore, restored_evening, settings_of, two_shots
from PIL import Image

from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, PART_DONE, RESTORED
from pipelines.settings import Settings
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
STATED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"  # nano draws nothing


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Evening:
    """One run for many tests: starting its processes takes longer than restoring these few frames."""
    return restored_evening(tmp_path_factory.mktemp("evening"))


def test_a_film_comes_back_whole(evening: Evening) -> None:
    source, row = evening.folder / "in/reel/a.mkv", evening.rows["reel/a.mkv"]
    parts = [part for part in evening.parts if part["source_path"] == "reel/a.mkv"]
    assert (row["media_kind"], row["frames"], row["frame_rate"], row["parts"]) == ("film", 28, 24.0, 4)
    assert len(parts) == 4
    assert {part["status"] for part in parts} == {PART_DONE}
    film = json.loads(row["film"])
    assert [(shot["first"], shot["frames"]) for shot in film["shots"]] == [(0, 14), (14, 14)]
    result = evening.output("reel/a.mkv")
    assert times_and_sound(result) == times_and_sound(source)
    assert len(decoded(result)) == 28
    assert (row["output_size"], row["output_sha256"]) == (
        result.stat().st_size, hashlib.sha256(result.read_bytes()).hexdigest(),
    )  # fmt: skip
    assert read_sidecar(evening.output("reel/a.mkv.restoration.json").read_bytes()) is not None
    assert [output["path"] for output in film["outputs"]] == ["reel/a.mkv", "reel/a.mkv.h264.mp4"]
    for output in film["outputs"]:
        path = evening.output(output["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
        assert len(times_and_sound(path)[0]) == 28
        assert STATED.encode() in path.read_bytes()
    assert not list(evening.output("_faitharchive/parts").rglob("*.mkv"))
    again = make_plan(evening.settings.model_copy(update={"only": "reel/*"}))
    assert (len(again.pending), again.done) == (0, 1)


def test_sources_are_not_touched(evening: Evening) -> None:
    paths = [path for path in (evening.folder / "in").rglob("*") if path.is_file()]
    assert {str(path): path.read_bytes() for path in paths} == evening.sources


def test_a_copy_or_a_comparison_never_restores_a_film_again(evening: Evening, tmp_path: Path) -> None:
    more = evening.copy(tmp_path, film_copies="prores,h264", comparison=True, only="reel/*")
    output, before = Path(more.output), evening.rows["reel/a.mkv"]
    result = (output / "reel/a.mkv").read_bytes()
    assert make_plan(more).counts() == {"copies missing": 1}
    outcome, parts, rows = restore(more, run_id="20260102T000000.000Z-bbbbbb")
    row = rows["reel/a.mkv"]
    assert (outcome.restored, outcome.failed) == (1, 0)
    assert [(part["part"], part["parts"], part["seconds_restore"]) for part in parts] == [(0, 1, None)]
    assert (output / "reel/a.mkv").read_bytes() == result
    assert (row["output_sha256"], row["seconds_restore"]) == (before["output_sha256"], before["seconds_restore"])
    outputs = json.loads(row["film"])["outputs"]
    added = ["reel/a.mkv.h264.mp4", "reel/a.mkv.prores.mov", "reel/a.mkv.comparison.mp4"]
    assert [each["path"] for each in outputs] == ["reel/a.mkv", *added]
    for each in outputs:
        path = output / each["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == each["sha256"]
        assert len(times_and_sound(path)[0]) == 28
    assert [
        make_plan(more.model_copy(update=each)).done for each in ({}, {"film_copies": "", "comparison": False})
    ] == [1, 1]
    (output / "reel/a.mkv.prores.mov").unlink()
    assert make_plan(more).counts() == {"copies missing": 1}
    (output / "reel/a.mkv").write_bytes(result[:-1])  # of a damaged result nothing is made
    assert make_plan(more).counts() == {"result missing": 1}


def test_what_is_cut_and_joined_is_what_was_restored_in_one(evening: Evening, tmp_path: Path) -> None:
    """With `none`, a frame depends on itself alone: any cut gives the same film."""
    values = EVENING | {"segment_frames": 64, "only": "reel/*", "film_copies": ""}
    whole = settings_of(evening.folder, **values).model_copy(update={"output": str(tmp_path / "out")})
    _, parts, _ = restore(whole)
    assert len(parts) == 2  # shots, which are never joined
    films = [decoded(tmp_path / "out/reel/a.mkv"), decoded(evening.output("reel/a.mkv"))]
    assert all(np.array_equal(*pair) for pair in zip(*films, strict=True))


def test_a_sequence_comes_back_as_one(evening: Evening) -> None:
    row = evening.rows["frames/f_%04d.tif"]
    assert (row["status"], row["output_path"], row["frames"]) == (RESTORED, "frames/f.sha256", 10)
    names = sorted(path.name for path in evening.output("frames/f.frames").iterdir())
    assert names == [f"f_{number:04d}.tif" for number in range(5, 15)]
    with Image.open(evening.output("frames/f.frames/f_0005.tif")) as image:
        assert (image.size, image.mode, image.info["dpi"]) == ((128, 96), "RGB", (600, 600))
    checked = subprocess.run(
        ["sha256sum", "-c", "f.sha256"], cwd=evening.output("frames"), capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(": OK") == 10
    assert row["disclosure"] == STATED
    assert STATED in evening.output("frames/f.sha256.xmp").read_text(encoding="utf-8")
    assert make_plan(evening.settings.model_copy(update={"only": "frames/*"})).done == 1


def test_bad_films_are_rows_and_the_run_goes_on(evening: Evening) -> None:
    rows = evening.rows
    codes = {path: row["error_code"] for path, row in rows.items()}
    assert codes["good.mkv"] is codes["wrong.avi"] is None
    assert codes["cut.mkv"] in ("missing_frames", "truncated")
    assert codes["text.mov"] == "not_a_film"
    assert codes["empty.mp4"] == "empty"
    assert (evening.outcome.restored, evening.outcome.failed, evening.outcome.left) == (4, 4, 0)
    for path in ("cut.mkv", "text.mov", "empty.mp4"):
        assert rows[path]["status"] == FAILED
        assert path in rows[path]["error_reason"]
        assert "\n" not in rows[path]["error_reason"]
        assert rows[path]["error_stage"] == "survey"


def test_missing_frames_are_filled_where_that_was_asked_for(evening: Evening, tmp_path: Path) -> None:
    name = "frames with gaps/f_%04d.png"
    row = evening.rows[name]
    assert row["error_code"] == "missing_frames"
    assert "4-5" in row["error_reason"]
    assert "--tolerate-gaps 2" in row["error_reason"]

    filled = evening.copy(tmp_path, only="frames with gaps/*", tolerate_gaps=2, gap_fill="slate")
    row = restore(filled, "20260102T000000.000Z-aaaaaa")[2][name]
    assert row["status"] == RESTORED
    assert json.loads(row["film"])["filled"] == [4, 5]
    assert any("2 missing frames were filled by a slate: 4-5" in text for text in row["warnings"])
    slate = np.asarray(Image.open(Path(filled.output) / "frames with gaps/f.frames/f_0004.png"))
    assert np.median(slate) == 24  # dark: what the model was not asked to restore


def test_verify_looks_at_every_frame_of_a_sequence(evening: Evening, tmp_path: Path) -> None:
    from pipelines.audit.findings import Findings
    from pipelines.audit.verify import verify

    settings = evening.copy(tmp_path)
    assert verify(settings, Findings()).unsound == set()

    frame = Path(settings.output) / "frames/f.frames/f_0006.tif"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:-1] + b"x")
    assert dict(verify(settings, Findings()).counts) == {"result altered": 1}
    frame.unlink()
    assert dict(verify(settings, Findings()).counts) == {"result missing": 1}
    frame.write_bytes(whole)
    source = Path(settings.source) / "frames/f_0007.tif"
    source.write_bytes(source.read_bytes() + b"x")
    assert dict(verify(settings, Findings()).counts) == {"source changed": 1}


def test_a_caption_for_each_photograph_and_shot(tmp_path: Path, ray_session: None) -> None:
    from tiny_llava import save_tiny_llava

    write_film(tmp_path / "in/a.mkv", two_shots())
    Image.fromarray(moving_frames(1)[0]).save(tmp_path / "in/b.png")
    captioner = save_tiny_llava(tmp_path / "llava")
    reading = {"preset": "tiny", "steps": 1, "guidance_scale": 1.0}  # nano reads no text
    settings = settings_of(tmp_path, captions="llava", captioner=str(captioner), steady="none", **reading)
    _, parts, rows = restore(settings)
    row = rows["a.mkv"]
    assert row["status"] == RESTORED, row["error_reason"]
    shots = json.loads(row["film"])["shots"]
    assert len(shots) == 2
    assert all(shot["caption"] for shot in shots)
    assert row["caption_source"] == "llava"
    assert shots[0]["caption"] in row["caption"]
    assert {part["part"] for part in parts} == {0, 1, 2, 3}
    photograph = rows["b.png"]
    assert (photograph["status"], photograph["caption_source"]) == (RESTORED, "llava"), photograph["error_reason"]
    assert photograph["caption_model"] == str(captioner)
    assert photograph["prompt"]


def test_a_film_goes_to_and_from_an_object_store(
    tmp_path: Path, ray_session: None, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, stage after stage: the session's workers started before the server and do not know it."""
    from pipelines.rows import to_table
    from pipelines.stages.adapter import run_stage
    from pipelines.stages.cut import Cut
    from pipelines.stages.mux import Mux
    from pipelines.stages.restore_film import RestoreFilm
    from pipelines.stages.survey import SurveyFilm

    local = write_film(tmp_path / "a.mkv", moving_frames(10))
    bucket = Store(f"s3://films-{tmp_path.name.lower().replace('_', '-')[:40]}/archive")
    bucket.fs.mkdir(bucket.root.partition("/")[0])
    Store(f"{bucket.url}/in").publish("a.mkv", local.read_bytes())
    settings = Settings(source=f"{bucket.url}/in", output=f"{bucket.url}/out", **(FAST | {"steady": "none"}))
    (row,) = make_plan(settings).pending
    shots = run_stage(SurveyFilm(settings), to_table([row]))
    parts = handed_out(run_stage(Cut(settings), shots))
    done = run_stage(RestoreFilm(settings, 1), parts).to_pylist()
    assert [part["status"] for part in done] == [PART_DONE] * 2, [part["error_reason"] for part in done]
    again = run_stage(Cut(settings), run_stage(SurveyFilm(settings), to_table([row]))).to_pylist()
    assert [part["status"] for part in again] == [PART_DONE] * 2  # durable there
    (final,) = run_stage(Mux(settings), to_table([{**done[-1], "status": "pending"}])).to_pylist()
    assert final["status"] == RESTORED, final["error_reason"]
    output = Store(settings.output)
    (tmp_path / "result.mkv").write_bytes(output.read("a.mkv"))
    assert times_and_sound(tmp_path / "result.mkv") == times_and_sound(local)
    assert not list(output.list("_faitharchive/parts"))


def test_pre_steps_are_done_and_told_with_figures(tmp_path: Path, ray_session: None) -> None:
    """Weave and flicker of a grey film."""
    rng = np.random.default_rng(0)
    frames = []
    for picture in moving_frames(16, (72, 96)):
        grey = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2) * rng.uniform(0.7, 0.95)
        frames.append(np.roll(grey, rng.integers(-1, 2), axis=0).astype(np.uint8))
    write_film(tmp_path / "in/a.mkv", frames)
    settings = settings_of(tmp_path, deflicker=True, stabilise=True, steady="shared-noise", deinterlace="keep")
    _, _, rows = restore(settings)
    row = rows["a.mkv"]
    assert row["status"] == RESTORED, row["error_reason"]
    told = [text for text in row["warnings"] if text.startswith(("deflicker", "stabilise", "no frame has colour"))]
    assert [text.split()[0] for text in told] == ["deflicker", "stabilise", "no"]
    result = decoded(tmp_path / "out/a.mkv")
    assert all(np.array_equal(frame[..., 0], frame[..., 2]) for frame in result)

    def pumping(film: list[np.ndarray]) -> float:
        return float(np.diff([frame.mean() for frame in film]).std())

    assert pumping(result) < pumping(frames) / 2

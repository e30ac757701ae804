"""Films through the whole pipeline in real Ray: every frame once, timing and sound as they were, bad films as rows."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_clips import decoded, moving_frames, times_and_sound, write_film
from PIL import Image

from pipelines.manifest.reader import current_rows
from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, PART_DONE, RESTORED, Row
from pipelines.run.driver import Outcome, run
from pipelines.settings import Settings
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST: dict[str, Any] = {
    "preset": "nano", "replicas": 1, "upscale": 1, "cpu_threads": 1,
    "segment_frames": 8, "segment_overlap": 2,
}  # fmt: skip
STATED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"  # nano draws nothing


def settings_of(folder: Path, **changes: Any) -> Settings:
    return Settings(source=str(folder / "in"), output=str(folder / "out"), **(FAST | changes))


def restore(
    settings: Settings, run_id: str = "20260101T000000.000Z-aaaaaa"
) -> tuple[Outcome, list[Row], dict[str, Row]]:
    """The outcome, the rows of durable parts, and the current rows by source path."""
    parts: list[Row] = []
    outcome = run(make_plan(settings), settings, run_id=run_id, on_part=parts.append)
    rows = {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}
    return outcome, parts, rows


def two_shots(frames: int = 14) -> list[np.ndarray]:
    return [*moving_frames(frames), *moving_frames(frames, seed=9)]


def test_a_film_comes_back_whole(tmp_path: Path, ray_session: None) -> None:
    source = write_film(tmp_path / "in/reel/a.mkv", two_shots())
    before = source.read_bytes()
    settings = settings_of(tmp_path, film_copies="prores,h264", comparison=True, replicas=2)
    outcome, parts, rows = restore(settings)
    assert (outcome.restored, outcome.failed, outcome.left) == (1, 0, 0)
    row = rows["reel/a.mkv"]
    assert (row["media_kind"], row["frames"], row["frame_rate"], row["parts"]) == ("film", 28, 24.0, 4)
    assert len(parts) == 4
    assert {part["status"] for part in parts} == {PART_DONE}
    film = json.loads(row["film"])
    assert [(shot["first"], shot["frames"]) for shot in film["shots"]] == [(0, 14), (14, 14)]
    result = tmp_path / "out/reel/a.mkv"
    assert times_and_sound(result) == times_and_sound(source)
    assert len(decoded(result)) == 28
    assert (row["output_size"], row["output_sha256"]) == (
        result.stat().st_size, hashlib.sha256(result.read_bytes()).hexdigest(),
    )  # fmt: skip
    assert read_sidecar((tmp_path / "out/reel/a.mkv.restoration.json").read_bytes()) is not None
    names = [output["path"] for output in film["outputs"]]
    assert names == ["reel/a.mkv", "reel/a.mkv.prores.mov", "reel/a.mkv.h264.mp4", "reel/a.mkv.comparison.mp4"]
    for output in film["outputs"]:
        path = tmp_path / "out" / output["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
        assert len(times_and_sound(path)[0]) == 28
        assert STATED.encode() in path.read_bytes()
    assert not list((tmp_path / "out/_faitharchive/parts").rglob("*.mkv"))
    assert source.read_bytes() == before
    again = make_plan(settings)
    assert (len(again.pending), again.done) == (0, 1)


def test_a_copy_or_a_comparison_never_restores_a_film_again(tmp_path: Path, ray_session: None) -> None:
    write_film(tmp_path / "in/reel/a.mkv", two_shots(10))
    settings = settings_of(tmp_path, steady="none")
    before = restore(settings)[2]["reel/a.mkv"]
    result = (tmp_path / "out/reel/a.mkv").read_bytes()
    more = settings_of(tmp_path, steady="none", film_copies="prores", comparison=True)
    plan = make_plan(more)
    assert plan.counts() == {"copies missing": 1}
    outcome, parts, rows = restore(more, run_id="20260102T000000.000Z-bbbbbb")
    row = rows["reel/a.mkv"]
    assert (outcome.restored, outcome.failed) == (1, 0)
    assert [(part["part"], part["parts"], part["seconds_restore"]) for part in parts] == [(0, 1, None)]
    assert (tmp_path / "out/reel/a.mkv").read_bytes() == result
    assert (row["output_sha256"], row["seconds_restore"]) == (before["output_sha256"], before["seconds_restore"])
    names = [output["path"] for output in json.loads(row["film"])["outputs"]]
    assert names == ["reel/a.mkv", "reel/a.mkv.prores.mov", "reel/a.mkv.comparison.mp4"]
    for output in json.loads(row["film"])["outputs"]:
        path = tmp_path / "out" / output["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
        assert len(times_and_sound(path)[0]) == 20
    assert [make_plan(each).done for each in (more, settings)] == [1, 1]
    (tmp_path / "out/reel/a.mkv.prores.mov").unlink()
    assert make_plan(more).counts() == {"copies missing": 1}
    (tmp_path / "out/reel/a.mkv").write_bytes(result[:-1])  # of a damaged result nothing is made
    assert make_plan(more).counts() == {"result missing": 1}


def test_what_is_cut_and_joined_is_what_was_restored_in_one(tmp_path: Path, ray_session: None) -> None:
    """With `none`, a frame depends on itself alone: any cut gives the same film."""
    write_film(tmp_path / "in/a.mkv", moving_frames(20))
    films = []
    for number, changes in enumerate(({"segment_frames": 64}, {"segment_frames": 8, "segment_overlap": 2})):
        settings = settings_of(tmp_path, steady="none", **changes).model_copy(
            update={"output": str(tmp_path / f"o{number}")}
        )
        restore(settings)
        films.append(decoded(tmp_path / f"o{number}/a.mkv"))
    assert all(np.array_equal(*pair) for pair in zip(*films, strict=True))


def test_a_sequence_comes_back_as_one(tmp_path: Path, ray_session: None) -> None:
    for number, pixels in enumerate(moving_frames(10)):
        path = tmp_path / f"in/reel/f_{number + 5:04d}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, dpi=(300, 300))
    settings = settings_of(tmp_path, sequences="reel", upscale=2)
    _, _, rows = restore(settings)
    row = rows["reel/f_%04d.tif"]
    assert (row["status"], row["output_path"], row["frames"]) == (RESTORED, "reel/f.sha256", 10)
    names = sorted(path.name for path in (tmp_path / "out/reel/f.frames").iterdir())
    assert names == [f"f_{number:04d}.tif" for number in range(5, 15)]
    with Image.open(tmp_path / "out/reel/f.frames/f_0005.tif") as image:
        assert (image.size, image.mode, image.info["dpi"]) == ((128, 96), "RGB", (600, 600))
    checked = subprocess.run(
        ["sha256sum", "-c", "f.sha256"], cwd=tmp_path / "out/reel", capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count(": OK") == 10
    assert row["disclosure"] == STATED
    assert STATED in (tmp_path / "out/reel/f.sha256.xmp").read_text(encoding="utf-8")
    assert make_plan(settings).done == 1


def test_bad_films_are_rows_and_the_run_goes_on(tmp_path: Path, ray_session: None) -> None:
    write_film(tmp_path / "in/good.mkv", moving_frames(9))
    whole = write_film(tmp_path / "long.mkv", moving_frames(40)).read_bytes()
    (tmp_path / "in/cut.mkv").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/text.mov").write_bytes(b"no film at all" * 100)
    (tmp_path / "in/empty.mp4").write_bytes(b"")
    (tmp_path / "in/wrong.avi").write_bytes(write_film(tmp_path / "w.mkv", moving_frames(9)).read_bytes())
    outcome, _, rows = restore(settings_of(tmp_path, steady="none"))
    codes = {path: row["error_code"] for path, row in rows.items()}
    assert codes["good.mkv"] is codes["wrong.avi"] is None
    assert codes["cut.mkv"] in ("missing_frames", "truncated")
    assert codes["text.mov"] == "not_a_film"
    assert codes["empty.mp4"] == "empty"
    assert (outcome.restored, outcome.failed) == (2, 3)
    for path in ("cut.mkv", "text.mov", "empty.mp4"):
        assert rows[path]["status"] == FAILED
        assert path in rows[path]["error_reason"]
        assert "\n" not in rows[path]["error_reason"]
        assert rows[path]["error_stage"] == "survey"


def test_missing_frames_are_filled_where_that_was_asked_for(tmp_path: Path, ray_session: None) -> None:
    for number, pixels in enumerate(moving_frames(12)):
        path = tmp_path / f"in/reel/f_{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number not in (4, 5):
            Image.fromarray(pixels).save(path)
    refused = settings_of(tmp_path, sequences="reel", steady="none")
    _, _, rows = restore(refused)
    (row,) = rows.values()
    assert row["error_code"] == "missing_frames"
    assert "4-5" in row["error_reason"]
    assert "--tolerate-gaps 2" in row["error_reason"]

    filled = refused.model_copy(update={"tolerate_gaps": 2, "gap_fill": "slate"})
    _, _, rows = restore(filled, "20260102T000000.000Z-aaaaaa")
    (row,) = rows.values()
    assert row["status"] == RESTORED
    assert json.loads(row["film"])["filled"] == [4, 5]
    assert any("2 missing frames were filled by a slate: 4-5" in text for text in row["warnings"])
    slate = np.asarray(Image.open(tmp_path / "out/reel/f.frames/f_0004.png"))
    assert np.median(slate) == 24  # dark: what the model was not asked to restore


def test_verify_looks_at_every_frame_of_a_sequence(tmp_path: Path, ray_session: None) -> None:
    from pipelines.audit.findings import Findings
    from pipelines.audit.verify import verify

    for number, pixels in enumerate(moving_frames(3)):
        path = tmp_path / f"in/reel/f_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    settings = settings_of(tmp_path, sequences="reel", steady="none")
    restore(settings)
    assert verify(settings, Findings()).unsound == set()

    frame = tmp_path / "out/reel/f.frames/f_1.png"
    whole = frame.read_bytes()
    frame.write_bytes(whole[:-1] + b"x")
    assert dict(verify(settings, Findings()).counts) == {"result altered": 1}
    frame.unlink()
    assert dict(verify(settings, Findings()).counts) == {"result missing": 1}
    frame.write_bytes(whole)
    source = tmp_path / "in/reel/f_2.png"
    source.write_bytes(source.read_bytes() + b"x")
    assert dict(verify(settings, Findings()).counts) == {"source changed": 1}


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
    parts = run_stage(Cut(settings), shots)
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


def test_a_caption_a_shot(tmp_path: Path, ray_session: None) -> None:
    from tiny_llava import save_tiny_llava

    write_film(tmp_path / "in/a.mkv", two_shots())
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

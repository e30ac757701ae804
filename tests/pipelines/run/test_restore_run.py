"""A whole archive through real Ray: the good restored, the bad explained, nothing done twice, sources untouched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hostile_archive import make_hostile_archive

from pipelines.audit.findings import Findings
from pipelines.audit.verify import verify
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.media.photo.decode import DecodeLimits, decode
from pipelines.plan.plan import make_plan
from pipelines.rows import MANIFEST_SCHEMA, RESTORED, Row
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE, trust_path
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST = {"preset": "nano", "replicas": 1}
READING = {**FAST, "preset": "tiny", "steps": 1, "guidance_scale": 1.0}  # nano reads no text


def run_once(settings: Settings) -> tuple[Outcome, list[Row]]:
    seen: list[Row] = []
    outcome = run(make_plan(settings), settings, run_id=new_run_id(), on_row=seen.append)
    return outcome, seen


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file, links and folders by name."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.lstat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> dict:
    """The hostile archive, run once."""
    folder = tmp_path_factory.mktemp("archive")
    expected = make_hostile_archive(folder / "scans")
    before = fingerprint(folder / "scans")
    settings = Settings(
        source=str(folder / "scans"), output=str(folder / "out"), max_pixels=50_000_000, rows_per_call=4, **FAST
    )
    outcome, seen = run_once(settings)
    return {"settings": settings, "expected": expected, "outcome": outcome, "seen": seen, "before": before}


def test_every_item_ends_as_expected(archive: dict) -> None:
    rows = current_rows(Store(archive["settings"].output))
    found = {row["source_path"]: row["error_code"] or row["status"] for row in rows.values()}
    assert found == archive["expected"]
    good = sum(status == RESTORED for status in archive["expected"].values())
    assert archive["outcome"].restored == good
    assert archive["outcome"].failed == len(archive["expected"]) - good


def test_sources_are_untouched(archive: dict) -> None:
    assert fingerprint(Path(archive["settings"].source)) == archive["before"]


def test_results_are_what_their_rows_say(archive: dict) -> None:
    settings = archive["settings"]
    store = Store(settings.output)
    outputs = set()
    for row in current_rows(store).values():
        if row["status"] != RESTORED:
            assert row["output_path"] is None
            assert row["error_stage"] in ("plan", "decode", "tile", "restore", "write")
            assert row["error_reason"]
            assert "\n" not in row["error_reason"]
            continue
        data = store.read(row["output_path"])
        assert hashlib.sha256(data).hexdigest() == row["output_sha256"]
        source = Store(settings.source).read(row["source_path"])
        assert hashlib.sha256(source).hexdigest() == row["source_sha256"]
        result = decode(data, "x", DecodeLimits())
        assert result.pixels.shape[:2] == (row["output_height"], row["output_width"])
        assert (row["output_height"], row["output_width"]) == (row["height"] * 2, row["width"] * 2)
        assert result.bit_depth == row["bit_depth"]
        assert result.pixels.shape[2] == row["channels"]
        sidecar = json.loads(store.read(row["output_path"] + ".restoration.json"))
        assert sidecar["identity"] == row["identity"]
        assert set(MANIFEST_SCHEMA.names) <= set(sidecar)
        assert sidecar["model_trained"] is True
        assert 0 < row["trust"] < 1
        outputs.add(row["output_path"])
        if not row["page_facts"]:
            outputs.add(trust_path(row["output_path"]))
    files = {e.path for e in store.list() if not e.path.startswith(PRIVATE) and not e.path.endswith(".json")}
    assert files == outputs


def test_running_again_does_no_model_work(archive: dict) -> None:
    settings = archive["settings"]
    good = sum(status == RESTORED for status in archive["expected"].values())
    plan = make_plan(settings)
    assert plan.done == good
    assert {row["source_path"] for row in plan.pending} <= {
        path for path, status in archive["expected"].items() if status != RESTORED
    }
    before = fingerprint(Path(settings.output))
    outcome, seen = run_once(settings.model_copy(update={"only": "*.png"}))
    assert outcome.restored == 0
    assert all(row["seconds_restore"] is None for row in seen)
    after = fingerprint(Path(settings.output))
    assert {path for path in before if before[path] != after[path] and not path.startswith(PRIVATE)} == set()


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "sub/c.tif"):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(folder / name)
    return folder


def test_redo_gives_the_same_bytes_in_any_batch(scans: Path, tmp_path: Path, ray_session: None) -> None:
    settings = Settings(source=str(scans), output=str(tmp_path / "out"), rows_per_call=1, **FAST)
    run_once(settings)
    first = {row["source_path"]: row["output_sha256"] for row in current_rows(Store(settings.output)).values()}
    outcome, _ = run_once(settings.model_copy(update={"redo": True, "rows_per_call": 3, "replicas": 2}))
    assert outcome.restored == 3
    rows = current_rows(Store(settings.output))
    assert len(rows) == 3
    assert {row["source_path"]: row["output_sha256"] for row in rows.values()} == first


def test_relative_paths_mean_the_callers_folder_and_only_restores_what_matches(
    scans: Path, tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # Ray's workers run where Ray was started
    settings = Settings(source="scans", output="out", only="sub/*", **FAST)
    outcome, seen = run_once(settings)
    assert (outcome.restored, outcome.failed) == (1, 0)
    assert [row["source_path"] for row in seen] == ["sub/c.tif"]
    assert (tmp_path / "out" / seen[0]["output_path"]).is_file()
    assert not verify(settings, Findings()).unsound


def test_a_missing_captioner_stops_the_run_before_any_work(scans: Path, tmp_path: Path, ray_session: None) -> None:
    settings = Settings(
        source=str(scans), output=str(tmp_path / "out"), captions="llava", captioner=str(tmp_path / "none"), **READING
    )
    with pytest.raises(ValueError, match="none"):
        make_plan(settings)


def test_s3_like_stores_are_reached_by_url(scans: Path, tmp_path: Path, ray_session: None) -> None:
    """Any fsspec URL: here file://, which takes the URL's way through the code."""
    settings = Settings(source=scans.as_uri(), output=(tmp_path / "out").as_uri(), **FAST)
    outcome, seen = run_once(settings)
    assert outcome.restored == 3
    assert all(row["output_uri"].startswith("file:///") for row in seen)

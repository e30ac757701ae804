"""Writers killed at every step: a reader sees a whole result or none, and the next run finds and clears what they left."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo
from dying_writer import start
from moving_files import moving_url
from s3_server import FlakyProxy

from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.plan import make_plan
from pipelines.settings import Settings
from pipelines.store.cleanup import clear_unfinished
from pipelines.store.layout import PRIVATE, sidecar_path
from pipelines.store.store import PARTIAL, Store

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    save_photo(tmp_path / "scans" / "1924" / "a.png", picture(60, 80))
    return archive_settings(tmp_path)


def with_output(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"output": url})


def bucket() -> str:
    name = f"published-{uuid.uuid4().hex[:12]}"
    Store(f"s3://{name}").fs.mkdir(name)
    return name


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of what an undisturbed writer makes of the photograph."""
    folder = tmp_path_factory.mktemp("calm")
    save_photo(folder / "scans" / "1924" / "a.png", picture(60, 80))
    return made(archive_settings(folder), folder)


def made(settings: Settings, folder: Path) -> str:
    """Digest of the result that an undisturbed writer makes below a folder."""
    output = str(folder / "calm")
    (row,) = restore_without_model(with_output(settings, output))
    return hashlib.sha256(Store(output).read(row["output_path"])).hexdigest()


def killed(settings: Settings, step: str) -> None:
    writer, _ = start(settings, step)
    writer.join(60)
    assert writer.exitcode == -signal.SIGKILL


def check(settings: Settings, digest: str, *, file: bool, done: bool) -> None:
    """What a reader finds, what the next plan makes of it, and that nothing temporary stays."""
    store = Store(settings.output)
    path = "1924/a.png"
    assert store.exists(path) is file
    if file:
        assert hashlib.sha256(store.read(path)).hexdigest() == digest
    assert store.exists(sidecar_path(path)) is done
    clear_unfinished(store, 0)
    assert [name for name in everything(store) if PARTIAL in name] == []
    if store.s3:
        assert not store.fs.call_s3("list_multipart_uploads", Bucket=store.root.split("/")[0]).get("Uploads")
    plan = make_plan(settings)
    assert (plan.done, len(plan.pending), len(plan.final_rows)) == ((1, 0, 1) if done else (0, 1, 0))
    restore_without_model(settings)
    assert hashlib.sha256(store.read(path)).hexdigest() == digest
    assert make_plan(settings).done == 1
    files = {entry.path for entry in store.list() if not entry.path.startswith(PRIVATE)}
    assert files == {path, sidecar_path(path)}


def everything(store: Store) -> list[str]:
    if store.s3:
        return list(store.fs.find(store.root))
    return [str(path) for path in Path(store.root).rglob("*")]


STEPS = {
    "before write": (False, False),
    "mid-write": (False, False),
    "before move": (False, False),
    "before sidecar": (True, False),
    "before manifest": (True, True),
}


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("kind", ["local", "moved"])
def test_on_disk_and_where_files_are_moved(settings: Settings, tmp_path: Path, calm: str, kind: str, step: str) -> None:
    if kind == "moved":
        settings = with_output(settings, moving_url(tmp_path / "restored"))
    killed(settings, step)
    left = [name for name in everything(Store(settings.output)) if PARTIAL in name]
    assert len(left) == (step in ("mid-write", "before move"))
    file, done = STEPS[step]
    check(settings, calm, file=file, done=done)


@pytest.mark.parametrize("step", ["before write", "before sidecar", "before manifest"])
def test_on_s3(settings: Settings, calm: str, s3_server: str, step: str) -> None:
    settings = with_output(settings, f"s3://{bucket()}/nightly")
    killed(settings, step)
    file, done = STEPS[step]
    check(settings, calm, file=file, done=done)


def test_on_s3_in_the_middle_of_a_put(settings: Settings, calm: str, s3_server: str) -> None:
    settings = with_output(settings, f"s3://{bucket()}/nightly")
    with FlakyProxy(s3_server) as proxy:
        writer, pipe = start(settings, "wait", AWS_ENDPOINT_URL=proxy.url)
        assert writer.pid
        assert pipe.recv() == "ready"
        proxy.kill_in_mid_put(writer.pid)
        pipe.send("go")
        writer.join(60)
        assert writer.exitcode == -signal.SIGKILL
    check(settings, calm, file=False, done=False)


def test_on_s3_in_the_middle_of_a_multipart_upload(settings: Settings, tmp_path: Path, s3_server: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2100, 2100, 3), np.uint8)
    save_photo(Path(settings.source) / "1924" / "a.png", noise, compress_level=0)
    name = bucket()
    settings = with_output(settings.model_copy(update={"upscale": 1}), f"s3://{name}/nightly")
    killed(settings, "mid-multipart")
    store = Store(settings.output)
    # Somebody else's upload in the same bucket is none of our business.
    other = store.fs.call_s3("create_multipart_upload", Bucket=name, Key="nightly-2/theirs")
    uploads = store.fs.call_s3("list_multipart_uploads", Bucket=name)["Uploads"]
    assert {upload["Key"] for upload in uploads} == {"nightly/1924/a.png", "nightly-2/theirs"}
    assert clear_unfinished(store, 0) == 1
    (left,) = store.fs.call_s3("list_multipart_uploads", Bucket=name)["Uploads"]
    assert left["UploadId"] == other["UploadId"]
    store.fs.call_s3("abort_multipart_upload", Bucket=name, Key=other["Key"], UploadId=other["UploadId"])
    check(settings, made(settings, tmp_path), file=False, done=False)


@pytest.mark.parametrize("step", list(STEPS))
def test_a_result_that_is_made_anew_is_never_under_the_old_ones_sidecar(
    settings: Settings, tmp_path: Path, step: str
) -> None:
    restore_without_model(settings)
    save_photo(Path(settings.source) / "1924" / "a.png", picture(60, 80, seed=3))
    killed(settings, step)
    store = Store(settings.output)
    digest = hashlib.sha256(store.read("1924/a.png")).hexdigest()
    if store.exists(sidecar_path("1924/a.png")):
        row = read_sidecar(store.read(sidecar_path("1924/a.png")))
        assert row is not None
        assert row["output_sha256"] == digest
    clear_unfinished(store, 0)
    restore_without_model(settings)
    assert make_plan(settings).done == 1
    (row,) = restore_without_model(with_output(settings, str(tmp_path / "calm")))
    assert hashlib.sha256(store.read("1924/a.png")).hexdigest() == row["output_sha256"]


@pytest.mark.parametrize("kind", ["local", "moved"])
def test_young_temporary_files_may_be_at_work_and_stay(tmp_path: Path, kind: str) -> None:
    store = Store(str(tmp_path) if kind == "local" else moving_url(tmp_path))
    for name, age in (("young", 60), ("old", 7200)):
        left = tmp_path / "1924" / f"{PARTIAL}{name}"
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"half")
        os.utime(left, (time.time() - age,) * 2)
    assert clear_unfinished(store, 3600) == 1
    assert [path.name for path in (tmp_path / "1924").iterdir()] == [f"{PARTIAL}young"]
    assert clear_unfinished(store, 0) == 1


def test_uploads_that_may_not_be_cleared_do_not_stop_a_run(
    s3_server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(f"s3://{bucket()}/nightly")
    call = store.fs.call_s3

    def calling(method: str, **named: Any) -> Any:
        if method == "list_multipart_uploads":
            raise PermissionError("AccessDenied")
        return call(method, **named)

    monkeypatch.setattr(store.fs, "call_s3", calling)
    with caplog.at_level(logging.WARNING):
        assert clear_unfinished(store, 0) == 0
    assert "unfinished uploads to s3://" in caplog.text
    assert clear_unfinished(Store(f"s3://{uuid.uuid4().hex}/nightly"), 0) == 0  # no such bucket yet


_FILL = """
import json, sys
sys.path[:0] = [sys.argv[2]]
import numpy as np
from archive_steps import table_of
from pipelines.plan.plan import make_plan
from pipelines.rows import get_pixels, put_pixels
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write

settings = Settings(**json.loads(sys.argv[1]))
decode, tile, write = Decode(settings), Tile(settings), Write(settings)
for planned in make_plan(settings).pending:
    table = run_stage(decode, table_of({**planned, "run_id": "r", "flow_run_id": ""}))
    for row in run_stage(tile, table).to_pylist():
        row.update(software="{}", device="none", lq_psnr_db=100.0, model_preset="tiny", statistics="[]")
        if row["parts"] > 1:
            put_pixels(row, get_pixels(row)[:256, :256].astype(np.uint16) * 257)
        (done,) = run_stage(write, table_of(row)).to_pylist()
        print("ROW", json.dumps([done[name] for name in ("source_path", "status", "error_code", "error_reason")]))
"""


@pytest.mark.parametrize("tile", [4096, 256])
def test_a_full_disk_is_said_by_name_and_leaves_nothing_half(settings: Settings, tile: int) -> None:
    """A file system of 2 MB, and a photograph whose result, or whose tiles, take more."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to mount a small file system of its own")
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)
    save_photo(Path(settings.source) / "1924" / "b.png", noise)
    settings = settings.model_copy(update={"upscale": 1, "tile": tile})
    out = Path(settings.output)
    out.mkdir()
    script = 'mount -t tmpfs -o size=2m tmpfs "$0" && "$1" -c "$2" "$3" "$4" && find "$0" -type f'
    command = [str(out), sys.executable, _FILL, settings.model_dump_json(), str(SUPPORT)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, *command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (first, *rest) = [json.loads(line.removeprefix("ROW ")) for line in lines if line.startswith("ROW ")]
    assert first == ["1924/a.png", "restored", None, None]
    failed = [row for row in rest if row[1] != "part_done"]
    assert (len(rest) == len(failed) == 1) if tile == 4096 else (0 < len(failed) < len(rest))
    for name, status, code, reason in failed:
        assert (name, status, code) == ("1924/b.png", "failed", "no_space")
        assert reason.startswith("1924/b.png")
        assert "No space left on device" in reason
    left = [line for line in lines if not line.startswith("ROW ")]
    results = {name for name in left if PRIVATE not in name}
    assert results == {str(out / "1924" / "a.png"), str(out / sidecar_path("1924/a.png"))}
    assert not [name for name in left if PARTIAL in name]
    assert len([name for name in left if name.endswith(".npz")]) == len(rest) - len(failed)
    assert not list(out.iterdir())  # it was mounted for that process alone

"""Stores that fail while a run is at work: S3 errors for ten seconds, and a disk that is full."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from chaos_runs import DRIVER, Run, census, make_archive
from s3_server import FlakyProxy

from pipelines.settings import Settings
from pipelines.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def in_s3(settings: Settings) -> Settings:
    """The same archive in a bucket, results to another."""
    names = f"scans-{uuid.uuid4().hex[:8]}", f"restored-{uuid.uuid4().hex[:8]}"
    local = Store(settings.source)
    source, output = Store(f"s3://{names[0]}/archive"), Store(f"s3://{names[1]}/nightly")
    source.fs.mkdir(names[0])
    output.fs.mkdir(names[1])
    for entry in local.list():
        source.publish(entry.path, local.read(entry.path))
    return settings.model_copy(update={"source": source.url, "output": output.url, "retry_seconds": 40.0})


@pytest.mark.chaos
@pytest.mark.parametrize(("count", "times"), [(12, 1), (60, 3)])
def test_s3_answers_with_errors_for_ten_seconds(tmp_path: Path, s3_server: str, count: int, times: int) -> None:
    settings = in_s3(make_archive(tmp_path, count)).model_copy(update={"lease_seconds": 60.0})
    with (
        FlakyProxy(s3_server) as proxy,
        Run(settings, {"slow": 0.3}, AWS_ENDPOINT_URL=proxy.url, AWS_ENDPOINT_URL_S3=proxy.url) as run,
    ):
        for number in range(times):
            run.wait_for(2 + number * 15)
            before = proxy.refused
            proxy.fail_for(10)
            run.wait_for(4 + number * 15)
            assert proxy.refused > before, "nothing was asked while it failed"
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"], outcome["stopped"]) == (count, 0, 0, "")
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": count}


@pytest.mark.chaos
def test_a_full_disk_stops_the_run_and_costs_nothing(tmp_path: Path) -> None:
    """The output is a file system of 200 KiB; after the run ended for want of space, one of 20 MiB."""
    settings = make_archive(tmp_path, 24, side=64)
    out, kept = Path(settings.output), tmp_path / "kept"
    out.mkdir()
    drive = shlex.join([sys.executable, str(DRIVER), settings.model_dump_json()])
    script = (
        f"mount -t tmpfs -o size=200k tmpfs {out} && {drive}; {drive}; "
        f"mount -o remount,size=20m {out} && {drive}; cp -a {out} {kept}"
    )
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs the right to mount a small file system of its own")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=400, check=False
    )
    lines = [line.removeprefix("OUTCOME ") for line in done.stdout.splitlines() if line.startswith("OUTCOME ")]
    assert len(lines) == 2, done.stderr[-2000:]
    full, roomy = map(json.loads, lines)
    assert "the output store is full" in full["stopped"]
    assert full["failed"] == 0, "no item is to blame"
    assert 0 < full["restored"] < 24
    # The second did not even begin, and said why.
    assert f"output {out}: cannot be written (No space left on device)" in done.stderr
    assert roomy["restored"] == roomy["planned"] == 24 - roomy["done"]
    assert roomy["done"] >= full["restored"]
    found = census(settings.model_copy(update={"output": str(kept)}))
    found.assert_exact()
    assert found.statuses == {"restored": 24}

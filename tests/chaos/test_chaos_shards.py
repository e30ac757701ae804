"""Runs in shards by the command line: a driver is killed, then the process that planned; nobody is lost, nobody is twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from chaos_runs import census, leftovers, make_archive, restored_calmly

from pipelines.manifest.reader import manifest_files
from pipelines.settings import Settings
from pipelines.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(600)]

COUNT = 18


@contextmanager
def restoring(settings: Settings, *more: str) -> Iterator[subprocess.Popen[str]]:
    """`faitharchive restore` in a process group of its own; a test that fails leaves nothing of it behind."""
    changed = settings.model_dump(exclude_defaults=True)
    places = [changed.pop("source"), changed.pop("output")]
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in changed.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs", "restore", *places, *flags, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            for each in (process, *family):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.communicate()


def until(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def results(settings: Settings) -> int:
    return len(list(Path(settings.output).rglob("*.png.restoration.json")))


def driver_of(settings: Settings, shard: int) -> int:
    """The process that holds a shard; 0 while nobody does."""
    leases = sorted(Path(settings.output).glob(f"_faitharchive/plans/*/shard-{shard:04d}/0*.json"))
    return int(json.loads(leases[-1].read_text())["process"]) if leases else 0


def folders(settings: Settings) -> set[str]:
    """What drivers have manifest files, without the run's own name."""
    found = (Path(entry.path).parent.name for entry in manifest_files(Store(settings.output)))
    return {name.partition("-shard-")[2] for name in found}


def test_a_killed_driver_is_followed_by_another_and_the_others_do_not_notice(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, COUNT, side=48).model_copy(update={"replicas": 1, "cpus": 2})
    with restoring(settings, "--shards=3") as process:
        until(lambda: results(settings) >= 1, process)
        os.kill(driver_of(settings, 1), signal.SIGKILL)
        said, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert f"{COUNT} restored, 0 failed, 0 already done" in said
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": COUNT}
    assert found.digests == restored_calmly(settings, found.digests)
    assert folders(settings) >= {"0001-2", "0002-1", "0003-1"}
    assert leftovers(settings) == []
    assert list(Store(settings.output).list("_faitharchive/plans")) == []


def test_after_the_process_that_planned_was_killed_the_next_run_goes_on_in_one_piece(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, COUNT, side=48).model_copy(update={"replicas": 1, "cpus": 2})
    with restoring(settings, "--shards=2") as process:
        until(lambda: results(settings) >= 2, process)
        family = psutil.Process(process.pid).children(recursive=True)
        drivers = [each for each in family if "multiprocessing.spawn" in " ".join(each.cmdline())]
        (server,) = [each for each in family if "prefect.server" in " ".join(each.cmdline())]
        process.kill()
        process.wait()
        server.kill()  # which Prefect started, and nobody ends in place of who was killed
    with restoring(settings) as again:
        said, errors = again.communicate(timeout=400)
    assert again.returncode == 0, errors
    assert drivers
    assert psutil.wait_procs(drivers, timeout=60)[1] == [], "drivers outlived their run"
    done = results(settings)
    assert done == COUNT
    assert f", 0 failed, {COUNT}" not in said
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": COUNT}
    assert found.digests == restored_calmly(settings, found.digests)
    assert list(Store(settings.output).list("_faitharchive/plans")) == []


def test_ctrl_c_drains_all_drivers_and_the_next_run_does_the_rest(tmp_path: Path) -> None:
    """It goes to the whole process group, as from a terminal; drivers are in groups of their own."""
    settings = make_archive(tmp_path, 60, side=96).model_copy(update={"replicas": 1, "cpus": 2})
    with restoring(settings, "--shards=2") as process:
        until(lambda: results(settings) >= 2, process)
        driver = driver_of(settings, 1)
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT, errors
    assert "stopped before the end: interrupted by SIGINT" in said
    assert not psutil.pid_exists(driver)
    kept = census(settings)
    assert (kept.duplicated, kept.unsound, kept.strays) == (set(), set(), set())
    assert 2 <= len(kept.digests) < 60
    assert leftovers(settings) == []
    assert list(Store(settings.output).list("_faitharchive/plans")) == []
    with restoring(settings) as again:
        said, errors = again.communicate(timeout=400)
    assert again.returncode == 0, errors
    assert f"{60 - len(kept.digests)} restored, 0 failed, {len(kept.digests)} already done" in said
    census(settings).assert_exact()

"""A restoration that has nothing to do starts neither Prefect nor Ray, and is recorded like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pipelines.store.lease import hold_lease
from pipelines.store.stores import open_store

CODE = (
    "import sys\nfrom jobs.cli.main import main\n"
    "code = 0\ntry:\n    main()\nexcept SystemExit as end:\n    code = end.code\n"
    "print('loaded:', *[name for name in ('prefect', 'ray', 'torch') if name in sys.modules])\nsys.exit(code)"
)


def restore(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    command = [sys.executable, "-c", CODE, "restore", str(folder / "in"), str(folder / "out")]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**environment, "HOME": str(folder)}
    )


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines on stderr, but for those that say what a slow machine waits for."""
    return [line for line in done.stderr.splitlines() if not line.endswith(" ...")]


def test_an_idle_run_loads_neither_prefect_nor_ray_and_leaves_its_record(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "list.txt").write_text("no photograph")
    done = restore(tmp_path)
    assert (done.returncode, complaints(done)) == (0, [])
    assert done.stdout.splitlines()[0] == "Nothing to do: 0 already done, no model work."
    assert done.stdout.splitlines()[-1] == "loaded:"
    (record,) = (tmp_path / "out" / "_faitharchive" / "runs").glob("*.json")
    facts = json.loads(record.read_text())
    assert (facts["restored"], facts["failed"], facts["left"], facts["stopped"]) == (0, 0, 0, "")
    assert facts["other_files"] == {".txt": 1} and facts["run_id"] in done.stdout


def test_an_idle_run_is_refused_an_output_that_another_run_holds(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with hold_lease(open_store(str(tmp_path / "out")), run_id="other", seconds=60):
        done = restore(tmp_path)
    assert done.returncode == 2
    assert "other" in done.stderr and len(complaints(done)) == 1
    assert done.stdout.splitlines() == ["loaded:"]

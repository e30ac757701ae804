"""One environment for every way in: what the command line sets, a flow that a Prefect worker loads has, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SHOWS = "import os; print(os.environ.get('RAY_AUTH_MODE'), os.environ.get('PREFECT_LOGGING_LEVEL'))"


def _environment(code: str, home: Path, **more: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PREFECT_"))}
    environment = {**kept, "HOME": str(home), "PREFECT_API_URL": "http://127.0.0.1:9/api", **more}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("way_in", ["jobs", "jobs.flows", "jobs.service.environment"])
def test_whichever_way_in_is_taken_ray_is_asked_with_its_token(tmp_path: Path, way_in: str) -> None:
    """A nightly run that `prefect worker` started failed with "check that the cluster runs"."""
    with_token = _environment(f"import {way_in}; {_SHOWS}", tmp_path, RAY_AUTH_TOKEN="0123456789abcdef")
    assert with_token == "token CRITICAL"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0123456789abcdef")
    assert _environment(f"import {way_in}; {_SHOWS}", tmp_path) == "token CRITICAL"
    assert _environment(f"import {way_in}; {_SHOWS}", tmp_path, RAY_AUTH_MODE="disabled") == "disabled CRITICAL"


def test_a_worker_that_has_set_prefect_up_keeps_it(tmp_path: Path) -> None:
    code = f"import sys, types; sys.modules['prefect'] = types.ModuleType('prefect'); import jobs; {_SHOWS}"
    assert _environment(code, tmp_path, RAY_AUTH_TOKEN="0123456789abcdef") == "token None"

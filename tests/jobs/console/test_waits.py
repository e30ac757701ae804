"""Nobody sits before a silent command: what takes longer than a moment says what it waits for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.console.waits import waiting

ROOT = Path(__file__).parents[3]


def test_a_long_wait_is_told_once_and_a_short_one_never(capfd: pytest.CaptureFixture[str]) -> None:
    with waiting("a short one", 30):
        pass
    with pytest.raises(ZeroDivisionError), waiting("a broken one", 0.2):
        raise ZeroDivisionError
    with waiting("a long one", 0.05):
        time.sleep(0.6)
    assert capfd.readouterr().err.splitlines() == ["a long one ..."]


@pytest.mark.parametrize("command", ["plan", "status", "restore"])
def test_a_store_that_does_not_answer_is_no_silence(tmp_path: Path, command: str) -> None:
    """Nothing listens on the port; the command says what it waits for long before it gives up, in one line."""
    words = {
        "plan": ["plan", "s3://archive/scans", "s3://archive/restored"],
        "status": ["status", "s3://archive/restored"],
    }
    words["restore"] = ["restore", *words["plan"][1:]]
    retries = [] if command == "status" else ["--retry-seconds", "5"]
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "200",
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "jobs", *words[command], *retries], cwd=tmp_path, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert child.stderr is not None
    try:
        told = child.stderr.readline()
        assert child.poll() is None, told  # it is still waiting
        assert "does not answer is tried for" in told
        if command != "status":  # whose patience is the default, a minute
            assert [line[:6] for line in child.stderr.read().splitlines()] == ["error:"]
            assert child.wait(60) == 2
    finally:
        child.kill()
        child.wait()
        child.stderr.close()

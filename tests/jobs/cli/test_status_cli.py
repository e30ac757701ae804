"""`faitharchive status` beside real runs, and the JSON logs of the same runs."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_process import FAST, start
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from jobs.cli.main import app
from jobs.cli.status import as_table, as_values, exit_code
from pipelines.audit.status import RunStatus, run_status
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store
from pipelines.telemetry.logs import ABOUT
from pipelines.telemetry.progress import Progress, Publisher

COUNT = 12


def look(out: Path) -> tuple[int, dict[str, Any]]:
    """What `status --json` says, by its exit code."""
    done = CliRunner().invoke(app, ["status", str(out), "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout else {"state": ""}


def archive(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    (folder / "scans").mkdir()
    for number in range(COUNT - 1):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(folder / "scans" / f"{number:04d}.png")
    (folder / "scans" / "bad  é\u2028.jpg").write_bytes(b"no picture")
    return folder / "scans"


@dataclass
class Ran:
    """A run that was watched: what it wrote, and what status said meanwhile and at its end, with exit codes."""

    stdout: str
    stderr: str
    workers: str
    seen: list[tuple[int, dict[str, Any]]]
    last: tuple[int, dict[str, Any]]
    out: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """A run over good photographs and a bad one, with logs in JSON."""
    with tempfile.TemporaryDirectory(prefix="fa", dir="/tmp") as ray:  # sockets have short names only
        yield watched(tmp_path_factory.mktemp("watched"), Path(ray))


def watched(folder: Path, ray: Path) -> Ran:
    """Run, and look on."""
    scans, out = archive(folder), folder / "out"
    process = start("restore", scans, out, *FAST, "--log-format", "json", RAY_TMPDIR=str(ray))
    seen: list[tuple[int, dict[str, Any]]] = []
    while process.poll() is None:
        seen.append(look(out))
        time.sleep(0.3)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    workers = "".join(path.read_text() for path in ray.rglob("worker-*.err") if "session_latest" not in path.parts)
    return Ran(stdout, stderr, workers, seen, look(out), out)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_run_is_seen_from_its_plan_to_its_end(ran: Ran) -> None:
    states = list(dict.fromkeys(found["state"] for _, found in ran.seen))
    order = ["", "none", "planning", "running", "finishing", "ended"]
    assert states == [state for state in order if state in states]
    assert "running" in states
    live = [found for code, found in ran.seen if found["state"] == "running" and code == 0]
    progress = live[-1]["progress"]
    assert progress["planned"] == COUNT
    assert progress["replicas"] >= 1
    assert progress["last_sign_of_life_seconds"] < 60
    assert (live[0]["lease"]["state"], live[0]["lease"]["run_id"]) == ("held", live[0]["run_id"])
    code, last = ran.last
    assert (code, last["state"], last["run_id"]) == (1, "ended", live[0]["run_id"])
    assert (last["record"]["restored"], last["record"]["failed"]) == (COUNT - 1, 1)
    assert (last["progress"]["state"], last["progress"]["done"]) == ("ended", COUNT)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_each_line_of_stderr_is_an_event(ran: Ran) -> None:
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert all({"time", "level", "logger", "message", "node", *ABOUT} <= set(line) for line in lines)
    events = Counter(line["message"] for line in lines if line["logger"] == "faitharchive")
    once = {"run planned", "run started", "run ended"}
    assert {message: events[message] for message in once} == dict.fromkeys(once, 1)
    assert (events["item restored"], events["item failed"]) == (COUNT - 1, 1)
    run_id = ran.last[1]["run_id"]
    assert {line["run_id"] for line in lines if line["message"].startswith(("run ", "item "))} == {run_id}
    (ended,) = [line for line in lines if line["message"] == "run ended"]
    assert (ended["restored"], ended["failed"], ended["left"]) == (COUNT - 1, 1, 0)
    (failed,) = [line for line in lines if line["message"] == "item failed"]
    assert (failed["level"], failed["stage"], failed["error_code"]) == ("warning", "decode", "not_an_image")
    assert failed["source_path"] == "bad  é\u2028.jpg"
    assert len(failed["item_id"]) > 10


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_workers_tell_the_same_run_item_and_stage(ran: Ran) -> None:
    lines = [json.loads(line) for line in ran.workers.splitlines() if line.startswith("{")]
    (failed,) = [line for line in lines if line["message"] == "item failed"]
    assert (failed["run_id"], failed["source_path"]) == (ran.last[1]["run_id"], "bad  é\u2028.jpg")
    assert (failed["stage"], failed["error_code"], failed["level"]) == ("decode", "not_an_image", "warning")
    made = [line for line in lines if line["message"] == "actor made"]
    assert {(line["stage"], line["device"], line["run_id"]) for line in made} == {("restore", "cpu", failed["run_id"])}
    assert all(line["seconds"] > 0 for line in made)


@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_run_that_was_killed_is_told_and_the_same_command_continues(tmp_path: Path) -> None:
    scans, out = archive(tmp_path), tmp_path / "out"
    process = start("restore", scans, out, *FAST, "--lease-seconds", "3")
    try:
        end = time.monotonic() + 200
        while look(out)[1]["state"] != "running":
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    _, complained = process.communicate(timeout=60)
    assert "item failed" not in complained  # as text, the terminal shows what it always showed
    assert "faitharchive" not in complained
    code, found = look(out)
    assert (code, found["state"]) == (3, "died")
    assert found["progress"]["planned"] == COUNT
    told = CliRunner().invoke(app, ["status", str(out), "--watch"])
    assert told.exit_code == 3
    assert "died" in told.stdout
    assert "the same restore command continues" in told.stdout
    assert "last sign of life" in told.stdout


def test_a_store_without_a_run_and_stores_that_are_none(tmp_path: Path) -> None:
    assert look(tmp_path) == (0, {
        "state": "none", "run_id": "", "lease": None, "progress": None, "record": None, "reviews": None,
        "advice": "no run has been here yet: faitharchive restore SCANS OUTPUT",
    })  # fmt: skip
    (tmp_path / "file").write_bytes(b"")
    for url, text in (
        (str(tmp_path / "missing"), "there is no such folder; check the path"),
        (str(tmp_path / "file"), "there is no such folder; check the path"),
        ("nosuch://x/y", "store nosuch://x/y: cannot be opened"),
        ("s3://key:s3cret@bucket/x", "its URL holds credentials"),
    ):
        process = start("status", url)
        said, complained = process.communicate(timeout=60)
        assert (process.returncode, said) == (2, "")
        (line,) = complained.splitlines()
        assert line.startswith("error: ")
        assert text in line
        assert "s3cret" not in line


def test_watching_on_a_terminal_ends_with_the_run(tmp_path: Path) -> None:
    """On a terminal one picture is refreshed; without a run it is the last one at once."""
    store = Store(str(tmp_path))
    with hold_lease(store, run_id="one", seconds=30):
        progress = Progress(run_id="one", planned=4, restored=1, started_at=time.time() - 30)
        Publisher(store, lambda: progress).publish()
        controller, terminal = pty.openpty()
        command = [sys.executable, "-c", "from jobs.cli.main import main; main()", "status", str(tmp_path), "--watch"]
        process = subprocess.Popen(command, stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "xterm"})
        os.close(terminal)
        text = b""
        while b"1 of 4 done" not in text:
            text += os.read(controller, 65536)
    while True:
        try:
            text += os.read(controller, 65536)
        except OSError:
            break
    assert process.wait(timeout=30) == 0
    assert b"running" in text
    assert text.rstrip().endswith(b"\x1b[?25h")  # the cursor is back


def test_names_from_outside_are_shown_as_text() -> None:
    progress = Progress(
        run_id="one", planned=2, parts=1, films={"a\x1b[2J\n[bold]b.mkv": (1, 7)}, stopping="x\x1b]0;owned\x07",
        started_at=time.time() - 60, written_at=time.time(), last_done_at=time.time() - 5,
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=200)
    console.print(as_table(RunStatus(state="draining", run_id="one", progress=progress, advice="\x1b[31m[red]x")))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]b.mkv: 1 of 7 parts" in text
    assert as_values(RunStatus(state="running", progress=progress))["progress"]["items_per_hour"] == 0


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (RunStatus(state="none"), 0),
        (RunStatus(state="running"), 0),
        (RunStatus(state="draining"), 0),
        (RunStatus(state="ended", record={"failed": 0}), 0),
        (RunStatus(state="ended", record={"failed": 1}), 1),
        (RunStatus(state="ended", record={"quarantined": 1}), 1),
        (RunStatus(state="stopped", record={"failed": 1}), 3),
        (RunStatus(state="stalled"), 3),
        (RunStatus(state="died"), 3),
    ],
)
def test_exit_codes(found: RunStatus, code: int) -> None:
    assert exit_code(found) == code


def test_an_s3_store_can_be_looked_at(s3_server: str) -> None:
    import fsspec

    fsspec.filesystem("s3").mkdir("watched")
    store = Store("s3://watched/out")
    with hold_lease(store, run_id="one", seconds=30):
        Publisher(store, lambda: Progress(run_id="one", planned=3, started_at=time.time())).publish()
        assert run_status(Store("s3://watched/out")).state == "running"
    assert run_status(Store("s3://watched/out")).state == "none"

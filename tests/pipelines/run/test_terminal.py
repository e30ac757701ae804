"""A run at a terminal: nothing that it starts may ask the terminal anything, or it is stopped there and the run hangs."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from film_clips import moving_frames, write_film

# As `ffmpeg` does it: set the terminal up if standard input is one, and if not say what is there.
_STAND_IN = """#!{python}
import os, sys, termios
tty = os.isatty(0)
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
    reach = "a terminal"
except OSError:
    reach = "no terminal"
with open({log!r}, "a") as log:
    log.write(f"{{'tty' if tty else 'no tty'}}, {{reach}}\\n")
if tty:
    termios.tcsetattr(0, termios.TCSANOW, termios.tcgetattr(0))  # from the background: SIGTTOU
"""
_RUN = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # this session's own terminal, with this process in the foreground
from pipelines.plan.plan import make_plan
from pipelines.run.cluster import connected
from pipelines.run.driver import run
from pipelines.settings import Settings
settings = Settings(source=sys.argv[1], output=sys.argv[2], preset="nano", upscale=1, replicas=1, cpu_threads=1, cpus=1,
                    segment_frames=8, segment_overlap=2, steady="none")
with connected(settings):
    outcome = run(make_plan(settings), settings, run_id="20260101T000000.000Z-aaaaaa")
assert sys.stdin.isatty()
print(outcome.restored, "restored")
"""


@pytest.mark.ray
@pytest.mark.timeout(240)
def test_a_film_restored_at_a_terminal_does_not_hang_where_ffmpeg_is_installed(tmp_path: Path) -> None:
    write_film(tmp_path / "in/a.mkv", moving_frames(9))
    log = tmp_path / "ffmpeg.log"
    stand_in = tmp_path / "bin/ffmpeg"
    stand_in.parent.mkdir()
    stand_in.write_text(_STAND_IN.format(python=sys.executable, log=str(log)))
    stand_in.chmod(0o755)
    ours, theirs = pty.openpty()
    said: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(ours, 4096):
                said.append(data)
        except OSError:  # the other end is closed
            return

    listener = threading.Thread(target=read, daemon=True)
    listener.start()
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(tmp_path / "in"), str(tmp_path / "out")],
        env={**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        code = process.wait(200)
    finally:
        process.kill()
    listener.join(10)
    os.close(ours)
    assert (code, b"1 restored" in b"".join(said)) == (0, True), b"".join(said).decode(errors="replace")
    assert log.exists(), "nothing looked for ffmpeg: this test shows nothing"
    assert set(log.read_text().splitlines()) == {"no tty, no terminal"}

"""`faitharchive review`: the address it prints, how it ends, and one line for what is wrong."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from archive_steps import save_photo
from cli_process import start
from reviewed_output import ReviewedOutput, make_reviewed_output
from typer.testing import CliRunner

from jobs.cli.main import app


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> ReviewedOutput:
    return make_reviewed_output(tmp_path_factory.mktemp("archive"))


def test_it_prints_its_address_answers_and_ends_with_ctrl_c(place: ReviewedOutput) -> None:
    process = start("review", place.restored, "--no-open", "--reviewer", "Ada")
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith(f"Review of file://{place.restored}, 9 items: http://127.0.0.1:")
        url = urlsplit(line.split()[-1])
        door = http.client.HTTPConnection(url.netloc, timeout=30)
        door.request("GET", f"{url.path}api/state")
        answer = door.getresponse()
        assert (answer.status, b'"reviewer":"Ada"' in answer.read()) == (200, True)
        door.close()
        os.kill(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, error
    assert out == ""
    assert "Ctrl-C ends it" in error
    assert url.path.strip("/") not in error  # the key stands in the address alone, not in logs


def test_what_is_wrong_is_one_line(place: ReviewedOutput, tmp_path: Path) -> None:
    def refused(*words: str | Path) -> str:
        done = CliRunner().invoke(app, ["review", *map(str, words), "--no-open"])
        return str(done.exception)

    assert "there is no such folder; check the path" in refused(tmp_path / "nowhere")
    save_photo(tmp_path / "scans" / "a.png")
    assert "no run has been here" in refused(tmp_path / "scans")
    assert "source" in refused(place.restored, "--source", tmp_path / "nowhere")
    assert "no item that matches 'x/*'" in refused(place.restored, "--only", "x/*")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refused(place.restored, "--port", str(port)) == (
            f"port {port}: is taken by another program; choose another with --port, or 0 for a free one"
        )
    assert sorted(path.name for path in (tmp_path / "scans").iterdir()) == ["a.png"]

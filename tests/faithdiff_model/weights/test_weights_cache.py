"""A node's cache of weights: of processes that start together one fetches and one hashes, and nothing half is ever taken."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from faithdiff_model.weights import digests
from faithdiff_model.weights.digests import file_part, parts_digest
from faithdiff_model.weights.download import WeightsError, resolve_file

ROOT = Path(__file__).parents[3]
DATA = os.urandom(3 << 20)
_RESOLVE = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from faithdiff_model.weights.digests import file_part, parts_digest
from faithdiff_model.weights.download import resolve_file
path = resolve_file(sys.argv[1], ["w.safetensors"])
print(path, len(path.read_bytes()), parts_digest("config", [file_part("w", path)]))
"""


class Server(ThreadingHTTPServer):
    """Serves one file, slowly enough that processes meet, and counts. With `short` it breaks off in the middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.short = False
        self.url = f"http://127.0.0.1:{self.server_port}/w.safetensors"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        if "Range" not in self.headers:
            self.server.asked["GET"] += 1
        self._answer(DATA[: len(DATA) // 2] if self.server.short else DATA)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        for start in range(0, len(body), 1 << 19):
            threading.Event().wait(0.1)
            self.wfile.write(body[start : start + (1 << 19)])

    def log_message(self, *_: Any) -> None:
        """In silence."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAITHARCHIVE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_of_four_processes_one_fetches_and_one_hashes(server: Server, cache: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", _RESOLVE, server.url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    lines = [process.communicate(timeout=100)[0].splitlines() for process in started]
    assert server.asked["GET"] == 1
    told = Counter(line.split()[0] for each in lines for line in each[:-1])
    assert told == {"fetched": 1, "hashed": 1}
    assert len({each[-1] for each in lines}) == 1
    assert lines[0][-1].split()[1] == str(len(DATA))
    assert not list(cache.rglob("*.partial"))


def test_a_download_that_breaks_off_is_told_and_taken_up_again(server: Server, cache: Path) -> None:
    server.short = True
    with pytest.raises(WeightsError, match=r"weights http://127.0.0.1:\d+/w.safetensors: .*"):
        resolve_file(server.url, ["w.safetensors"])
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]
    server.short = False
    assert resolve_file(server.url, ["w.safetensors"]).read_bytes() == DATA


def test_replaced_weights_have_another_digest(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"one")
    before = parts_digest("config", [file_part("w", file)])
    file.write_bytes(b"two, longer")
    assert parts_digest("config", [file_part("w", file)]) != before


def test_a_cache_that_cannot_be_written_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(digests, "cache_folder", lambda: tmp_path / "file" / "cache")
    (tmp_path / "w").write_bytes(b"one")
    part = file_part("w", tmp_path / "w")
    assert parts_digest("config", [part]) == parts_digest("config", [part])

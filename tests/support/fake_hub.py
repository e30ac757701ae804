"""A hub of models on this machine: what huggingface_hub asks of the real one for listings and files, and a count of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest


class FakeHub(ThreadingHTTPServer):
    """Serves repositories.

    Attributes:
        asked: how often each file was downloaded, as `owner/name/file`, and each repository looked up, as `owner/name`.
        cache: where huggingface_hub keeps what it downloads.
        up: without it every request is refused.
    """

    daemon_threads = True

    def __init__(self, cache: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cache = cache
        self.asked: Counter[str] = Counter()
        self.up = True
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repo: str, folder: Path, branch: str = "main") -> str:
        """A folder's files as a new commit of a branch; its name."""
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        known = self.commits.setdefault(repo, {})
        name = hashlib.sha1(f"{repo} {len(known)}".encode()).hexdigest()
        known[name] = files
        self.branches.setdefault(repo, {})[branch] = name
        return name

    def files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A revision's commit and files."""
        commit = self.branches.get(repo, {}).get(revision, revision)
        files = self.commits.get(repo, {}).get(commit)
        return None if files is None else (commit, files)

    def downloads(self) -> set[str]:
        """The files that were downloaded since the last time."""
        found = {name for name in self.asked if name.count("/") > 1}
        self.asked.clear()
        return found


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if not self.server.up:
            self._send(503, b"")
        elif parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:])
        else:
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def _api(self, repo: str, rest: list[str]) -> None:
        found = self.server.files(repo, "/".join(rest[1:]) or "main")
        if found is None:
            code = "RevisionNotFound" if repo in self.server.commits else "RepoNotFound"
            self._send(404, b"{}", {"X-Error-Code": code})
            return
        commit, files = found
        if rest[:1] == ["tree"]:
            tree = [{"type": "file", "path": n, "size": len(d), "oid": _etag(d)} for n, d in files.items()]
            self._json(tree)
            return
        self.server.asked[repo] += 1
        self._json({"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]})

    def _file(self, repo: str, revision: str, name: str) -> None:
        found = self.server.files(repo, revision)
        if found is None or name not in found[1]:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data = found[1][name]
        if self.command == "GET":
            self.server.asked[f"{repo}/{name}"] += 1
        self._send(200, data, {"ETag": f'"{_etag(data)}"', "X-Repo-Commit": found[0]})

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """In silence."""


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def running_hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that huggingface_hub asks in this process, with an empty cache of its own."""
    from huggingface_hub import constants

    with FakeHub(cache) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()

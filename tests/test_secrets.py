"""Planted secrets are found nowhere: not in what a run publishes, prints or logs, whether its stores work or fail.

Contract 7 of the design: secrets come from the environment or fsspec's own configuration, and go no further than the store.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow.parquet as pq
import pytest
from archive_steps import picture
from PIL import Image

from pipelines.store.store import Store, StoreError

pytestmark = pytest.mark.ray
MARK = "PLANTED"
# Everything that holds the mark is a secret.
SECRETS = {
    "AWS_ACCESS_KEY_ID": f"{MARK}environmentKeyId",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}environmentSecret",
    "AWS_SESSION_TOKEN": f"{MARK}environmentToken",
    "FSSPEC_S3_KEY": f"{MARK}fsspecKeyId",
    "FSSPEC_S3_SECRET": f"{MARK}fsspecSecret",
}
# Settings whose URL is the secret: they would be kept in Prefect's records of a flow's parameters.
SIGNED = {
    "CATALOGUE": f"https://x.example/captions.csv?X-Amz-Signature={MARK}signedUrl",
    "FAITHDIFF": f"s3://key:{MARK}urlPassword@bucket/weights.safetensors",
}
# What a store, or a proxy before it, may answer: it quotes the request that it refuses.
REFUSAL = (
    f"refused: Authorization: AWS4-HMAC-SHA256 Credential={MARK}answered/20250611/us-east-1/s3/aws4_request, "
    f"SignedHeaders=host, Signature={MARK}signature; for https://user:{MARK}password@x.example/b/k?"
    f"X-Amz-Credential={MARK}query&amp;X-Amz-Signature={MARK}query&amp;X-Amz-Security-Token={MARK}query"
)


class RefusingServer:
    """Passes requests on to an S3 server, except those that it refuses in words that hold secrets.

    Args:
        target: URL of the server behind it.

    Attributes:
        refuse: (method, part of the path) of what is refused.
        seen: whether a request came with the planted key: the secrets are really in use.
    """

    def __init__(self, target: str) -> None:
        self.refuse: set[tuple[str, str]] = set()
        self.seen = False
        server, behind = self, urlsplit(target).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.seen |= MARK in str(self.headers.get("Authorization"))
                path = unquote(urlsplit(self.path).path)
                if any(method == self.command and part in path for method, part in server.refuse):
                    text = f"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>{REFUSAL}</Message></Error>"
                    self._answer(403, {"Content-Type": "application/xml"}, text.encode())
                    return
                connection = http.client.HTTPConnection(behind, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                self._answer(answer.status, dict(answer.getheaders()), answer.read())
                connection.close()

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                own = {"content-length", "transfer-encoding", "connection", "date", "server"}
                for name, value in headers.items():
                    if name.lower() not in own or (self.command == "HEAD" and name.lower() == "content-length"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@dataclass
class Aftermath:
    """What runs left behind.

    Attributes:
        shown: standard output and error, by run.
        codes: exit codes, by run.
        places: everything else that was written, as text by name.
    """

    shown: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def leaks(self) -> list[str]:
        """Where a secret is, with some text around it."""
        texts = {f"shown by {name}": text for name, text in self.shown.items()} | self.places
        return [
            f"{name}: ...{text[max(0, at - 80) : at + 60]!r}"
            for name, text in texts.items()
            if (at := text.upper().find(MARK)) >= 0
        ]


@pytest.fixture(scope="module")
def aftermath(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Three commands over S3: a restoration that meets failures, a verification, and one that may not write at all."""
    home = Path(tempfile.mkdtemp(prefix="fa-", dir="/tmp"))  # short: Ray's sockets lie below it
    bucket = f"secrets-{uuid.uuid4().hex[:8]}"
    store = Store(f"s3://{bucket}")
    store.fs.mkdir(bucket)
    for name in ("good", "may not be read", "result may not be written"):
        file = io.BytesIO()
        Image.fromarray(picture(20, 24)).save(file, "PNG")
        store.publish(f"scans/{name}.png", file.getvalue())
    server = RefusingServer(s3_server)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FSSPEC_"))},
        **SECRETS,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "300",
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "FAITHARCHIVE_CACHE": str(home / "cache"),
        "RAY_TMPDIR": str(home / "ray"),
        "TMPDIR": str(home),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    environment.pop("PREFECT_API_URL", None)
    (home / "ray").mkdir()
    found = Aftermath()
    flags = ["--preset", "nano", "--cpus", "1", "--object-store-mb", "80", "--retry-seconds", "1"]

    def run(name: str, *arguments: str, **variables: str) -> None:
        command = [sys.executable, "-c", "from jobs.cli.main import main; main()", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=280, env=environment | variables, check=False
        )
        found.shown[name], found.codes[name] = done.stdout + done.stderr, done.returncode

    scans, restored = f"s3://{bucket}/scans", f"s3://{bucket}/restored"
    try:
        server.refuse = {("GET", "scans/may not be read.png"), ("PUT", "restored/result may not")}
        run("restore", "restore", scans, restored, *flags)
        server.refuse = {("GET", "restored/good.png")}
        run("verify", "verify", scans, restored, *flags)
        for name, url in SIGNED.items():
            run(f"signed {name}", "restore", scans, f"{restored} elsewhere", *flags, **{f"FAITHARCHIVE_{name}": url})
        server.refuse = {("PUT", "")}
        run("refused", "restore", scans, f"{restored} elsewhere", *flags)
        assert server.seen
        server.refuse = set()
        for entry in store.list("restored"):
            data = store.read(entry.path)
            if entry.path.endswith(".parquet"):  # compressed: its values, not its bytes
                data = json.dumps(pq.read_table(io.BytesIO(data)).to_pylist(), default=str).encode()
            found.places[entry.path] = data.decode("latin-1")
        for path in sorted(home.rglob("*")):
            if path.is_file():
                found.places[str(path.relative_to(home))] = path.read_bytes().decode("latin-1")
        yield found
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_the_runs_met_what_they_should(aftermath: Aftermath) -> None:
    """Otherwise an empty haystack would pass."""
    codes = {"restore": 1, "verify": 1, "signed CATALOGUE": 2, "signed FAITHDIFF": 2, "refused": 2}
    assert aftermath.codes == codes, aftermath.shown
    assert "1 restored, 2 failed" in aftermath.shown["restore"]
    assert "unreadable in decode: may not be read.png" in aftermath.shown["restore"]
    assert "write_error in write: result may not be written.png" in aftermath.shown["restore"]
    assert "result unreadable" in aftermath.shown["verify"]
    assert "cannot be written" in aftermath.shown["refused"]
    assert "https://x.example/captions.csv" in aftermath.shown["signed CATALOGUE"]
    assert "s3://bucket/weights.safetensors" in aftermath.shown["signed FAITHDIFF"]
    names = " ".join(aftermath.places)
    for part in ("good.png.restoration.json", "manifest/run=", "runs/", "lease/", "verifications/", ".db", "session_"):
        assert part in names, part
    manifest = "".join(text for name, text in aftermath.places.items() if "/manifest/" in name)
    assert "may not be read" in manifest
    assert any("raylet" in name for name in aftermath.places)


def test_no_secret_is_anywhere(aftermath: Aftermath) -> None:
    assert aftermath.leaks() == []


def test_the_search_finds_what_is_there() -> None:
    assert Aftermath(shown={"a": "x"}, places={"b": f"y{MARK.lower()}"}).leaks()
    assert not Aftermath(shown={"a": "x"}).leaks()


@pytest.mark.parametrize(
    "url",
    [
        f"s3://key:{MARK}@bucket/scans",
        f"https://user:{MARK}@x.example/scans",
        f"https://x.example/scans?X-Amz-Signature={MARK}",
        f"sftp://user:{MARK}@x.example/scans",
        f"nosuch://user:{MARK}@x.example/scans",
    ],
)
def test_a_url_with_a_secret_is_refused_in_one_line_without_it(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert MARK not in str(caught.value)
    assert "\n" not in str(caught.value)

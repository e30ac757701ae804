"""A store that lets nobody in says which credential it refuses and where that comes from, in one line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fsspec
import pytest

from pipelines.store.access import remedy
from pipelines.store.store import Store, StoreError


class RefusingS3:
    """An S3 server that answers 403 with an error's code, and to HEAD without it, as S3 does."""

    def __init__(self) -> None:
        self.code = "AccessDenied"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _refuse(handler) -> None:  # noqa: N805 (self is the server)
                handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
                text = (
                    f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>No entry.</Message></Error>".encode()
                )
                handler.send_response(403)
                handler.send_header("Content-Type", "application/xml")
                handler.send_header("Content-Length", str(len(text)))
                handler.end_headers()
                if handler.command != "HEAD":
                    handler.wfile.write(text)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _refuse  # noqa: N815

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[RefusingS3]:
    server = RefusingS3()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.http.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    kind = fsspec.get_filesystem_class("s3")
    kind.clear_instance_cache()  # of other tests' servers
    yield server
    kind.clear_instance_cache()
    server.http.shutdown()
    server.http.server_close()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (
            "InvalidAccessKeyId",
            "the store does not know this key: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ",
        ),
        ("SignatureDoesNotMatch", "the secret is not that of the key: check AWS_ACCESS_KEY_ID and "),
        ("ExpiredToken", "the credentials have run out: sign in again and renew AWS_SESSION_TOKEN"),
        ("AccessDenied", "the credentials are refused, or may not do this: check AWS_ACCESS_KEY_ID and "),
    ],
)
def test_refused_credentials_are_one_line_that_names_the_fix(refusing: RefusingS3, code: str, advice: str) -> None:
    refusing.code = code
    store = Store("s3://archive/scans")
    for use in (lambda: list(store.list()), store.check_writable):
        with pytest.raises(StoreError, match=r"^(store|output) s3://archive/scans: cannot be .*No entry") as caught:
            use()
        assert f"; {advice}" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_a_source_that_may_not_be_looked_at_is_no_bare_forbidden(refusing: RefusingS3) -> None:
    """What asks whether it is there is answered without a body, so by no code."""
    line = r"^source s3://archive/scans: cannot be looked at \(Forbidden\); the credentials are refused, or may not do this: "
    with pytest.raises(StoreError, match=line):
        Store("s3://archive/scans").check_exists("source")


def test_no_credentials_at_all_are_told(refusing: RefusingS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match=r"; no credentials were found: set AWS_ACCESS_KEY_ID"):
        list(Store("s3://archive/scans").list())


def test_what_has_nothing_to_do_with_credentials_keeps_its_own_advice() -> None:
    assert remedy(PermissionError(13, "Permission denied"), "check access") == "check access"
    assert remedy(OSError("Forbidden"), "check access", s3=False) == "check access"

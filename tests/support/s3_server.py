"""An S3 server on this machine, and a proxy before it that fails when told to."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_HOP = {"connection", "transfer-encoding", "keep-alive", "server", "date", "content-length"}


def start_s3() -> Any:
    """moto's server on a free port of the loopback; `.stop()` ends it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return server


class FlakyProxy:
    """Passes HTTP requests on, except while it is told to fail. A context manager.

    Args:
        target: URL of the server behind it.

    Attributes:
        requests: how many were asked of it, by method.
        refused: how many it failed.
    """

    def __init__(self, target: str) -> None:
        self.requests: dict[str, int] = {}
        self.refused = 0
        self._until = 0.0
        self._every = 0
        self._count = 0
        self._cut = False
        self._victim = 0
        self._lock = threading.Lock()
        proxy, address = self, urlsplit(target).netloc

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if proxy._victim and self.command == "PUT" and length > 1000:
                    self.rfile.read(length // 2)
                    os.kill(proxy._victim, signal.SIGKILL)
                    self.close_connection = True
                    return
                body = self.rfile.read(length)
                if proxy._fails(self.command):
                    if proxy._cut:
                        self.close_connection = True
                        self.connection.close()
                        return
                    self._answer(503, [("Content-Type", "application/xml")], _BUSY)
                    return
                behind = http.client.HTTPConnection(address, timeout=60)
                behind.request(self.command, self.path, body, dict(self.headers))
                answer = behind.getresponse()
                self._answer(answer.status, answer.getheaders(), answer.read())
                behind.close()

            def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP or (self.command == "HEAD" and name.lower() == "content-length"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> FlakyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail_for(self, seconds: float, *, cut: bool = False) -> None:
        """From now on, for so long, answer 503 SlowDown, or cut connections."""
        self._cut = cut
        self._until = time.monotonic() + seconds

    def fail_every(self, number: int, *, cut: bool = False) -> None:
        """Fail each `number`-th request; 0 ends it."""
        self._cut = cut
        self._every = number

    def kill_in_mid_put(self, process: int) -> None:
        """Kill a process, by SIGKILL, when half of its next large put has arrived; that put goes no further."""
        self._victim = process

    def _fails(self, method: str) -> bool:
        with self._lock:
            self.requests[method] = self.requests.get(method, 0) + 1
            self._count += 1
            failing = time.monotonic() < self._until or (self._every and self._count % self._every == 0)
            self.refused += bool(failing)
            return bool(failing)

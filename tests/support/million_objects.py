"""An S3 server whose bucket holds any number of objects that exist only in its listings."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipelines.store.store import Store

_PAGE = 1000


class MillionObjects:
    """Answers ListObjectsV2 for `s3://million/scans`, `count` objects in folders of 1000. A context manager.

    Args:
        count: how many objects.
        fail_pages: numbers of pages that are answered with an error the first time.

    Attributes:
        pages: how many were asked for.
    """

    def __init__(self, count: int, fail_pages: set[int] | None = None) -> None:
        self.pages = 0
        left = set(fail_pages or ())
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                page = int(query.get("continuation-token", ["0"])[0])
                server.pages += 1
                failing = page in left
                left.discard(page)
                self._answer(503, _error()) if failing else self._answer(200, _listing(page, count))

            def do_HEAD(self) -> None:
                self._answer(200, b"")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> MillionObjects:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def store(self) -> Store:
        """The bucket, through s3fs, without tries of its libraries' own."""
        store = Store("s3://million/scans", 30)
        store.fs = type(store.fs)(
            key="x", secret="x", endpoint_url=f"http://127.0.0.1:{self._server.server_port}", skip_instance_cache=True,
            config_kwargs={"retries": {"total_max_attempts": 1}},
        )  # fmt: skip
        store.fs.retries = 1
        return store


def _listing(page: int, count: int) -> bytes:
    first, last = page * _PAGE, min(count, (page + 1) * _PAGE)
    rows = "".join(
        f"<Contents><Key>scans/box {number // 1000:06d}/{number:09d}.tif</Key><Size>{1000 + number % 977}</Size>"
        f"<LastModified>2026-11-23T00:00:00.000Z</LastModified><ETag>&quot;{number:032x}&quot;</ETag></Contents>"
        for number in range(first, last)
    )
    more = last < count
    token = f"<NextContinuationToken>{page + 1}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>million</Name><KeyCount>{last - first}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{token}{rows}</ListBucketResult>"
    ).encode()


def _error() -> bytes:
    return b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"

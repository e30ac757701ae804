"""Who may talk to the review server: pages of its own, on this machine, that know its token. A layer of ASGI below the routes.

The token is the first part of every path, so that each request shows it, and no cookie travels to other servers of this
machine. `Host` is checked against names that others make point here, `Origin` against other pages' writes.
"""

from __future__ import annotations

import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADERS", "Door", "new_token"]

# Of a rule on focus that OpenSeadragon writes into the page; nothing else is allowed inline.
_OPENSEADRAGON_STYLE = "sha256-9xTiqzfwFaL2SGb1rmr8gysEwVVjIvqWAgmZgqFqpEE="
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' '{_OPENSEADRAGON_STYLE}'; img-src 'self' blob:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_NO_STORE = "no-store"
_READING = ("GET", "HEAD")
_WRONG_PLACE = (
    "Open the address that faitharchive review printed when it started: it holds a key, which this one lacks.\n"
)


def new_token() -> str:
    """A token that nobody guesses, fit for a path."""
    return secrets.token_urlsafe(32)


class Door:
    """Lets requests in that come from the page itself, without the token in their path, and adds the headers of safety.

    Args:
        app: what is behind it.
        token: the first part of every path.
        port: that the server listens on.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks otherwise
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal:
            await _answer(send, *refusal)
            return
        path = scope["path"][1 + len(self._token) :] or "/"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _secured(list(message.get("headers", [])))
            await send(message)

        await self._app({**scope, "path": path, "raw_path": path.encode(), "root_path": ""}, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason for a request that is not let in."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if host not in self._hosts:
            return 421, "This server answers to 127.0.0.1 and localhost alone.\n"
        first = scope["path"].split("/", 2)[1] if scope["path"].startswith("/") else ""
        if not secrets.compare_digest(first.encode("utf-8", "replace"), self._token.encode()):
            return 403, _WRONG_PLACE
        if scope["path"] == f"/{self._token}":
            return 404, "The address ends with a slash.\n"
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return 403, "Another page may not ask this server.\n"
        if scope["method"] not in _READING and headers.get("origin") != f"http://{host}":
            return 403, "Only the page of this server may write.\n"
        return None


def _secured(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    known = {name.lower() for name, _ in headers}
    headers += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    if b"cache-control" not in known:
        headers.append((b"cache-control", _NO_STORE.encode()))
    return headers


async def _answer(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": _secured(headers)})
    await send({"type": "http.response.body", "body": body})

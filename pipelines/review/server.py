"""The review server: routes of the page, of its pictures and of its decisions, and the loop that serves them."""

from __future__ import annotations

import errno
import socket
import zlib
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from pipelines.errors import ItemError
from pipelines.media.film.facts import JsonObject
from pipelines.review.access import Door, new_token
from pipelines.review.assets import page_files
from pipelines.review.clip import clip_range
from pipelines.review.details import clip_path
from pipelines.review.pictures import Side
from pipelines.review.pyramid import TILE, level_count
from pipelines.review.review import Review
from pipelines.rows import Row
from pipelines.store.retries import what_failed
from pipelines.store.store import StoreError

__all__ = ["ReviewServer", "review_app"]

_KEPT = {"cache-control": "private, max-age=31536000, immutable"}  # its address changes with what it shows
_MOST_IDS = 200_000


class DecisionBody(BaseModel):
    """What a page sends to decide."""

    model_config = ConfigDict(extra="forbid")
    items: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=_MOST_IDS)]
    decision: Literal["accept", "reject", "redo", "undo"]
    reviewer: Annotated[str, Field(max_length=1000)] = ""
    note: Annotated[str, Field(max_length=10_000)] = ""
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)


def review_app(review: Review) -> FastAPI:
    """The application, without the door that keeps others out (`access.Door`).

    Args:
        review: what is served.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_page(app)
    _add_items(app, review)
    _add_pictures(app, review)

    @app.exception_handler(ItemError)
    def _unseen(_request: Request, error: ItemError) -> Response:
        return JSONResponse({"detail": error.reason, "code": error.code}, 422)

    @app.exception_handler(StoreError)
    def _refused(_request: Request, error: StoreError) -> Response:
        return JSONResponse({"detail": str(error)}, 503)

    @app.exception_handler(OSError)
    def _failed(_request: Request, error: OSError) -> Response:
        return JSONResponse({"detail": what_failed(error)}, 503)

    return app


def _add_page(app: FastAPI) -> None:
    files = page_files()

    @app.get("/")
    def page() -> Response:
        return Response(files["index.html"].data, media_type=files["index.html"].kind)

    @app.get("/web/{name:path}")
    def asset(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, "no such file")
        return Response(files[name].data, media_type=files[name].kind, headers={"cache-control": "private, max-age=60"})


def _add_items(app: FastAPI, review: Review) -> None:
    row = _finder(review)

    @app.get("/api/items")
    def items() -> Response:
        version, data = review.gallery.cards()
        return Response(data, media_type="application/json", headers={"x-version": _short(version)})

    @app.get("/api/state")
    def state(known: str = "") -> JsonObject:
        """What a page asks for every few seconds; without the decisions if their mark is the one that it knows."""
        decisions = review.decisions()
        mark = _short(str(sorted(decisions.items())))
        return {
            "version": _short(review.gallery.version()),
            "output": review.output.uri(""),
            "reviewer": review.reviewer,
            "mark": mark,
            "decisions": None if known == mark else decisions,
        }

    @app.get("/api/items/{item}")
    def one(item: str) -> JsonObject:
        found = row(item)
        return {**review.details(found), "overlays": review.overlays.names(found)}

    @app.get("/api/items/{item}/metadata")
    def metadata(item: str) -> JsonObject:
        return review.metadata(row(item))

    @app.post("/api/decisions")
    def decide(body: DecisionBody) -> JsonObject:
        try:
            made = review.decide(
                body.items, body.decision, reviewer=body.reviewer, note=body.note, choices=body.settings
            )
        except StoreError:
            raise
        except ValueError as error:
            raise HTTPException(422, " ".join(str(error).split())) from error
        holding = review.decisions()
        return {"made": made, "decisions": {item: holding.get(item) for item in body.items}}


def _add_pictures(app: FastAPI, review: Review) -> None:
    row = _finder(review)

    @app.get("/api/items/{item}/pair/{number}")
    def pair(item: str, number: int) -> JsonObject:
        """Sizes of both pictures, or why one cannot be shown."""
        found = row(item)
        return {
            "tile": TILE,
            "scan": _facts(review, found, "scan", number),
            "result": _facts(review, found, "result", number),
        }

    @app.get("/tiles/{item}/{side}/{number}/{level}/{column}_{line}")
    def tile(item: str, side: Side, number: int, level: int, column: int, line: int) -> Response:
        try:
            data, kind = review.pictures.tile(row(item), side, number, level, column, line)
        except IndexError as error:
            raise HTTPException(404, "no such tile") from error
        return Response(data, media_type=kind, headers=_KEPT)

    @app.get("/thumbs/{item}/{side}")
    def thumb(item: str, side: Side) -> Response:
        return Response(review.pictures.thumb(row(item), side), media_type="image/jpeg", headers=_KEPT)

    @app.get("/overlays/{item}/{name}/{number}")
    def overlay(item: str, name: str, number: int) -> Response:
        try:
            data = review.overlays.image(row(item), name, number)
        except KeyError as error:
            raise HTTPException(404, "no such map") from error
        return Response(data, media_type="image/png", headers=_KEPT)

    @app.get("/clips/{item}")
    def clip(item: str, request: Request) -> Response:
        path = clip_path(row(item))
        if path is None:
            raise HTTPException(404, "no clip was made")
        part = clip_range(review.output, path, request.headers.get("range", ""))
        return StreamingResponse(part.chunks, part.status, part.headers, media_type="video/mp4")


def _finder(review: Review) -> Callable[[str], Row]:
    def row(item: str) -> Row:
        found = review.gallery.row(item)
        if found is None:
            raise HTTPException(404, "no such item")
        return found

    return row


def _facts(review: Review, row: Row, side: Side, number: int) -> JsonObject:
    try:
        width, height, note = review.pictures.facts(row, side, number)
    except ItemError as error:
        return {"error": error.reason}
    except StoreError as error:
        return {"error": str(error)}
    return {"width": width, "height": height, "levels": level_count(width, height), "note": note}


def _short(text: str) -> str:
    """A long text that is only ever compared, as a short one."""
    return str(zlib.crc32(text.encode()))


class ReviewServer:
    """A server of one review on the loopback of this machine. The port is taken when it is made.

    Args:
        review: what is served.
        port: 0 for any that is free.

    Attributes:
        url: with the token that each request must show.

    Raises:
        ValueError: the port is taken, or may not be used; says what to do.
    """

    def __init__(self, review: Review, port: int = 0) -> None:
        import uvicorn

        self._socket = _listening(port)
        token, taken = new_token(), int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{taken}/{token}/"
        door = Door(review_app(review), token, taken)
        self._server = uvicorn.Server(
            uvicorn.Config(door, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none")
        )

    def run(self) -> None:
        """Serve until the process gets SIGINT or SIGTERM, or `stop` is called."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.should_exit = True


def _listening(port: int) -> socket.socket:
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("127.0.0.1", port))
        door.listen(128)
    except (OSError, OverflowError) as error:
        door.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        what = (
            "is taken by another program" if taken else f"cannot be used ({getattr(error, 'strerror', None) or error})"
        )
        raise ValueError(f"port {port}: {what}; choose another with --port, or 0 for a free one") from error
    return door

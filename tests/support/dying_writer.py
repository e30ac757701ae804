"""Restores one archive without a model and dies, by SIGKILL, at a given step.

Steps: `before write`, `mid-write`, `before move`, `mid-multipart`, `before sidecar`, `before manifest`; `wait` says so, waits
for a word, so that somebody else can do the killing. A server that has imported everything forks each writer,
so that none of them takes the seconds that imports take.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import moving_files  # noqa: F401 (registers its protocol)
from archive_steps import restore_without_model

from pipelines.settings import Settings
from pipelines.store import store as storage
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX
from pipelines.store.ownership import claim_output
from pipelines.store.store import Store

publish, create, write_through = Store.publish, Store.create, storage.write_through
step = ""  # of this process, once it is a writer


def start(settings: Settings, step: str, **environment: str) -> tuple[ForkServerProcess, Connection]:
    """A writer at work, and the other end of the pipe through which `wait` speaks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    ours, theirs = context.Pipe()
    process = context.Process(target=_write, args=(settings, step, {**os.environ, **environment}, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def is_result(path: str) -> bool:
    return not path.startswith(PRIVATE) and not path.endswith(SIDECAR_SUFFIX)


def publishing(store: Store, path: str, data: bytes) -> None:
    if (step == "before write" and is_result(path)) or (step == "before sidecar" and path.endswith(SIDECAR_SUFFIX)):
        die()
    publish(store, path, data)


def creating(store: Store, path: str, data: bytes) -> bool:
    if step == "before write" and is_result(path):
        die()
    return create(store, path, data)


def writing(path: Path, data: bytes) -> None:
    if step == "mid-write":
        path.write_bytes(data[: len(data) // 2])
        die()
    write_through(path, data)
    if step == "before move":
        die()


def _write(settings: Settings, at: str, environment: dict[str, str], told: Connection) -> None:
    """What the forked process does."""
    global step  # noqa: PLW0603 (a process of its own)
    step = at
    os.environ.clear()
    os.environ.update(environment)
    claim_output(Store(settings.output))  # as a run does before it writes anything
    Store.publish = publishing  # type: ignore[method-assign]
    Store.create = creating  # type: ignore[method-assign]
    storage.write_through = writing
    fs = Store(settings.output).fs
    if step == "mid-multipart":
        _die_in_an_upload(fs)
    elif fs.protocol == "moving":
        _die_in_a_move(fs)
    if step == "wait":
        told.send("ready")
        told.recv()
    restore_without_model(settings, record=False)
    if step == "before manifest":
        die()


def _die_in_an_upload(fs: Any) -> None:
    call, pipe = fs._call_s3, fs.pipe_file
    parts: list[str] = []

    async def calling(method: str, *rest: Any, **named: Any) -> Any:
        answer = await call(method, *rest, **named)
        if method == "upload_part":
            parts.append(method)
            if len(parts) == 2:
                die()
        return answer

    fs._call_s3 = calling
    fs.pipe_file = lambda key, data, **named: pipe(key, data, chunksize=5 << 20, max_concurrency=1, **named)


def _die_in_a_move(fs: Any) -> None:
    pipe, move = fs.pipe_file, fs.mv

    def piping(key: str, data: bytes, **named: Any) -> None:
        pipe(key, data[: len(data) // 2] if step == "mid-write" else data, **named)
        if step == "mid-write":
            die()

    def moving(first: str, second: str, **named: Any) -> None:
        if step == "before move":
            die()
        move(first, second, **named)

    fs.pipe_file, fs.mv = piping, moving

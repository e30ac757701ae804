"""Restores one archive without a model and dies, by SIGKILL, at a given step: `python dying_writer.py SETTINGS_JSON STEP`.

Steps: `before write`, `mid-write`, `before move`, `mid-multipart`, `before sidecar`, `before manifest`; `wait` prints and waits
for a line before it starts, so that somebody else can do the killing.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2])]  # before this folder, whose `pipelines` would hide the package

import moving_files  # noqa: F401 (registers its protocol)
from archive_steps import restore_without_model

from pipelines.settings import Settings
from pipelines.store import store as storage
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX
from pipelines.store.ownership import claim_output
from pipelines.store.store import Store

settings, step = Settings(**json.loads(sys.argv[1])), sys.argv[2]
publish, create, write_through = Store.publish, Store.create, storage.write_through


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


claim_output(Store(settings.output))  # as a run does before it writes anything
Store.publish = publishing  # type: ignore[method-assign]
Store.create = creating  # type: ignore[method-assign]
storage.write_through = writing
output = Store(settings.output)
fs = output.fs
if step == "mid-multipart":
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
elif output.fs.protocol == "moving":
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
if step == "wait":
    print("ready", flush=True)
    sys.stdin.readline()
restore_without_model(settings, record=False)
if step == "before manifest":
    die()

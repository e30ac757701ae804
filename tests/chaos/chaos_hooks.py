"""What a Ray worker does wrong in a test, told by the environment variable FAITHARCHIVE_CHAOS (JSON).

- `loads`: a file that gets a line for each time that a process loads the model to restore with.
- `slow`: seconds that restoring a photograph takes longer.
- `where`: a file that gets a line, `TIME NODE`, for each photograph that is restored.
- `gate`: a file; until it exists, sources of which the path holds `gated` wait before they are restored.
- `kill_decode`, `kill_restore`: sources whose path holds this kill, by SIGKILL, the process that decodes or restores them.
- `eat_decode`: sources whose path holds this make the decoding process take memory until the system's limit ends it,
  the first time; the folder `once_eat` remembers which have.
- `segments`: a file that gets a line, `PATH PART`, for each segment of film whose restoring begins.
- `slow_segment`: seconds that restoring a segment takes longer.
- `kill_segment`: the segment of this number kills the process that restores it, the first time; `once_kill` remembers.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import ray


def install() -> None:
    """Run by Ray in each new worker process."""
    wanted = json.loads(os.environ.get("FAITHARCHIVE_CHAOS", "{}"))
    if not wanted:
        return
    import pipelines.stages.replica
    from pipelines.stages.decode import Decode
    from pipelines.stages.restore import Restore
    from pipelines.stages.restore_film import RestoreFilm

    load = pipelines.stages.replica.load_replica

    def loading(*arguments: Any) -> Any:
        if "loads" in wanted:
            with Path(wanted["loads"]).open("a") as log:
                log.write(f"{os.getpid()}\n")
        return load(*arguments)

    pipelines.stages.replica.load_replica = loading

    decode, restore, restore_film = Decode.core, Restore._restore, RestoreFilm._restore

    def decoding(stage: Decode, row: dict[str, Any]) -> Any:
        _die_if(wanted, "kill_decode", row)
        if wanted.get("eat_decode", "\0") in row["source_path"] and _first(wanted["once_eat"], row):
            _eat()
        return decode(stage, row)

    def restoring(stage: Restore, rows: list[dict[str, Any]]) -> None:
        time.sleep(wanted.get("slow", 0) * len(rows))
        for row in rows:
            while wanted.get("gated", "\0") in row["source_path"] and not Path(wanted["gate"]).exists():
                time.sleep(0.05)
            _die_if(wanted, "kill_restore", row)
        restore(stage, rows)
        if "where" in wanted:
            with Path(wanted["where"]).open("a") as log:
                log.writelines(f"{time.time():.3f} {ray.get_runtime_context().get_node_id()}\n" for _ in rows)

    def restoring_film(stage: RestoreFilm, row: dict[str, Any]) -> Any:
        if wanted.get("segments"):
            with Path(wanted["segments"]).open("a") as log:
                log.write(f"{row['source_path']} {row['part']}\n")
        time.sleep(wanted.get("slow_segment", 0))
        if wanted.get("kill_segment", -1) == row["part"] and _first(wanted["once_kill"], row):
            os.kill(os.getpid(), signal.SIGKILL)
        return restore_film(stage, row)

    Decode.core, Restore._restore = decoding, restoring  # type: ignore[method-assign]
    RestoreFilm._restore = restoring_film  # type: ignore[method-assign]


def _die_if(wanted: dict[str, Any], key: str, row: dict[str, Any]) -> None:
    if wanted.get(key, "\0") in row["source_path"]:
        os.kill(os.getpid(), signal.SIGKILL)


def _first(folder: str, row: dict[str, Any]) -> bool:
    try:
        Path(folder, row["item_id"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _eat() -> None:
    """Take memory until the system says no, and die of it as a process does that the system picks."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20),) * 2)
    held = []
    try:
        while True:
            held.append(bytearray(64 << 20))
    except MemoryError:
        os.kill(os.getpid(), signal.SIGKILL)

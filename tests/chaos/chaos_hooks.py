"""What a Ray worker does wrong in a test, told by the environment variable FAITHARCHIVE_CHAOS (JSON).

- `slow`: seconds that restoring a photograph takes longer.
- `gate`: a file; until it exists, sources of which the path holds `gated` wait before they are restored.
- `kill_decode`, `kill_restore`: sources whose path holds this kill, by SIGKILL, the process that decodes or restores them.
- `eat_decode`: sources whose path holds this make the decoding process take memory until the system's limit ends it,
  the first time; the folder `once_eat` remembers which have.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any


def install() -> None:
    """Run by Ray in each new worker process."""
    wanted = json.loads(os.environ.get("FAITHARCHIVE_CHAOS", "{}"))
    if not wanted:
        return
    from pipelines.stages.decode import Decode
    from pipelines.stages.restore import Restore

    decode, restore = Decode.core, Restore._restore

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

    Decode.core, Restore._restore = decoding, restoring  # type: ignore[method-assign]


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

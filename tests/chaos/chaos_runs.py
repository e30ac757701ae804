"""Archives, runs in processes that can be killed, and the census afterwards: who is lost, who is there twice."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from pipelines.manifest.current import newest_rows
from pipelines.manifest.reader import read_rows
from pipelines.rows import RESTORED
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE, trust_path
from pipelines.store.store import Store

DRIVER, CLUSTER_DRIVER = (Path(__file__).parent / name for name in ("driver.py", "cluster_driver.py"))
SMALL: dict[str, Any] = {
    "preset": "nano", "replicas": 2, "cpus": 4, "lease_seconds": 3.0,
    "cpu_threads": 1, "upscale": 1,
}  # fmt: skip


def make_archive(folder: Path, count: int, side: int = 24) -> Settings:
    """`count` small photographs, no two alike, in a few folders; settings from there to `folder/out`."""
    rng = np.random.default_rng(count)
    for number in range(count):
        path = folder / "scans" / f"box {number % 7}" / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return Settings(source=str(folder / "scans"), output=str(folder / "out"), **SMALL)


class Run:
    """A driver in its own process group.

    Args:
        settings: of the run.
        hook: what its workers do wrong, see `chaos_hooks`.
        events: on a simulated cluster, how many nodes join or, below zero, leave after so many items: `{5: -1, 9: 2}`,
            and `nodes` to begin with; None is one machine.
        environment: on top of this process's own.
    """

    def __init__(
        self,
        settings: Settings,
        hook: dict[str, Any] | None = None,
        events: dict[int | str, int] | None = None,
        **environment: str,
    ) -> None:
        self.finished: list[str] = []
        self.outcome: dict[str, Any] = {}
        self._moved = threading.Condition()
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(DRIVER if events is None else CLUSTER_DRIVER),
                settings.model_dump_json(),
                json.dumps(hook or {}),
                json.dumps(events),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._moved:
                if line.startswith("OUTCOME "):
                    self.outcome = json.loads(line.removeprefix("OUTCOME "))
                else:
                    self.finished.append(line.strip())
                self._moved.notify_all()

    def wait_for(self, count: int, seconds: float = 120) -> None:
        """Until `count` items are final."""
        with self._moved:
            assert self._moved.wait_for(lambda: len(self.finished) >= count or self._over(), seconds), "no progress"
        assert len(self.finished) >= count, self.errors()

    def _over(self) -> bool:
        return self.process.poll() is not None

    def workers(self, name: str = "") -> list[psutil.Process]:
        """Ray workers of this run whose title holds `name`: `Restore` for actors, `Decode` for tasks."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                title = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if title.startswith("ray::") and name in title:
                found.append(process)
        return found

    def wait(self, seconds: float = 240) -> dict[str, Any]:
        """To the end; the outcome."""
        self.process.wait(seconds)
        self._reader.join(10)
        assert self.outcome, self.errors()
        return self.outcome

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        """A test that fails leaves no processes behind."""
        if not self._over():
            self.kill()

    def kill(self) -> None:
        """SIGKILL for the driver, as a machine's end would; returns when all its processes have gone, too."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait()
        _, left = psutil.wait_procs(family, timeout=20)
        for process in left:
            process.kill()

    def errors(self) -> str:
        return f"exit code {self.process.poll()}: " + (
            self.process.stderr.read()[-2000:] if self.process.stderr else ""
        )


@dataclass(frozen=True)
class Census:
    """What an output store holds of an archive.

    Attributes:
        lost: sources without a current row.
        duplicated: results that the manifest records more than once.
        unsound: restored items whose file or sidecar is missing or not what the row says.
        strays: files in the store that no current row names.
        statuses: current rows by status, or error code where failed.
        digests: SHA-256 of each result, by source path.
    """

    lost: set[str]
    duplicated: set[str]
    unsound: set[str]
    strays: set[str]
    statuses: Counter[str]
    digests: dict[str, str]

    def assert_exact(self) -> None:
        """Nothing lost, nothing twice, nothing half."""
        assert (self.lost, self.duplicated, self.unsound, self.strays) == (set(), set(), set(), set())


def census(settings: Settings) -> Census:
    """Count."""
    source, output = Store(settings.source), Store(settings.output)
    every = read_rows(output).to_pylist()
    current = {row["source_path"]: row for row in newest_rows(every).values()}
    recorded = Counter((row["source_path"], row["identity"]) for row in every if row["status"] == RESTORED)
    digests, unsound, named = {}, set(), set()
    for path, row in current.items():
        if row["status"] != RESTORED:
            continue
        sidecar = row["output_path"] + ".restoration.json"
        named |= {row["output_path"], sidecar}
        trust_map = trust_path(row["output_path"]) if row["trust_map_sha256"] else ""
        try:
            digests[path] = hashlib.sha256(output.read(row["output_path"])).hexdigest()
            told = json.loads(output.read(sidecar))
            if trust_map:
                named.add(trust_map)
                assert hashlib.sha256(output.read(trust_map)).hexdigest() == row["trust_map_sha256"], trust_map
        except (OSError, ValueError):
            unsound.add(path)
            continue
        if digests[path] != row["output_sha256"] or told["output_sha256"] != row["output_sha256"]:
            unsound.add(path)
    return Census(
        lost={entry.path for entry in source.list()} - set(current),
        duplicated={path for (path, _), count in recorded.items() if count > 1},
        unsound=unsound,
        strays={entry.path for entry in output.list() if not entry.path.startswith(PRIVATE)} - named,
        statuses=Counter(row["error_code"] or row["status"] for row in current.values()),
        digests=digests,
    )


def restored_calmly(settings: Settings, paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of what an undisturbed restoration makes of sources, without Ray and one by one."""
    import torch

    from pipelines.manifest.disclosure import disclosure_of
    from pipelines.media.photo.encode import encode
    from pipelines.plan.plan import make_plan
    from pipelines.rows import get_pixels, to_table
    from pipelines.stages.adapter import run_stage
    from pipelines.stages.decode import Decode
    from pipelines.stages.restore import Restore
    from pipelines.stages.tile import Tile

    threads = torch.get_num_threads()
    decode, tile, restore = Decode(settings), Tile(settings), Restore(settings, threads=settings.cpu_threads)
    wanted, digests = set(paths), {}
    for row in make_plan(settings.model_copy(update={"redo": True})).pending:
        if row["source_path"] in wanted:
            table = to_table([row])
            for stage in (decode, tile, restore):
                table = run_stage(stage, table)
            (done,) = table.to_pylist()
            data = encode(get_pixels(done), format="PNG", xmp=disclosure_of(done).xmp())
            digests[row["source_path"]] = hashlib.sha256(data).hexdigest()
    torch.set_num_threads(threads)
    return digests


def leftovers(settings: Settings) -> list[str]:
    """Temporary files in a local output."""
    return [str(path) for path in Path(settings.output).rglob(".faitharchive-partial-*")]

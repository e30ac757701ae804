"""A real run on a Ray of its own with a metrics port, scraped while it goes on: `main` in a process of its own.

Prints what the endpoint said, one JSON object: `during`, of the gauges while the run was on, and `after`, of everything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from archive_steps import archive_settings, picture, save_photo
from prometheus_client.parser import text_string_to_metric_families

from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.run.cluster import connected
from pipelines.run.driver import run
from pipelines.settings import Settings
from pipelines.telemetry.metrics import METRICS

ROOT = Path(__file__).parents[2]
NAMES = [f"ray_{metric.name}" for metric in METRICS]


def watched_archive(folder: Path, port: int = 0) -> Settings:
    """Two photographs, one of four tiles, and a file that is none; settings to restore them, with metrics at a port."""
    scans = folder / "scans"
    save_photo(scans / "small.png", picture(40, 48))
    save_photo(scans / "giant.png", picture(80, 120))
    (scans / "bad.jpg").write_bytes(b"no picture")
    # nano: a worker process loads neither diffusers nor transformers for it, which would take most of the run.
    return archive_settings(
        folder, preset="nano", replicas=1, cpus=2, object_store_mb=200, tile=128, tile_halo=32, metrics_port=port
    )


def run_watched(settings: Settings, linger: float = 0.0, **environment: str) -> dict[str, Any]:
    """`main` in a process of its own: what it printed."""
    command = f"from metrics_run import main; main(linger={linger})"
    done = subprocess.run(
        [sys.executable, "-c", command, settings.model_dump_json()],
        capture_output=True, text=True, timeout=280, check=False,
        # Shorter than Ray's 10 s, longer than what a gauge is set again after.
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'support'}", "RAY_metrics_report_interval_ms": "5000",
             **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def scrape(port: int) -> list[dict[str, Any]]:
    """Our samples of an endpoint."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return [
        {"name": sample.name, "type": family.type, "labels": sample.labels, "value": sample.value}
        for family in families
        for sample in family.samples
        if sample.name.startswith("ray_faitharchive")
    ]


class Watcher(threading.Thread):
    """Notes the gauges of an endpoint while a run is on: those of actors go with them."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.over = port, threading.Event()
        self.seen: dict[str, list[dict[str, Any]]] = {}

    def run(self) -> None:
        while not self.over.wait(0.5):
            try:
                found = scrape(self.port)
            except OSError:
                continue
            self.note(found)

    def note(self, found: list[dict[str, Any]]) -> None:
        for sample in found:
            if sample["type"] == "gauge":
                self.seen.setdefault(sample["name"], []).append(sample)


def main(linger: float = 0.0) -> None:
    """Run by the settings of the first argument, and print what the endpoint said.

    Args:
        linger: seconds that the endpoint stays for others that scrape it.
    """
    settings = Settings(**json.loads(sys.argv[1]))
    with connected(settings):
        watcher = Watcher(settings.metrics_port)
        watcher.start()
        outcome = run(make_plan(settings), settings, run_id=new_run_id())
        found = _until_all_is_there(settings.metrics_port, watcher)
        time.sleep(linger)
        watcher.over.set()
        watcher.join()
        watcher.note(found)  # its own last look may be of before the end
    print(json.dumps({"outcome": [outcome.restored, outcome.failed], "during": watcher.seen, "after": found}))


def _until_all_is_there(port: int, watcher: Watcher) -> list[dict[str, Any]]:
    """Scrape until every metric has come, as each process exports every few seconds."""
    end = time.monotonic() + 60
    while True:
        found = scrape(port)
        names = {sample["name"] for sample in found} | set(watcher.seen)
        missing = [name for name in NAMES if not any(known.startswith(name) for known in names)]
        over = any(s["name"] == "ray_faitharchive_run_active" and s["value"] == 0 for s in found)
        if (over and not missing) or time.monotonic() > end:
            return found
        time.sleep(0.5)

"""A run in a process of its own, to be killed: `python driver.py SETTINGS_JSON [HOOK_JSON]`, prints its outcome as JSON.

HOOK_JSON makes workers misbehave for real: `chaos_hooks.install` reads it in every Ray worker.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Not `tests` itself: its folder `pipelines` would hide the package of that name in Ray's workers.
PATHS = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
sys.path[:0] = PATHS

from jobs.service.environment import prepare_environment

prepare_environment()

import ray

from pipelines.manifest.runs import new_run_id, write_run_record, write_run_start
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run import assembly, feeder
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.settings import Settings
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store


def environment() -> dict[str, Any]:
    """What `ray.init` needs so that workers misbehave as told, in silence."""
    hook = sys.argv[2] if len(sys.argv) > 2 else "{}"
    variables = {"PYTHONPATH": os.pathsep.join(PATHS), "FAITHARCHIVE_CHAOS": hook}
    hooks = {"worker_process_setup_hook": "chaos_hooks.install", "env_vars": variables}
    return {"log_to_driver": False, "logging_level": "CRITICAL", "runtime_env": hooks}


def hand_out_little(hook: dict[str, Any]) -> None:
    """Rows one by one, and so few at a time, where the hook has `open_blocks`: a small archive is then as many waves as a large
    one."""
    if "open_blocks" in hook:
        assembly._BLOCK_ROWS = 1
        feeder._BLOCKS, feeder._BLOCKS_A_REPLICA = hook["open_blocks"], 0


def start_ray(settings: Settings) -> None:
    """A Ray of this run's own."""
    ray.init(
        address="local", num_cpus=settings.cpus, object_store_memory=300 << 20, include_dashboard=False, **environment()
    )


def main(start: Callable[[Settings], None], on_row: Callable[[int], None] = lambda number: None) -> None:
    """Take the lease, plan, run, record.

    Args:
        start: brings Ray up.
        on_row: called after each final item with how many there are.
    """
    settings = Settings(**json.loads(sys.argv[1]))
    hand_out_little(json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})
    finished: list[str] = []

    def seen(row: Row) -> None:
        finished.append(row["source_path"])
        print(row["source_path"], flush=True)
        on_row(len(finished))

    store = Store(settings.output, settings.retry_seconds)
    run_id = new_run_id()
    lasting = {"seconds": settings.lease_seconds, "steal": settings.steal_lease}
    with hold_lease(store, run_id=run_id, **lasting) as lease:
        start(settings)
        plan = make_plan(settings)
        write_run_start(store, run_id, {"only": settings.only})
        outcome = run(plan, settings, run_id=run_id, lease=lease, on_row=seen)
        with suppress(OSError) if outcome.stopped else nullcontext():
            write_run_record(store, run_id, {**_plain(outcome), "only": settings.only})
    print("OUTCOME " + json.dumps({**_plain(outcome), "planned": len(plan.pending), "done": plan.done}), flush=True)
    ray.shutdown()


def _plain(outcome: Outcome) -> dict[str, object]:
    return {**asdict(outcome), "warnings": outcome.warnings.commonest()}


if __name__ == "__main__":
    main(start_ray)

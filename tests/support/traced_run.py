"""A real run on a Ray of its own: `main` in a process of its own, by the settings of its first argument."""

from __future__ import annotations

import sys

from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.run.cluster import connected
from pipelines.run.driver import run
from pipelines.settings import Settings


def main() -> None:
    settings = Settings.model_validate_json(sys.argv[1])
    with connected(settings):
        outcome = run(make_plan(settings), settings, run_id=new_run_id())
    print(outcome.restored, outcome.failed)

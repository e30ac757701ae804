"""`tests/benchmarks/gpu.py` as it runs on a lent machine: beside PyTorch, without Ray, Prefect and pydantic."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("ray", "prefect", "pydantic")
# Python runs this at the start of every process, so of those that the script starts as well.
_HOOK = f"""
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {FORBIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Absent())
"""


def bare_environment(tmp_path: Path) -> dict[str, str]:
    """Of processes that have neither Ray, Prefect nor pydantic."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(_HOOK)
    paths = [str(tmp_path / "hook"), str(ROOT), str(ROOT / "tests" / "support")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    for name in FORBIDDEN:
        code = [sys.executable, "-c", f"import {name}"]
        refused = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)
        assert f"No module named '{name}'" in refused.stderr
    return environment


def run_script(arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tests/benchmarks/gpu.py", *arguments.split(), "--device", "cpu", "--network", "tiny"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

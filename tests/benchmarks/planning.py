"""How long planning takes and what memory, for archives of any size: all new, or all done with a manifest that is really read.

    python tests/benchmarks/planning.py                          100,000 and 1,000,000
    python tests/benchmarks/planning.py --files 10000000 --cases new

The stores are synthetic: their listings come from this process, so a real store's time to list (on S3 a page of 1000 objects
takes some 0.1 s) comes on top. Each case runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from facts import RESULTS, peak_mb, text_table, write_results

from pipelines.plan.plan import make_plan

sys.path.append(str(Path(__file__).parents[1] / "support"))
from synthetic_archive import SyntheticFileSystem, synthetic_archive

COLUMNS = ("case", "files", "seconds", "peak_mb", "peak_over_start_mb", "requests")
_WARM_UP = 10  # files of a first plan, which imports what planning needs


def measure(case: str, files: int, memory: str) -> dict[str, Any]:
    """One plan in this process."""
    with tempfile.TemporaryDirectory(prefix="faitharchive-benchmark-") as folder:
        make_plan(synthetic_archive(Path(folder) / "small", _WARM_UP), memory=memory)
        settings = synthetic_archive(Path(folder) / "large", files, done=files if case == "done" else 0)
        before = peak_mb()
        SyntheticFileSystem.listed = SyntheticFileSystem.read = 0
        began = time.perf_counter()
        plan = make_plan(settings, memory=memory)
        seconds = time.perf_counter() - began
        peak = peak_mb()
    assert (plan.done, len(plan.pending)) == ((files, 0) if case == "done" else (0, files))
    return {
        "case": case,
        "files": files,
        "database_limit": memory,
        "seconds": round(seconds, 2),
        "peak_mb": peak,
        "peak_over_start_mb": peak - before,
        "folders_listed": SyntheticFileSystem.listed,
        "manifest_files_read": SyntheticFileSystem.read,
        "requests": SyntheticFileSystem.listed + SyntheticFileSystem.read,
        "pending_table_bytes_a_row": round(plan.pending.table.nbytes / max(1, len(plan.pending)), 1),
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """All cases, and their table; returns what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default="100000,1000000", help="archive sizes")
    parser.add_argument("--cases", default="done,new")
    parser.add_argument("--memory", default="1GB", help="limit of the temporary database")
    parser.add_argument("--label", default="", help="added to the name of the results")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sizes, cases = [int(size) for size in options.files.split(",")], options.cases.split(",")
    if options.one:
        print(json.dumps(measure(cases[0], sizes[0], options.memory)))
        return {}
    rows = []
    for size in sizes:
        for case in cases:
            command = [
                sys.executable,
                __file__,
                "--one",
                "--files",
                str(size),
                "--cases",
                case,
                "--memory",
                options.memory,
            ]
            finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(finished.stdout))
            print(text_table(rows[-1:], COLUMNS), flush=True)
    kept = {"rows": rows}
    print(text_table(rows, COLUMNS))
    print(write_results(f"planning{options.label}", "cpu", kept, options.out))
    return kept


if __name__ == "__main__":
    main()

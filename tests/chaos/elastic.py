"""A run on a simulated cluster that grows from one node to eight and shrinks back to one: what is lost, and how fast it is.

    .venv/bin/python tests/chaos/elastic.py

Each node has a GPU on paper; restoring a photograph takes two seconds of sleep beside the tiny network, so that the nodes,
which share this machine's cores, do not wait for each other. Figures go to `tests/benchmarks/results`.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).parent),
    str(Path(__file__).parents[1] / "benchmarks"),
    str(Path(__file__).parents[2]),
]

from chaos_runs import Run, census, make_archive

# A replica a node, as many as there are nodes for.
ELASTIC: dict[str, Any] = {"replicas": 0, "gpus_per_replica": 1.0, "ray_address": "auto", "rows_per_call": 1}
_SECONDS = 2.0  # a photograph
# After so many items: so many nodes. The head is the first.
_UP = {0: 1, 10: 2, 40: 4, 100: 8}
_DOWN = {260: 4, 340: 2, 380: 1}
_ITEMS = 400


def follow(folder: Path) -> dict[str, Any]:
    """Run, and count: items a second by how many nodes were at work, lost and duplicated items.

    Args:
        folder: for the archive and the results.
    """
    settings = make_archive(folder, _ITEMS).model_copy(update=ELASTIC)
    where = folder / "where"
    sizes = _UP | _DOWN
    events = {count: sizes[count] - sizes[before] for before, count in pairwise(sizes)}
    with Run(settings, {"slow": _SECONDS, "where": str(where)}, {"nodes": 0, **events}) as run:
        outcome = run.wait(1700)
    found = census(settings)
    found.assert_exact()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (_ITEMS, 0, 0), outcome
    lines = [line.split() for line in where.read_text().splitlines()]
    times = [float(time) for time, _ in lines]
    return {
        "items": _ITEMS,
        "seconds_a_photograph": _SECONDS,
        "lost": len(found.lost),
        "duplicated": len(found.duplicated),
        "restored_again": len(lines) - _ITEMS,
        "nodes_used": len({node for _, node in lines}),
        "growing": _rates(_UP, _DOWN, times),
        "shrinking": _rates(_DOWN, {len(times): 0}, times),
    }


def _rates(phases: dict[int, int], following: dict[int, int], times: list[float]) -> list[dict[str, Any]]:
    """Items a second in the second half of each phase: in its first half nodes come, and their replicas load."""
    ends = [*list(phases)[1:], next(iter(following))]
    rates = []
    for (begin, nodes), end in zip(phases.items(), ends, strict=True):
        half = times[(begin + end) // 2 : end]
        seconds = half[-1] - half[0]
        rates.append(
            {"nodes": nodes, "items_a_second": round((len(half) - 1) / seconds, 3), "seconds": round(seconds, 1)}
        )
    return rates


def _main() -> None:
    from facts import write_results

    with tempfile.TemporaryDirectory() as folder:
        figures = follow(Path(folder))
    path = write_results("elastic", "cpu", figures)
    print(path.read_text())


if __name__ == "__main__":
    _main()

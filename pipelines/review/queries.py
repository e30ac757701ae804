"""What a report asks of the manifest's current rows beside plain counts: measures, decisions, and which items are shown.

The rows lie in the table `current` of a temporary database, with `file` and `position` of each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.manifest.decision import Decision
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.scratch import BatchInsert, count, create_table
from pipelines.review.cards import CARD_COLUMNS
from pipelines.review.page import Histogram
from pipelines.rows import Row, whole_row
from pipelines.store.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["MEASURES", "chosen_rows", "held_decisions", "histogram", "load_decisions"]

_STEPS = 20  # of a histogram
_DECIDED = pa.schema([("item_id", pa.string()), ("decision", pa.string())])
# Columns that are shown as a histogram: what they are, and their unit.
MEASURES = {
    "trust": ("Trust, 0 to 1", ""),
    "lq_psnr_db": ("Faithfulness: PSNR to the scan at its size, dB", " dB"),
    "consistency_ssim": ("Faithfulness: structural similarity to the scan", ""),
}


def histogram(database: DuckDBPyConnection, column: str) -> Histogram | None:
    """A measure of restored items in twenty steps; None where nobody took it."""
    title, unit = MEASURES[column]
    found = f"from current where status = 'restored' and {column} is not null and isfinite({column})"
    ((low, high),) = database.execute(f"select min({column}), max({column}) {found}").fetchall()
    if low is None:
        return None
    grain = 1.0 if unit else 0.05
    first, last = math.floor(low / grain) * grain, math.ceil(high / grain) * grain
    step = max(last - first, grain) / _STEPS
    counted = database.execute(
        f"select least(greatest(floor(({column} - $first) / $step), 0), {_STEPS - 1})::int, count(*) {found} group by 1",
        {"first": first, "step": step},
    ).fetchall()
    counts = dict(counted)
    edges = [round(first + place * step, 4) for place in range(_STEPS + 1)]
    return Histogram(title=title, unit=unit, edges=edges, counts=[counts.get(place, 0) for place in range(_STEPS)])


def load_decisions(database: DuckDBPyConnection, decisions: Mapping[str, Decision]) -> None:
    """The table `decided`: of each item the decision that counts, about whichever result it was."""
    create_table(database, "decided", _DECIDED)
    with BatchInsert(database, "decided", _DECIDED) as rows:
        for item, decision in decisions.items():
            rows.add(item, decision.decision)


def held_decisions(database: DuckDBPyConnection, decisions: Mapping[str, Decision]) -> list[tuple[Row, Decision]]:
    """The decisions about the results that there are now, each with its row's path and digests."""
    names = ("item_id", "source_path", "output_sha256", "settings_digest", "status")
    found = database.execute(
        f"select {', '.join(names)} from current semi join decided using (item_id) where status = 'restored'"
    ).fetchall()
    rows = [whole_row(dict(zip(names, values, strict=True))) for values in found]
    return [(row, decisions[row["item_id"]]) for row in rows if decisions[row["item_id"]].is_about(row)]


def chosen_rows(database: DuckDBPyConnection, output: Store, most: int) -> list[Row]:
    """The rows that are shown, by path: all, or half of them those that most need eyes and the rest spread over the archive."""
    chosen = "select file, position from current where status = 'restored' and output_path is not null"
    if count(database, f"select count(*) from ({chosen})") > most:
        spread = most - most // 2
        chosen = f"""with shown as (
                select c.*, coalesce(d.decision in ('reject', 'redo'), false) as refused from current c
                left join decided d using (item_id) where c.status = 'restored' and c.output_path is not null
            ), urgent as (
                select * from shown
                order by refused desc, coalesce(needs_review, false) desc, trust nulls last, lq_psnr_db nulls last, source_path
                limit {most // 2}
            ), others as (
                select file, position, row_number() over (order by source_path) - 1 as place, count(*) over () as items
                from shown where item_id not in (select item_id from urgent)
            )
            select file, position from urgent
            union all select file, position from others where place * {spread} % items < {spread}"""
    names = [entry.path for entry in manifest_files(output)]
    places: dict[int, list[int]] = {}
    for file, position in database.execute(chosen).fetchall():
        places.setdefault(file, []).append(position)
    rows: list[Row] = []
    for file, positions in places.items():
        table = read_manifest_file(output, names[file], CARD_COLUMNS).take(positions)
        rows += [whole_row(values) for values in table.to_pylist()]
    return sorted(rows, key=lambda row: row["source_path"])

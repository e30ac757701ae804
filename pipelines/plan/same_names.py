"""Results that keep the base name of their source, for systems that match by it; where that cannot be, the item fails."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.plan.discover import failed_row
from pipelines.plan.tables import PlanDatabase
from pipelines.plan.verdicts import ADOPTED, DONE
from pipelines.rows import QUARANTINED, Row
from pipelines.store.store import Store

__all__ = ["refuse_other_names"]


def refuse_other_names(database: PlanDatabase, source: Store, on_failed: Callable[[Row], None], *, same: bool) -> None:
    """Make `refused` (path): items that are due and could only be given another base name than their source's.

    Of sources that would meet on one name, none gets it: who matches by base name could not tell whose it is. What is done
    keeps the name that it has.

    Args:
        database: with `decided`.
        source: the source store.
        on_failed: called with the final row of each.
        same: whether base names are to stay; else nobody is refused.
    """
    settled = f"('{DONE}', '{ADOPTED}', '{QUARANTINED}')"
    database.execute(
        "create table refused as select s.path, s.output, s.key from sources s join named n on n.path = s.path "
        f"join decided d on d.path = s.path where {same} and d.reason not in {settled} "
        "and (n.output <> s.output or contains(s.output, '~' || left(s.item_id, 8)))"  # the mark of what was shortened
    )
    if not database.count("select count(*) from refused"):
        return
    meets = "select key, min(path) as first, max(path) as last from sources group by key having count(*) > 1"
    query = (
        "select r.path, r.output, case when m.first = r.path then m.last else m.first end as other, "
        "k.key is not null as strange "
        f"from refused r left join ({meets}) m on m.key = r.key left join (select distinct key from strangers) k "
        "on k.key = r.key order by r.path"
    )
    for table in database.batches(query):
        for found in table.to_pylist():
            on_failed(failed_row(source, found["path"], "name_taken", _reason(found)))


def _reason(found: dict[str, str | bool | None]) -> str:
    wanted = f"with --name same its result would be {found['output']}"
    if found["other"]:
        return (
            f"{wanted}, and so would that of {found['other']}; choose one of them with --only, keep them in separate folders, "
            "or give --name auto"
        )
    if found["strange"]:
        return f"{wanted}, where a file without a sidecar of ours lies; move that file away, or give --name auto"
    return f"{wanted}, which is taken or too long for a file's name; rename the source, or give --name auto"

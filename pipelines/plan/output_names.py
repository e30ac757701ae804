"""Which output each source gets, for any number of sources.

Most get their plain name or keep what they have; the database finds those. The few that could meet another on one name go
through the rule itself, `naming.assign_outputs`, together with everything that they could meet.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.manifest.current import only_newest
from pipelines.manifest.naming import assign_outputs, folded, possible_outputs
from pipelines.plan.tables import CANDIDATES, GIVEN, PlanDatabase, planned_sql
from pipelines.setting_types import Formats
from pipelines.store.layout import BESIDE, DAMAGE_SUFFIX, TRUST_SUFFIX

__all__ = ["assign_output_names"]

_NOBODY = ""  # the source of a file that is not ours
_GROUP_ROWS = 50_000  # members that go through the rule together, some kilobyte each


def assign_output_names(database: PlanDatabase, formats: Formats, *, same: bool = False) -> None:
    """Make the view `named`: the sources, each with the output that it gets.

    Args:
        database: with the tables of `inventory`, `discover` and `strangers`.
        formats: of results.
        same: whether an item gives up an earlier name that has not its source's base name.
    """
    _find_owners(database)
    if same:
        database.execute("delete from own where (item_id, output) not in (select (item_id, output) from sources)")
    database.execute(
        "delete from own where key in (select key from strangers) and item_id in (select item_id from avoid)"
    )
    database.execute("create table fresh as select item_id, path, key from sources anti join own using (item_id, ext)")
    database.create(GIVEN)
    if database.count("select count(*) from fresh"):
        _find_members(database, formats)
        _assign_members(database, formats)
    database.execute(
        "create view named as select sources.* replace (coalesce(given.output, own.output, sources.output) as output) "
        "from sources left join own using (item_id, ext) left join given on given.path = sources.path"
    )


def _find_owners(database: PlanDatabase) -> None:
    """`holders`: whose each name is, by its newest row. `own`: the newest output of each item and extension that it holds.
    Where a list of pages stands for an item, both know the name that was planned for it."""
    database.execute("create view known as select * from records union all select * from adopted")
    database.execute(
        "create table holders as select output_key as key, item_id, source_path as path from known "
        "where output_key is not null and item_id is not null and source_path is not null "
        f"{only_newest('output_key')}"
    )
    database.execute(
        f"create table own as select known.item_id, output_ext as ext, {planned_sql('known.output_path')} as output, "
        "known.output_key as key "
        "from known join holders "
        "on holders.key = known.output_key and holders.item_id = known.item_id "
        f"where not ends_with(known.output_key, '{DAMAGE_SUFFIX}') and not ends_with(known.output_key, '{TRUST_SUFFIX}') "
        f"{only_newest('known.item_id, output_ext')}"
    )


def _find_members(database: PlanDatabase, formats: Formats) -> None:
    """`members`: sources that could meet another, a result or a folder on one name, and all that those could meet."""
    beside = [
        f"select distinct {_without('key', suffix)} from folders where ends_with(key, '{suffix}')" for suffix in BESIDE
    ]
    database.execute(f"create table folder_keys as {' union '.join(['select distinct key from folders', *beside])}")
    # Folders whose name is a result's, or that of a file beside it.
    results = "in (select key from holders)"
    blocked = [f"(ends_with(key, '{suffix}') and {_without('key', suffix)} {results})" for suffix in BESIDE]
    database.execute(
        "create table blocked_folders as select distinct path, key from folders "
        f"where {' or '.join([f'key {results}', *blocked])}"
    )
    database.execute(
        "create table members as select path from fresh where "
        "key in (select key from sources group by key having count(*) > 1) "
        "or key in (select h.key from fresh f join holders h on h.key = f.key and h.item_id <> f.item_id) "
        "or key in (select key from folder_keys) "
        "or (key in (select key from strangers) and item_id in (select item_id from avoid))"
    )
    files = _blocked_files(database)
    if files:
        database.execute(
            "insert into members select distinct fresh.path from fresh join blocked_folders b "
            "on starts_with(fresh.path, b.path || '/') anti join members m on m.path = fresh.path"
        )
    names = files.keys() | {key + suffix for key in files for suffix in BESIDE}
    database.create(CANDIDATES)
    database.execute("create table newcomers as select path from members")
    while database.count("select count(*) from newcomers"):
        with database.batch_insert(CANDIDATES) as candidates:
            for table in database.batches("select path from newcomers"):
                for path in table["path"].to_pylist():
                    for name in possible_outputs(path, formats, names):
                        candidates.add(folded(name.rpartition("/")[0]), path, folded(name))
        # Whoever would plainly get a name that a member may fall back on must be seen together with it.
        database.execute(
            "create or replace table newcomers as select path from sources semi join candidates using (key) "
            "anti join members using (path)"
        )
        database.execute("insert into members select path from newcomers")


def _assign_members(database: PlanDatabase, formats: Formats) -> None:
    blocked = _blocked_files(database)
    with database.batch_insert(GIVEN) as given:
        for first, last in _groups(database):
            chosen = f"(select * from candidates where folder between {_quote(first)} and {_quote(last)})"
            paths = database.column(f"select distinct path from {chosen}")
            owned = database.pairs(
                "select s.path, own.output from sources s join own using (item_id, ext) "
                f"semi join {chosen} c on c.path = s.path",
            )
            held = database.pairs(f"select key, path from holders semi join {chosen} c using (key)")
            folders = database.column(f"select key from folder_keys semi join {chosen} c using (key)")
            strange = f"select key from strangers semi join {chosen} c using (key) anti join own using (key)"
            held |= blocked | dict.fromkeys(database.column(strange), _NOBODY)
            for path, output in assign_outputs(paths, formats, owned, held=held, folders=folders).items():
                given.add(path, output)


def _groups(database: PlanDatabase) -> Iterator[tuple[str, str]]:
    """First and last folder of parts that can be settled apart: an output lies in its source's own folder."""
    first, last, total = "", "", 0
    for table in database.batches("select folder, count(*) as rows from candidates group by folder order by folder"):
        for folder, rows in zip(table["folder"].to_pylist(), table["rows"].to_pylist(), strict=True):
            first = folder if not total else first
            last, total = folder, total + rows
            if total >= 3 * _GROUP_ROWS:
                yield first, last
                total = 0
    if total:
        yield first, last


def _blocked_files(database: PlanDatabase) -> dict[str, str]:
    """Results by folded name that stand where sources have folders; few."""
    beside = [
        f"key in (select {_without('key', suffix)} from blocked_folders where ends_with(key, '{suffix}'))"
        for suffix in BESIDE
    ]
    blocked = " or ".join(["key in (select key from blocked_folders)", *beside])
    return database.pairs(f"select key, path from holders where {blocked}")


def _without(column: str, suffix: str) -> str:
    return f"left({column}, length({column}) - {len(suffix)})"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""What the manifest and sidecars cover: for each source whether it is done, and if not, why it is pending.

`verdicts` compares sources with rows that were recorded for them; `decide` puts together what follows. Only touched sources
need more than the database: their bytes.
"""

from __future__ import annotations

from collections.abc import Collection

from pipelines.film.beside import files_beside
from pipelines.film.source import source_digest
from pipelines.manifest.current import only_newest
from pipelines.manifest.naming import output_format
from pipelines.manifest.runs import all_runs_ended
from pipelines.plan.orphans import OrphanSidecars
from pipelines.plan.tables import BESIDE, DAMAGED, FORMER, HASHED, PlanDatabase, planned_sql
from pipelines.rows import QUARANTINED, RESTORED
from pipelines.settings import Settings
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import DAMAGE_SUFFIX, PAGE_LIST, PAGE_MASKS_SUFFIX, PAGED
from pipelines.store.store import Store
from pipelines.store.stores import Stores

__all__ = ["ADOPTED", "DONE", "WAITING", "decide"]

DONE, ADOPTED = "done", "adopted"
WAITING = "waiting"  # for settings that people chose and that cannot be carried out now
CHOSEN = "redo chosen in a review"
_OTHERWISE_MADE = ("settings changed", "model changed", "seed changed")
_HASHERS = 8
_MOST_ATTEMPTS = 2**31 - 2


def decide(
    database: PlanDatabase,
    orphans: OrphanSidecars,
    stores: Stores,
    settings: Settings,
    *,
    digest: str,
    model: str,
    damaged: Collection[str],
    of_films: tuple[str, str | None] = ("", None),
) -> None:
    """Make the table `decided` (path, reason, attempt): a row a source. Reason is `done`, `adopted`, `quarantined`,
    `waiting`, or why the source is pending.

    Args:
        database: with all tables of `inventory`, `discover` and `output_names`.
        orphans: reads the sidecars that can tell something.
        stores: both.
        settings: `redo`, `seed`, `max_attempts`.
        digest: of the settings, where a source has none of its own.
        model: digest of the model.
        damaged: ids of items whose results are known to be altered.
        of_films: as of `discover`.

    Raises:
        StoreError: a store cannot be read.
    """
    _load(database, settings, damaged, of_films)
    judge = _Verdicts(database, stores.source, settings, digest=digest, model=model)
    database.execute(f"create table prior as select * from records semi join sources using (item_id) {only_newest()}")
    judge.verdicts("prior")
    if not settings.redo:
        _read_covering_sidecars(database, orphans, stores.output)
    database.execute(
        "create table claimed as select adopted.* from adopted join named "
        f"on named.item_id = adopted.item_id and named.output = {planned_sql('adopted.output_path')}"
    )
    judge.verdicts("claimed")
    database.execute(
        f"""create table decided as select s.path, case
            when s.choices is not null and s.model is null then '{WAITING}'
            when m.item_id is not null then 'result damaged'
            when {settings.redo} then 'redo'
            when p.verdict = '{DONE}' then '{DONE}'
            when c.verdict = '{DONE}' then '{ADOPTED}'
            when s.choices is not null and coalesce(p.verdict, c.verdict) in {_OTHERWISE_MADE} then '{CHOSEN}'
            else coalesce(p.verdict, c.verdict, 'new') end as reason,
            case when reason in ('failed before', '{QUARANTINED}') then p.attempt_now else 1 end as attempt
        from sources s left join prior_verdicts p on p.path = s.path left join claimed_verdicts c on c.path = s.path
        left join damaged m on m.item_id = s.item_id"""
    )


def _load(
    database: PlanDatabase, settings: Settings, damaged: Collection[str], of_films: tuple[str, str | None]
) -> None:
    """The tables that say what counts as done."""
    database.create(HASHED, DAMAGED, BESIDE, FORMER)
    with database.batch_insert(BESIDE) as beside, database.batch_insert(FORMER) as former:
        for sequence, name in ((False, "a.mkv"), (True, "a.%04d.dpx")):
            for suffix in files_beside(name, settings):
                beside.add(suffix, sequence and output_format(name, settings.formats) == "sequence")
        for old in settings.former_digests(of_films[1]):
            former.add(old, of_films[0])
    with database.batch_insert(DAMAGED) as ids:
        for name in set(damaged):
            ids.add(name)


def _read_covering_sidecars(database: PlanDatabase, orphans: OrphanSidecars, output: Store) -> None:
    """After a run that died, a sidecar may be newer than its item's row. Otherwise the rows tell all."""
    database.execute(
        f"create table wanted as select unnest([named.output, named.output || '{PAGE_LIST}']) as path "
        "from named join prior_verdicts v on v.path = named.path "
        f"where v.verdict <> '{DONE}' and named.item_id not in (select item_id from damaged)"
    )
    if database.count("select count(*) from wanted semi join sidecars using (path)") and not all_runs_ended(output):
        orphans.read_wanted()


class _Verdicts:
    def __init__(self, database: PlanDatabase, source: Store, settings: Settings, *, digest: str, model: str) -> None:
        self._database, self._source, self._settings = database, source, settings
        self._values: dict[str, object] = {"digest": digest, "model": model, "seed": settings.seed}
        self._values |= {"pages": settings.pages, "most": settings.max_attempts}

    def verdicts(self, table: str) -> None:
        """Make `<table>_verdicts` (path, attempt_now, verdict, touched) of the sources that a table has rows of.

        Touched are sources whose version changed and whose bytes did not.
        """
        other_source = "r.source_version is distinct from s.version"
        self._database.execute(
            f"""create table {table}_verdicts as select s.path, case
                when r.status = '{RESTORED}' and r.settings_digest is distinct from coalesce(s.digest, $digest)
                    and not exists (select 1 from former o where o.digest = r.settings_digest and o.now = s.digest)
                    then 'settings changed'
                when r.status = '{RESTORED}' and r.model_digest is distinct from coalesce(s.model, $model) then 'model changed'
                when r.status = '{RESTORED}' and r.seed is distinct from coalesce(s.seed, $seed) then 'seed changed'
                when r.status = '{RESTORED}' and r.pages <> $pages then 'settings changed'
                when r.source_size is distinct from s.size then 'source changed'
                when {other_source} and coalesce(r.source_sha256, '') = '' then 'source changed'
                when {other_source} then 'unknown'
                else 'same source' end as verdict
            from sources s join {table} r using (item_id)""",
            {name: self._values[name] for name in ("digest", "model", "seed", "pages")},
        )
        if not self._settings.redo:
            self._hash(f"{table}_verdicts")
        self._database.execute(
            f"""create or replace table {table}_verdicts as select v.path,
                case when r.settings_digest is not distinct from coalesce(s.digest, $digest)
                    and r.model_digest is not distinct from coalesce(s.model, $model)
                    then least(coalesce(r.attempt, 0), {_MOST_ATTEMPTS}) + 1 else 1 end as attempt_now,
                case when v.verdict = 'unknown' and h.sha256 is distinct from r.source_sha256 then 'source changed'
                when v.verdict not in ('unknown', 'same source') then v.verdict
                when r.status is distinct from '{RESTORED}'
                    then case when attempt_now > $most then '{QUARANTINED}' else 'failed before' end
                when f.path is null or f.size is distinct from r.output_size or k.path is null then 'result missing'
                when r.damage_marks > 0 and d.path is null then 'result missing'
                when s.kind = 'film' and exists (select 1 from beside b where b.sequence = (r.output_path like '%.sha256')
                    and r.output_path || b.suffix not in (select path from files)) then 'copies missing'
                else '{DONE}' end as verdict,
                v.verdict = 'unknown' as touched
            from {table}_verdicts v join sources s on s.path = v.path join {table} r on r.item_id = s.item_id
            left join files f on f.path = r.output_path left join sidecars k on k.path = r.output_path
            left join files d on d.path = r.output_path ||
                case when r.pages in {PAGED} then '{PAGE_MASKS_SUFFIX}' else '{DAMAGE_SUFFIX}' end
            left join hashed h on h.path = v.path""",
            {name: self._values[name] for name in ("digest", "model", "most")},
        )

    def _hash(self, table: str) -> None:
        """Read touched or copied sources: only their bytes can tell. What cannot be read counts as changed."""
        query = (
            f"select s.path from sources s join {table} v using (path) where v.verdict = 'unknown' "
            "and s.item_id not in (select item_id from damaged) and s.path not in (select path from hashed) order by path"
        )
        self._database.execute(f"create or replace table to_hash as {query}")
        with self._database.batch_insert(HASHED) as hashed:
            for found in self._database.batches("select path from to_hash order by path"):
                paths = found["path"].to_pylist()
                for path, sha256 in zip(paths, map_threaded(self._sha256, paths, _HASHERS), strict=True):
                    hashed.add(path, sha256)

    def _sha256(self, path: str) -> str:
        try:
            return source_digest(self._source, path)[0]
        except OSError:
            return ""

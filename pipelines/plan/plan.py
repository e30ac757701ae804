"""The plan: which sources there are, which are already covered, and why the rest are pending.

Everything that grows with the archive lies in a temporary database on local disk, so that millions of sources take little
memory. In the order of reading: `inventory` (what the output store holds, what the manifest says), `strangers` (files there
that are not ours), `orphans` (sidecars that the manifest does not know), `discover` (photographs and films), `output_names`
(which output each gets), `verdicts` (done, or why not).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from faithdiff_model.weights.files import captioner_digest, model_digest
from faithdiff_model.weights.revisions import pin_captioner, pin_model
from pipelines.errors import first_line
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.ownership import PAGES_SIDECAR, SIDECAR
from pipelines.manifest.scratch import scratch_database
from pipelines.plan.catalogue import Catalogue, load_catalogue
from pipelines.plan.choices import ItemChoices, Model
from pipelines.plan.discover import discover
from pipelines.plan.final_rows import FinalRows
from pipelines.plan.inventory import load_manifest, load_output, recorded_revisions
from pipelines.plan.not_taken import NotTaken
from pipelines.plan.orphans import OrphanSidecars
from pipelines.plan.output_names import assign_output_names
from pipelines.plan.pending import PENDING_SCHEMA, ArrowSpill, CompactRows, PendingRows, RowBuilder
from pipelines.plan.same_names import refuse_other_names
from pipelines.plan.stores import open_stores
from pipelines.plan.strangers import find_strangers, names_in_use, recorded_digests
from pipelines.plan.tables import PlanDatabase
from pipelines.plan.verdicts import ADOPTED, DONE, WAITING, decide
from pipelines.rows import QUARANTINED
from pipelines.settings import Settings
from pipelines.store.layout import PAGE_LIST
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import Stores

__all__ = ["Plan", "make_plan"]

_MEMORY = "1GB"


@dataclass(kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        pending: rows to restore, by path.
        final_rows: rows that need no run (taken from sidecars, fixity of moved sources, unusable): for the manifest.
        done: number of sources that are covered.
        quarantined: paths that failed too often.
        waiting: paths of items that keep what they have, as the settings that people chose for them cannot be carried out now.
        why_waiting: a line for each such choice.
        not_taken: the files of the source that are no items, with what they are.
        model_digest: what the rows will be restored with.
        claimed: whether an earlier run has said in the output that results are written there; else this one is to.
        began, ended: when it was made, seconds since 1970; 0 if it was made otherwise.
    """

    pending: PendingRows
    final_rows: CompactRows
    done: int = 0
    quarantined: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    why_waiting: list[str] = field(default_factory=list)
    not_taken: NotTaken = field(default_factory=NotTaken)
    model_digest: str = ""
    claimed: bool = True
    began: float = 0.0
    ended: float = 0.0

    @property
    def skipped(self) -> Counter[str]:
        """Files that are neither photographs nor films, by extension."""
        return self.not_taken.by_ending()

    def counts(self) -> dict[str, int]:
        """Pending rows by reason."""
        return self.pending.counts()


def make_plan(
    settings: Settings, *, damaged: Collection[str] = (), memory: str = _MEMORY, stores: Stores | None = None
) -> Plan:
    """Compare the source store with what the output store covers. Decodes nothing, loads no weights, writes nothing there.

    Makes no request an item where both stores list and no run died; reads the bytes of touched sources alone.

    Args:
        settings: all settings.
        damaged: ids of items whose results are known to be altered; they are pending whatever the manifest says.
        memory: what the temporary database may take, as DuckDB writes it; it goes on on disk.
        stores: from `open_stores`, where the caller has opened them already.

    Raises:
        StoreError: source missing or not listable, output inside the source tree, full of strangers' pictures or not readable,
            manifest damaged, or no space for temporary files.
        WeightsError: no weights.
        ValueError: no usable catalogue.
    """
    began = time.time()
    stores = stores or open_stores(settings)
    source, output = stores.source, stores.output
    catalogue = _catalogue(settings)
    with _database(memory) as database:
        # 1. what is there, and what was recorded of it
        load_output(database, output)
        manifest_files = load_manifest(database, output)
        claimed = find_strangers(database, output, manifest_files, refuse=not settings.into_existing)
        # 2. results of which no manifest row tells: their sidecars do
        orphans = OrphanSidecars(database, output)
        orphans.read_unlisted()
        # 3. the model, of the commits that results were made with before
        model, choices = _models(settings, output, recorded_revisions(database))
        digest, film_digest = (settings.result_digest(model.described_by, kind) for kind in ("photo", "film"))
        builder = _builder(stores, settings, digest, model, choices)
        # 4. sources, each with the output that it gets
        final = FinalRows(database, output, builder)
        of_films = film_digest, model.described_by
        not_taken = _find_sources(database, stores, settings, catalogue, choices, final, of_films, claimed=claimed)
        # 5. done or not
        decide(
            database, orphans, stores, settings, digest=digest, model=model.digest, damaged=damaged, of_films=of_films
        )
        refuse_other_names(database, source, final.add, same=settings.name == "same")
        # 6. rows for the manifest, and rows to restore
        _collect(final, orphans, manifest_files)
        recorded_digests(database, output, manifest_files)
        return Plan(
            pending=_pending(database, builder),
            final_rows=final.rows(),
            done=database.count(f"select count(*) from decided where reason in ('{DONE}', '{ADOPTED}')"),
            quarantined=database.column(f"select path from decided where reason = '{QUARANTINED}' order by path"),
            waiting=database.column(f"select path from decided where reason = '{WAITING}' order by path"),
            why_waiting=list(choices.waiting.values()),
            not_taken=not_taken,
            model_digest=model.digest,
            claimed=claimed,
            began=began,
            ended=time.time(),
        )


def _builder(stores: Stores, settings: Settings, digest: str, model: Model, choices: ItemChoices) -> RowBuilder:
    return RowBuilder(
        stores.source,
        stores.output,
        settings_digest=digest,
        model_digest=model.digest,
        seed=settings.seed,
        model_revision=model.revision,
        chosen=choices.by_text,
    )


def _find_sources(
    database: PlanDatabase,
    stores: Stores,
    settings: Settings,
    catalogue: Catalogue | None,
    choices: ItemChoices,
    final: FinalRows,
    of_films: tuple[str, str | None],
    *,
    claimed: bool,
) -> NotTaken:
    """Make `sources` and `named`; the files of the source that are none."""
    not_taken = NotTaken()
    source, output = stores.source, stores.output
    discover(database, source, output, settings, catalogue, not_taken, final.add, choices=choices, of_films=of_films)
    names_in_use(database, output, claimed=claimed)
    assign_output_names(database, settings.formats, same=settings.name == "same")
    return not_taken


def _collect(final: FinalRows, orphans: OrphanSidecars, manifest_files: Sequence[str]) -> None:
    """The rows that need no run."""
    final.quarantine()
    final.record_versions(manifest_files)
    final.adopt(orphans.rows.table())


def _catalogue(settings: Settings) -> Catalogue | None:
    """The catalogue's descriptions, where they are wanted. Raises ValueError: it cannot be used."""
    if settings.captions != "catalogue":
        return None
    return load_catalogue(settings.catalogue, path_column=settings.catalogue_path, text_column=settings.catalogue_text)


def _models(settings: Settings, output: Store, recorded: list[dict[str, str]]) -> tuple[Model, ItemChoices]:
    """The run's model, and those of what people chose for single items. Raises WeightsError: the run's is not there."""
    find = partial(_model, recorded=recorded)
    return find(settings), ItemChoices(DecisionLog(output).redos(), settings, find)


def _model(settings: Settings, recorded: list[dict[str, str]]) -> Model:
    """The model that settings ask for, of the commits that were recorded. Raises WeightsError."""
    spec, revisions = pin_model(settings.model_spec(), recorded)
    described_by = None
    if settings.captions == "llava":
        captioner, revision = pin_captioner(settings.captioner, recorded)
        described_by, revisions = captioner_digest(captioner), revisions | revision
    commits = json.dumps(revisions, sort_keys=True) if revisions else None
    return Model(digest=model_digest(spec), described_by=described_by, revision=commits)


@contextmanager
def _database(memory: str) -> Iterator[PlanDatabase]:
    import duckdb  # late: the command line starts without it

    try:
        with scratch_database() as connection:
            database = PlanDatabase(connection)
            database.execute(f"set memory_limit = '{memory}'")
            database.execute("set preserve_insertion_order = false")  # nothing depends on it, and it costs memory
            yield database
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        line = first_line(error)
        raise StoreError(
            f"planning: the temporary database in {tempfile.gettempdir()} failed ({line}); make space there, or set TMPDIR "
            "to a folder that has some"
        ) from error


def _pending(database: PlanDatabase, builder: RowBuilder) -> PendingRows:
    spill = ArrowSpill(PENDING_SCHEMA)
    query = (
        "select s.item_id, s.path as source_path, s.kind as media_kind, s.size as source_size, s.version as source_version, "
        "s.output as output_path, s.caption, s.digest as settings_digest, s.choices, d.attempt, "
        f"d.reason, case when k.path is not null then '{SIDECAR}' when p.path is not null then '{PAGES_SIDECAR}' "
        "else r.sha256 end as replaces from decided d join named s on s.path = d.path "
        f"left join sidecars k on k.path = s.output left join sidecars p on p.path = s.output || '{PAGE_LIST}' "
        "left join recorded r on r.path = s.path "
        f"where d.reason not in {(DONE, ADOPTED, QUARANTINED, WAITING)} and s.path not in (select path from refused) "
        "order by s.path"
    )
    for table in database.batches(query):
        spill.add(table)
    return PendingRows(spill.table(), builder)

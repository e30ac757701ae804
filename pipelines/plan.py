"""The plan: which sources there are, which are already covered, and why the rest are pending."""

from __future__ import annotations

import fnmatch
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath

from faithdiff_model.files import captioner_digest, model_digest
from faithdiff_model.prompts import description_to_prompt
from faithdiff_model.weights import shown
from pipelines.catalogue import Catalogue, load_catalogue
from pipelines.errors import ItemError
from pipelines.manifest import current_rows
from pipelines.media.photo import PHOTO_SUFFIXES
from pipelines.naming import SIDECAR_SUFFIX, assign_outputs, item_id
from pipelines.provenance import read_sidecar, sidecar_path
from pipelines.rows import FAILED, QUARANTINED, RESTORED, Row, fail, new_row
from pipelines.settings import Settings
from pipelines.storage import PRIVATE, Entry, Store, StoreError, check_apart

_PRIOR_COLUMNS = (
    "item_id", "source_path", "source_size", "source_version", "source_sha256", "output_path", "output_size", "status",
    "attempt", "settings_digest", "model_digest", "seed", "error_code", "error_reason",
)  # fmt: skip


@dataclass(kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        pending: rows to restore, by path.
        reasons: why each pending row is pending, in the same order.
        done: number of sources that are covered.
        settled: final rows found while planning (adopted from sidecars, moved fixity, unusable names): the manifest gets them.
        quarantined: paths that failed too often.
        skipped: files that are not photographs, by extension.
        model_digest: what the rows will be restored with.
    """

    pending: list[Row] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    done: int = 0
    settled: list[Row] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    model_digest: str = ""

    def counts(self) -> dict[str, int]:
        """Pending rows by reason."""
        return dict(Counter(self.reasons))


def make_plan(settings: Settings) -> Plan:
    """Compare the source store with what the output store covers. Reads no pixels and loads no weights.

    Raises:
        StoreError: source missing or not listable, output inside the source tree or not writable.
        WeightsError: no weights.
        ValueError: no usable catalogue.
    """
    source, output = open_stores(settings)
    plan = Plan(model_digest=model_digest(settings.model_spec()))
    catalogue = None
    if settings.captions == "catalogue":
        catalogue = load_catalogue(
            settings.catalogue, path_column=settings.catalogue_path, text_column=settings.catalogue_text
        )
    entries = list(_photographs(source, settings, plan))
    existing = {entry.path: entry for entry in output.list() if not entry.path.startswith(f"{PRIVATE}/")}
    prior = current_rows(output, _PRIOR_COLUMNS)
    owned = {row["source_path"]: row["output_path"] for row in prior.values() if row["output_path"]}
    owned = _sidecar_owners(output, existing, known=set(owned.values())) | owned
    outputs = assign_outputs([entry.path for entry in entries], settings.format, owned)
    planner = _Planner(settings, source, output, plan, existing, prior, catalogue)
    for entry in entries:
        planner.consider(entry, outputs[entry.path])
    return plan


def open_stores(settings: Settings) -> tuple[Store, Store]:
    """Source and output store, checked against each other.

    Raises:
        StoreError: either cannot be used.
    """
    if not settings.source or not settings.output:
        raise StoreError("source and output are both needed: faitharchive restore SOURCE OUTPUT")
    source, output = Store(settings.source), Store(settings.output)
    check_apart(source, output)
    if not source.exists():
        raise StoreError(f"source {shown(settings.source)}: there is no such folder; check the path")
    if source.fs.isfile(source.root):
        raise StoreError(f"source {shown(settings.source)}: is a file; give its folder, and its name by --only")
    return source, output


def _photographs(source: Store, settings: Settings, plan: Plan) -> list[Entry]:
    found = []

    def refused(folder: str, error: OSError) -> None:
        """A folder that cannot be listed is reported like a file that cannot be read: what it holds must not just vanish."""
        reason = f"{folder}: this folder cannot be listed ({error.strerror or type(error).__name__}); check access"
        row = new_row(item_id=item_id(folder), source_path=folder, source_uri=source.uri(folder), attempt=1)
        plan.settled.append(fail(row, "plan", ItemError("unreadable", reason)) | {"finished_at": datetime.now(UTC)})

    for entry in source.list(on_refused=refused):
        suffix = PurePosixPath(entry.path).suffix.lower()
        if suffix not in PHOTO_SUFFIXES or entry.path.startswith(f"{PRIVATE}/"):
            plan.skipped[suffix or PurePosixPath(entry.path).name] += 1
        elif not settings.only or fnmatch.fnmatchcase(entry.path, settings.only):
            found.append(entry)
    return found


def _sidecar_owners(output: Store, existing: dict[str, Entry], known: set[str]) -> dict[str, str]:
    """Outputs that no manifest row names, by source path, from their sidecars."""
    owners = {}
    for path in existing:
        if path.endswith(SIDECAR_SUFFIX) and path[: -len(SIDECAR_SUFFIX)] not in known:
            row = read_sidecar(output.read(path))
            if row is not None:
                owners[row["source_path"]] = row["output_path"]
    return owners


class _Planner:
    """Decides one source at a time."""

    def __init__(
        self,
        settings: Settings,
        source: Store,
        output: Store,
        plan: Plan,
        existing: dict[str, Entry],
        prior: dict[str, Row],
        catalogue: Catalogue | None,
    ) -> None:
        self.settings, self.source, self.output, self.plan = settings, source, output, plan
        self.existing, self.prior, self.catalogue = existing, prior, catalogue
        captioner = captioner_digest(settings.captioner) if settings.captions == "llava" else None
        self.digest = settings.result_digest(captioner)

    def consider(self, entry: Entry, output_path: str) -> None:
        """File one source under done, pending, quarantined or settled."""
        row = self._row(entry, output_path)
        if row["status"] == FAILED:
            self.plan.settled.append(row)
            return
        prior = self.prior.get(row["item_id"])
        reason = "redo" if self.settings.redo else self._reason(row, prior)
        if reason not in (None, "redo"):
            # A run that died may have finished the file without getting to its manifest row: the sidecar knows.
            adopted = self._adopt(row)
            if adopted is not None and self._reason(row, adopted) is None:
                self.plan.settled.append(adopted)
                reason = None
            elif prior is None:
                prior, reason = adopted, self._reason(row, adopted)
        if reason is None:
            self.plan.done += 1
        elif reason == QUARANTINED:
            self.plan.quarantined.append(entry.path)
            self._quarantine(row, prior)
        else:
            self.plan.pending.append(row)
            self.plan.reasons.append(reason)

    def _row(self, entry: Entry, output_path: str) -> Row:
        name = item_id(entry.path)
        try:
            entry.path.encode()
        except UnicodeEncodeError:
            shown = entry.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            row = new_row(item_id=name, source_path=shown, source_uri=shown, attempt=1, finished_at=datetime.now(UTC))
            return fail(row, "plan", ItemError("bad_name", f"{shown}: its name is not valid UTF-8; rename it"))
        caption = self.catalogue.get(entry.path) if self.catalogue else None
        return new_row(
            item_id=name,
            source_uri=self.source.uri(entry.path),
            source_path=entry.path,
            source_size=entry.size,
            source_version=entry.version,
            output_path=output_path,
            output_uri=self.output.uri(output_path),
            media_kind="photo",
            caption=caption or "",
            prompt=description_to_prompt(caption) if caption else "",
            caption_source="catalogue" if caption else "none",
            settings_digest=self.settings.result_digest(caption) if caption else self.digest,
            model_digest=self.plan.model_digest,
            seed=self.settings.seed,
            attempt=1,
        )

    def _adopt(self, row: Row) -> Row | None:
        """The sidecar's row of a finished file that the manifest does not know."""
        path = sidecar_path(row["output_path"])
        if path not in self.existing:
            return None
        found = read_sidecar(self.output.read(path))
        if found is None or found["source_path"] != row["source_path"]:
            return None
        return found

    def _reason(self, row: Row, prior: Row | None) -> str | None:
        """Why a source is pending, `quarantined`, or None if it is covered."""
        if prior is None:
            return "new"
        for name, reason in (
            ("settings_digest", "settings changed"),
            ("model_digest", "model changed"),
            ("seed", "seed changed"),
        ):
            if prior[name] != row[name] and prior["status"] == RESTORED:
                return reason
        if not self._same_source(row, prior):
            return "source changed"
        if prior["status"] != RESTORED:
            same = prior["settings_digest"] == row["settings_digest"] and prior["model_digest"] == row["model_digest"]
            row["attempt"] = prior["attempt"] + 1 if same else 1
            return QUARANTINED if row["attempt"] > self.settings.max_attempts else "failed before"
        file = self.existing.get(prior["output_path"])
        if file is None or file.size != prior["output_size"] or sidecar_path(file.path) not in self.existing:
            return "result missing"
        return None

    def _same_source(self, row: Row, prior: Row) -> bool:
        if row["source_size"] != prior["source_size"]:
            return False
        if row["source_version"] == prior["source_version"]:
            return True
        if not prior["source_sha256"]:
            return False
        # Touched or copied: only its bytes can tell.
        try:
            same = hashlib.sha256(self.source.read(row["source_path"])).hexdigest() == prior["source_sha256"]
        except OSError:
            return False
        if same and prior["status"] == RESTORED:
            self._record_version(prior, row["source_version"])
        return same

    def _record_version(self, prior: Row, version: str) -> None:
        """Remember the version of a source whose bytes are as they were, so that they are not read again next time."""
        if "identity" in prior:  # a whole row, from a sidecar, which is settled by whoever adopts it
            prior["source_version"] = version
            return
        full = self._full_rows.get(prior["item_id"])
        if full is not None:
            self.plan.settled.append(new_row() | full | {"source_version": version})

    @cached_property
    def _full_rows(self) -> dict[str, Row]:
        """Whole current rows, read only if a touched source must be recorded anew."""
        return current_rows(self.output)

    def _quarantine(self, row: Row, prior: Row | None) -> None:
        assert prior is not None
        if prior["status"] == QUARANTINED:
            return
        times = prior["attempt"]
        reason = f"failed in {times} runs, last: {prior['error_reason']}; --redo tries it again"
        fail(row, "plan", ItemError(prior["error_code"], reason))
        row.update(status=QUARANTINED, attempt=times, finished_at=datetime.now(UTC))
        self.plan.settled.append(row)

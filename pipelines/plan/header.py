"""The header of a plan in slices: what every driver of a shard must know, and the errors of plan files."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from faithdiff_model.redaction import redact
from pipelines.errors import first_line
from pipelines.plan.choices import Choice, Model
from pipelines.plan.pending import RowBuilder
from pipelines.settings import Settings
from pipelines.store.layout import plan_folder
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store

__all__ = [
    "AGAIN", "HEADER", "VERSION", "ChosenSettings", "PlanFileError", "PlanHeader", "SliceFile", "check_shard", "read_header",
    "software",
]  # fmt: skip

VERSION = 1
HEADER = "plan.json"
AGAIN = "nothing is lost: run the same restore command again, which plans anew"


class PlanFileError(StoreError):
    """A file of a plan is damaged, missing or another version's; the message names it and says what to do."""


class SliceFile(NamedTuple):
    """What the header says of a slice.

    Attributes:
        name: of its file, beside the header.
        rows: how many are in it.
        sha256: of the file.
    """

    name: str
    rows: int
    sha256: str


class ChosenSettings(BaseModel):
    """A choice of settings that people made for some items, with its model."""

    settings: Settings
    digest: str
    described_by: str | None
    revision: str | None


class PlanHeader(BaseModel):
    """What every shard's driver must know of the plan.

    Attributes:
        version: of this form.
        run_id: of the run that planned.
        lease: number of its lease of the output.
        software: version of FaithArchive that planned.
        settings: all of them, with absolute paths; no secret is a setting.
        settings_digest, model_digest, seed, model_revision: of rows without their own, as of `RowBuilder`.
        chosen: what people chose for single items, by its JSON.
        slices: one for each shard, in their order.
        done: items that need nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    run_id: str
    lease: int
    software: str
    settings: Settings
    settings_digest: str
    model_digest: str
    model_revision: str | None
    seed: int
    chosen: dict[str, ChosenSettings]
    slices: list[SliceFile]
    done: int

    @property
    def shards(self) -> int:
        """How many there are; they are numbered from 1."""
        return len(self.slices)

    def builder(self) -> RowBuilder:
        """Makes whole rows of a slice."""
        chosen = {
            text: Choice(
                settings=each.settings,
                model=Model(digest=each.digest, described_by=each.described_by, revision=each.revision),
            )
            for text, each in self.chosen.items()
        }
        source, output = (
            open_store(url, self.settings.retry_seconds) for url in (self.settings.source, self.settings.output)
        )
        return RowBuilder(
            source,
            output,
            settings_digest=self.settings_digest,
            model_digest=self.model_digest,
            seed=self.seed,
            model_revision=self.model_revision,
            chosen=chosen,
        )


def software() -> str:
    """This program's version: what a result says of its making names it, so that all drivers of a run must have the same."""
    return version("faitharchive")


def read_header(store: Store, run_id: str) -> PlanHeader:
    """The header of a run's plan.

    Raises:
        PlanFileError: it is missing, damaged or another version's.
    """
    path = f"{plan_folder(run_id)}/{HEADER}"
    name = f"plan file {store.uri(path)}"
    try:
        values = json.loads(store.read(path))
    except FileNotFoundError as error:
        raise PlanFileError(
            f"{name}: is not there: run {run_id} has ended, or died while it planned; {AGAIN}"
        ) from error
    except OSError as error:
        raise PlanFileError(
            f"{name}: cannot be read ({redact(error.strerror or type(error).__name__)}); {AGAIN}"
        ) from error
    except ValueError as error:
        raise PlanFileError(f"{name}: is damaged ({first_line(error)}); {AGAIN}") from error
    values = values if isinstance(values, dict) else {}
    for field, ours in (("version", VERSION), ("software", software())):
        theirs = values.get(field)
        if type(theirs) is type(ours) and theirs != ours:
            raise PlanFileError(
                f"{name}: is of {field} {redact(str(theirs))[:40]}, and this FaithArchive takes {ours} alone; install the same "
                "version on all machines that work on the archive"
            )
    try:
        return PlanHeader.model_validate(values)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "all of it"
        raise PlanFileError(f"{name}: is damaged, or of another version ({where}: {found['msg']}); {AGAIN}") from error


def check_shard(header: PlanHeader, shard: int) -> None:
    """Refuse the number of a shard that is not there. Raises PlanFileError."""
    if not 1 <= shard <= header.shards:
        raise PlanFileError(f"shard {shard}: run {header.run_id} has shards 1 to {header.shards}; choose one of them")

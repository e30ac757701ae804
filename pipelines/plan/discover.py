"""Which photographs and films there are: the source store's listing as a table, and those that cannot even be planned."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from datetime import UTC, datetime

from pipelines.errors import ItemError
from pipelines.manifest.naming import folded, folders_of, item_id, plain_output, refusal, suffix_of, visible
from pipelines.manifest.scratch import BatchInsert
from pipelines.media.film.sequence.names import SequenceGrouper
from pipelines.media.kinds import FRAME_SUFFIXES, MAYBE_FRAME_SUFFIXES, kind_of, looks_numbered, suffix
from pipelines.plan.catalogue import Catalogue
from pipelines.plan.choices import ItemChoices
from pipelines.plan.not_taken import NotTaken
from pipelines.plan.tables import FOLDERS, SOURCES, PlanDatabase
from pipelines.rows import Row, fail, new_row
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX
from pipelines.store.store import Entry, OutsideError, Store

__all__ = ["discover", "failed_row"]

_LARGEST = 2**63 - 1
# Bytes of the longest path: of a file on Linux, and of a key of S3, which are the least of what stores take.
_LOCAL_PATH, _OBJECT_KEY = 4095, 1024
_SPARE = len(SIDECAR_SUFFIX) + 32  # an output's name may be longer than its source's, and so may a partial file's
_ELSEWHERE = (
    "is a link to something outside the source tree; copy {} into it or give its real folder as the source".format
)


def discover(
    database: PlanDatabase,
    source: Store,
    output: Store,
    settings: Settings,
    catalogue: Catalogue | None,
    not_taken: NotTaken,
    on_failed: Callable[[Row], None],
    *,
    choices: ItemChoices,
    of_films: tuple[str, str | None] = ("", None),
) -> None:
    """List the sources into `sources` and `folders`.

    Args:
        database: gets the tables.
        source, output: the stores.
        settings: `only`, `sequences`, the formats, and what results depend on.
        catalogue: descriptions, if there are any.
        not_taken: counts the files that are no items.
        on_failed: called with the final row of what cannot be planned: names that cannot be used, folders that cannot be
            listed, links that lead out.
        choices: settings that people chose for single items.
        of_films: digest of the settings, for films without a caption or a choice of their own, and digest of the captioner, if
            there is one.

    Raises:
        StoreError: the source cannot be listed.
    """
    database.create(SOURCES, FOLDERS)
    with database.batch_insert(SOURCES) as sources, database.batch_insert(FOLDERS) as folders:
        sorter = _Sorter(source, output, settings, catalogue, not_taken, on_failed, choices, of_films, sources, folders)
        for entry in source.list(on_refused=sorter.refuse_folder):
            sorter.take(entry)
        sorter.take_sequences()


class _Sorter:
    """Says of each file of the source store whether it is an item, a frame of one, skipped, or one that cannot be planned."""

    def __init__(
        self,
        source: Store,
        output: Store,
        settings: Settings,
        catalogue: Catalogue | None,
        not_taken: NotTaken,
        on_failed: Callable[[Row], None],
        choices: ItemChoices,
        of_films: tuple[str, str | None],
        sources: BatchInsert,
        folders: BatchInsert,
    ) -> None:
        self._source, self._settings, self._catalogue, self._of_films = source, settings, catalogue, of_films
        self._not_taken, self._on_failed, self._choices = not_taken, on_failed, choices
        self._sources, self._folders, self._last_folder = sources, folders, ""
        self._frames = SequenceGrouper()
        longest = _LOCAL_PATH if output.local else _OBJECT_KEY
        self._room = longest - len(output.root.encode("utf-8", "surrogateescape")) - _SPARE

    def take(self, entry: Entry) -> None:
        """Sort a file."""
        path, settings = entry.path, self._settings
        kind = None if path.startswith(f"{PRIVATE}/") else kind_of(path)
        if kind is None or (kind == "film" and not settings.films):
            self._not_taken.add(path)
        elif _is_frame(path, settings) and not entry.outside:
            self._frames.add(path, entry.size, entry.version)
        elif looks_numbered(path):
            self._fail(path, "bad_name", "its name holds the place of a number, as a frame sequence's does; rename it")
        else:
            self._take_item(entry)

    def take_sequences(self) -> None:
        """The items that numbered frames are, after the last file."""
        for sequence in self._frames.sequences():
            self._take_item(Entry(sequence.pattern, sequence.size, sequence.version))

    def refuse_folder(self, folder: str, error: OSError) -> None:
        """A folder that cannot be listed, or leads out."""
        if isinstance(error, OutsideError):
            self._fail(folder, "outside", _ELSEWHERE("its files"))
        else:
            why = error.strerror or type(error).__name__
            self._fail(folder, "unreadable", f"this folder cannot be listed ({why}); check access")

    def _take_item(self, entry: Entry) -> None:
        path = entry.path
        if self._settings.only and not fnmatch.fnmatchcase(path, self._settings.only):
            self._not_taken.add(path, chosen_out=True)
            return
        reason = refusal(path, self._room)
        if reason:
            self._fail(path, "bad_name", reason)
        elif entry.outside:
            self._fail(path, "outside", _ELSEWHERE("the file"))
        else:
            self._sources.add(*_source(entry, self._settings, self._catalogue, self._choices, *self._of_films))
            if (parent := path.rpartition("/")[0]) != self._last_folder:
                self._last_folder = parent
                for folder in folders_of(path):
                    self._folders.add(folder, folded(folder))

    def _fail(self, path: str, code: str, reason: str) -> None:
        """Whatever cannot be planned is reported like a file that cannot be read: it must not just vanish."""
        self._on_failed(failed_row(self._source, path, code, reason))


def _is_frame(path: str, settings: Settings) -> bool:
    """Whether a file is one of a film's frames: by its kind, or because the archive says so of its folder."""
    ending = suffix(path)
    if ending in FRAME_SUFFIXES:
        return True
    if not settings.films or not settings.sequences or ending not in MAYBE_FRAME_SUFFIXES:
        return False
    folder, _, name = path.rpartition("/")
    return fnmatch.fnmatchcase(folder, settings.sequences) and any(c in "0123456789" for c in name)


def _source(
    entry: Entry,
    settings: Settings,
    catalogue: Catalogue | None,
    choices: ItemChoices,
    film_digest: str,
    described_by: str | None,
) -> tuple[object, ...]:
    path = entry.path
    kind = kind_of(path) or "photo"
    caption = catalogue.get(path) if catalogue else None
    output = plain_output(path, settings.formats)
    item = item_id(path)
    digest = film_digest if kind == "film" else None
    chosen, choice = choices.of(item)
    own = choice.settings if choice else settings
    own = own.for_film(path) if kind == "film" else own
    if caption or own is not settings:
        described = caption if own.captions != "none" else None
        digest = own.result_digest(described or (choice.model.described_by if choice else described_by), kind)
    return (
        item,
        path,
        kind,
        min(entry.size, _LARGEST),
        entry.version,
        output,
        folded(output),
        suffix_of(output),
        caption,
        digest,
        chosen,
        choice.model.digest if choice else None,
        choice.settings.seed if choice else None,
    )


def failed_row(source: Store, path: str, code: str, reason: str) -> Row:
    """The final row of an item that cannot be planned."""
    name = visible(path)
    row = new_row(
        item_id=item_id(path),
        source_path=name,
        source_uri=f"{source.uri('')}/{name}",
        attempt=1,
        finished_at=datetime.now(UTC),
    )
    return fail(row, "plan", ItemError(code, f"{name}: {reason}"))

"""Rows of a plan in little memory: a table of what differs between them, made into whole rows where they are needed."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self, TypedDict, overload

import pyarrow as pa
import pyarrow.compute as pc

from faithdiff_model.prompts import description_to_prompt
from pipelines.plan.choices import Choice
from pipelines.rows import Row, new_row
from pipelines.settings import Settings
from pipelines.store.store import Store

__all__ = ["PENDING_SCHEMA", "ArrowSpill", "CompactRows", "Expand", "PendingRows", "RowBuilder", "whole_rows"]

# What differs between the pending rows of a plan. `settings_digest` is empty where it is the plan's own, and `choices`, the
# JSON of settings that people chose for an item, where nobody did.
PENDING_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("source_path", pa.string()),
        ("media_kind", pa.string()),
        ("source_size", pa.int64()),
        ("source_version", pa.string()),
        ("output_path", pa.string()),
        ("caption", pa.string()),
        ("settings_digest", pa.string()),
        ("choices", pa.string()),
        ("attempt", pa.int32()),
        ("reason", pa.string()),
        ("replaces", pa.string()),
    ]
)


class _Pending(TypedDict):
    """A row of `PENDING_SCHEMA`."""

    item_id: str
    source_path: str
    media_kind: str
    source_size: int
    source_version: str
    output_path: str
    caption: str | None
    settings_digest: str | None
    choices: str | None
    attempt: int
    reason: str
    replaces: str | None


_BATCH = 1000  # whole rows in memory at a time, some 5 KB each

Expand = Callable[[pa.Table], list[Row]]


class RowBuilder:
    """Makes pending rows of a compact table, in any process. Can be pickled.

    Args:
        source, output: the stores, for the rows' URIs.
        settings_digest: of rows without their own.
        model_digest: what the rows will be restored with.
        seed: of the noise.
        model_revision: the commits of its weights, in JSON; None where none is from the hub.
        chosen: what rows with `choices` are restored with, by these.
    """

    def __init__(
        self,
        source: Store,
        output: Store,
        *,
        settings_digest: str,
        model_digest: str,
        seed: int,
        model_revision: str | None = None,
        chosen: Mapping[str, Choice] | None = None,
    ) -> None:
        self.chosen = dict(chosen or {})
        self.source, self.output, self.model_revision = source, output, model_revision
        self.settings_digest, self.model_digest, self.seed = settings_digest, model_digest, seed

    def for_choice(self, choice: Choice) -> RowBuilder:
        """The same for rows that are all restored with what was chosen for them."""
        return RowBuilder(
            self.source,
            self.output,
            settings_digest=self.settings_digest,
            model_digest=choice.model.digest,
            seed=choice.settings.seed,
            model_revision=choice.model.revision,
            chosen=self.chosen,
        )

    def __call__(self, table: pa.Table) -> list[Row]:
        """The whole rows of a table of `PENDING_SCHEMA`."""
        return [self._row(values) for values in table.to_pylist()]

    def _row(self, values: _Pending) -> Row:
        choice = self.chosen.get(values["choices"] or "")
        made = self.for_choice(choice) if choice else self
        caption = values["caption"]
        return new_row(
            item_id=values["item_id"],
            source_uri=self.source.uri(values["source_path"]),
            source_path=values["source_path"],
            source_size=values["source_size"],
            source_version=values["source_version"],
            output_path=values["output_path"],
            output_uri=self.output.uri(values["output_path"]),
            media_kind=values["media_kind"],
            caption=caption or "",
            prompt=description_to_prompt(caption) if caption else "",
            caption_source="catalogue" if caption else "none",
            settings_digest=values["settings_digest"] or self.settings_digest,
            model_digest=made.model_digest,
            model_revision=made.model_revision,
            seed=made.seed,
            attempt=values["attempt"],
            replaces=values["replaces"],
        )


def whole_rows(table: pa.Table) -> list[Row]:
    """Rows of a table that has the manifest's columns."""
    return [new_row() | row for row in table.to_pylist()]


class CompactRows(Sequence[Row]):
    """Rows that are made anew each time they are looked at: to change one, keep it.

    Args:
        table: what they are made of.
        builder: makes rows of a part of the table.
    """

    def __init__(self, table: pa.Table, builder: Expand) -> None:
        self.table, self.builder = table, builder

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Row | Self:
        places = range(len(self))[index]
        if isinstance(places, int):
            return self.builder(self.table.slice(places, 1))[0]
        return type(self)(self.table.take(pa.array(places, pa.int64())), self.builder)

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), _BATCH):
            yield from self.builder(self.table.slice(start, _BATCH))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows)"


class PendingRows(CompactRows):
    """A plan's pending rows, by path: a table of `PENDING_SCHEMA` and its `RowBuilder`."""

    builder: RowBuilder

    def select(self, item_ids: Collection[str]) -> PendingRows:
        """The rows of some items, in the same order."""
        wanted = pa.array(list(item_ids), pa.string())
        return PendingRows(self.table.filter(pc.is_in(self.table["item_id"], value_set=wanted)), self.builder)

    def of_kind(self, kind: str) -> PendingRows:
        """The photographs, or the films."""
        return PendingRows(self.table.filter(pc.equal(self.table["media_kind"], kind)), self.builder)

    def by_choice(self) -> Iterator[tuple[Choice | None, PendingRows]]:
        """The rows that are restored with the run's settings, then those of each choice of settings that people made."""
        column = self.table["choices"]
        if column.null_count == len(column):
            yield None, self
            return
        yield None, PendingRows(self.table.filter(pc.is_null(column)), self.builder)
        for text, choice in sorted(self.builder.chosen.items()):
            yield choice, PendingRows(self.table.filter(pc.equal(column, text)), self.builder.for_choice(choice))

    def unguided(self, settings: Settings) -> int:
        """Rows for which guidance is set and changes nothing, since their prompt is the negative one, as where both are empty.

        Captions that are still to be made may be anything: they count as words.
        """
        options = settings.restore_options(1)
        zeros = options.negative_prompt == "" and options.empty_negative == "zeros"
        if not options.guided or settings.captions == "llava" or zeros:
            return 0
        captions = (text for part in self.table["caption"].chunks for text in part.to_pylist())
        return sum(description_to_prompt(text or "") == options.negative_prompt for text in captions)

    @property
    def reasons(self) -> list[str]:
        """Why each row is pending, in the same order."""
        return [str(reason) for reason in self.table["reason"].to_pylist()]

    def counts(self) -> dict[str, int]:
        """Rows by reason."""
        found = Counter({pair["values"]: pair["counts"] for pair in self.table["reason"].value_counts().to_pylist()})
        return dict(found)


class ArrowSpill:
    """Tables put together on local disk. The whole is mapped into memory and takes none of it that the system needs.

    Args:
        schema: of the tables.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._folder = tempfile.TemporaryDirectory(prefix="faitharchive-")
        self._path = Path(self._folder.name) / "rows.arrow"
        self._writer = pa.ipc.new_file(str(self._path), schema)
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Append a table with the columns of the schema."""
        self._writer.write_table(table.select(self._schema.names).cast(self._schema))
        self.rows += table.num_rows

    def table(self) -> pa.Table:
        """All of it, as the last thing that the spill does. Its file loses its name here, and its space with the table."""
        self._writer.close()
        with self._folder:
            return pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()

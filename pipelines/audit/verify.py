"""Checking fixity: every restored item's source, result and sidecar against its manifest row, as a stream over the cluster."""

from __future__ import annotations

import fnmatch
import gc
import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import islice

import pyarrow as pa
import ray
from ray.data import Dataset

from faithdiff_model.redaction import redact_url
from pipelines.audit.findings import Findings
from pipelines.audit.fixity import COLUMNS, Answer, Check
from pipelines.manifest.index import Choose, ManifestIndex, open_index, read_block
from pipelines.rows import RESTORED
from pipelines.run.streaming import StreamOptions, tables
from pipelines.settings import Settings
from pipelines.store.store import StoreError
from pipelines.store.stores import open_store
from pipelines.store.urls import absolute_store

__all__ = ["OnCount", "OnItem", "build_check", "verify"]

OnCount = Callable[[int], None]
OnItem = Callable[[bool], None]

# Rows of one task: a trip through the driver for many small files, and not so many bytes that a lost task costs hours.
_BLOCK_ROWS = 128
_BLOCK_BYTES = 1 << 30
# Blocks that go into Ray Data at once: each costs the driver 52 KB there.
_WAVE_BLOCKS = 20_000


def build_check(blocks: Sequence[pa.Table], settings: Settings, *, results_only: bool) -> Dataset:
    """Where current rows lie -> a lazy Ray dataset of `ANSWER_SCHEMA`, a row an item.

    Args:
        blocks: which rows of which manifest files, a block a task.
        settings: both stores.
        results_only: leave the sources unread.
    """
    # 1. places of current rows                                                       (driver, 4 bytes a row)
    ds = ray.data.from_arrow(list(blocks))
    # 2. read those rows; hash source and result, read the sidecar                    1:N places, 1:1 rows
    # A task whose process or node dies is repeated by Ray, three times: nothing here has side effects.
    return ds.map_batches(_checker(settings, results_only), batch_size=None, batch_format="pyarrow", num_cpus=1)


def _waves(current: ManifestIndex) -> Iterator[list[pa.Table]]:
    """Blocks enough for all CPUs, as many at a time as a driver can hold."""
    spread = int(4 * ray.cluster_resources().get("CPU", 1))
    blocks = current.blocks(rows=max(1, min(_BLOCK_ROWS, current.count // spread)), size=_BLOCK_BYTES)
    while wave := list(islice(blocks, _WAVE_BLOCKS)):
        yield wave


def verify(
    settings: Settings,
    findings: Findings,
    *,
    results_only: bool = False,
    sample: float = 1.0,
    item_ids: Collection[str] | None = None,
    on_count: OnCount | None = None,
    on_item: OnItem | None = None,
) -> Findings:
    """Check restored items. Changes nothing. Ray is connected by the caller.

    Args:
        settings: source, output, `only`.
        findings: gets what is found.
        results_only: check results and sidecars alone; the source store is not touched.
        sample: share of the items that is checked, above 0; which ones depends on the findings' id.
        item_ids: these items, whatever their status; by default the restored ones that `only` matches.
        on_count: called with the number of items before the first is checked.
        on_item: called after each with whether it is sound.

    Raises:
        StoreError: no item to check, or a manifest file that cannot be read.
        RayError: the cluster failed.
    """
    choose = _selection(settings.only, sample, findings.id, item_ids)
    statuses = (RESTORED,) if item_ids is None else None
    with open_index(open_store(settings.output, settings.retry_seconds), choose=choose, statuses=statuses) as current:
        if not current.count:
            raise StoreError(_no_item(settings, current))
        if on_count:
            on_count(current.count)
        for blocks in _waves(current):
            for answer in _answers(partial(build_check, blocks, settings, results_only=results_only)):
                findings.add(answer)
                if on_item:
                    on_item(not answer["problems"])
            gc.collect()  # what Ray Data held of a wave lies in cycles
        # Ray repeats a task that was lost, so every item must have come back; an item unseen must not pass for sound.
        if findings.items != current.count:
            raise StoreError(
                f"output {redact_url(settings.output)}: {findings.items} of {current.count} items came back from the cluster; "
                "check again"
            )
    return findings


def _no_item(settings: Settings, current: ManifestIndex) -> str:
    name = f"output {redact_url(settings.output)}"
    if current.items:
        return f"{name}: none of the {current.items} items that were chosen is restored; run faitharchive restore first"
    return f"{name}: no item to check; look at --only and --sample, or run faitharchive restore first"


def _selection(only: str, sample: float, salt: str, item_ids: Collection[str] | None) -> Choose | None:
    if item_ids is not None:
        wanted = frozenset(item_ids)
        return lambda name, path: name in wanted
    if not only and sample >= 1:
        return None
    return lambda name, path: (
        (not only or fnmatch.fnmatchcase(path, only)) and (sample >= 1 or _draw(name, salt) < sample)
    )


def _draw(name: str, salt: str) -> float:
    """A number from 0 to 1 that is an item's own in one verification, and another in the next."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / 2**64


def _checker(settings: Settings, results_only: bool) -> Callable[[pa.Table], pa.Table]:
    """The stage as a function for stateless tasks; each process opens its own stores, once."""
    located = settings.with_absolute_paths(absolute_store)
    source_url, output_url, seconds = located.source, located.output, located.retry_seconds

    def call(block: pa.Table) -> pa.Table:
        output = open_store(output_url, seconds)
        check = Check(open_store(source_url, seconds) if source_url and not results_only else None, output)
        return check(read_block(output, block, COLUMNS))

    call.__name__ = "Check"
    return call


def _answers(check: Callable[[], Dataset]) -> Iterator[Answer]:
    # No block may be lost: what goes wrong is raised, or a problem of its item.
    for table in tables(check, StreamOptions()):
        yield from table.to_pylist()

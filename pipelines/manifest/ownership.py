"""Files are overwritten where they are known to be ours, and nowhere else: what lies in an output without a sidecar may be an
original.

A file is ours if its sidecar lies beside it, if its bytes are those that the manifest records of it (a run that was making it
anew died after it had taken the sidecar away), or if they are just those that are to be written (a run died before it wrote
the sidecar: equal identities give equal bytes).
"""

from __future__ import annotations

from pipelines.errors import ItemError
from pipelines.manifest.sidecar import read_sidecar
from pipelines.rows import Row
from pipelines.store.layout import PAGE_LIST, sidecar_path
from pipelines.store.ownership import publish_new
from pipelines.store.store import Store

__all__ = [
    "PAGES_SIDECAR",
    "SIDECAR",
    "check_may_write",
    "lies_there",
    "name_taken",
    "publish_member",
    "publish_where_ours",
]

# Of the column `replaces`: the plan saw a sidecar of ours at the output path, or at the list of pages that stands for it.
SIDECAR, PAGES_SIDECAR = "sidecar", "sidecar of pages"


def publish_where_ours(store: Store, row: Row, path: str, data: bytes) -> bool:
    """Publish a result, or what lies beside it, unless a file lies there that is not known to be ours.

    One request where the plan saw a sidecar, and where nothing lies at the path.

    Args:
        store: the output store.
        row: of the item, with the plan's `replaces`.
        path: of the file.
        data: its content.

    Returns:
        Whether something of ours lay there: then more may lie beside it.

    Raises:
        ItemError: `name_taken`.
        OSError: it cannot be written.
    """
    if row["replaces"] == SIDECAR:
        store.retract(sidecar_path(row["output_path"]))
        store.publish(path, data)
        return True
    if publish_new(store, path, data):
        return False
    if not _has_sidecar(store, row) and not _is_recorded(store, row, path):
        raise name_taken(path)
    store.retract(sidecar_path(row["output_path"]))
    store.publish(path, data)
    return True


def check_may_write(store: Store, row: Row, path: str, sha256: str) -> bool:
    """The same question of a file that is moved to its name, and so is not published by us; SHA-256 of what it will be.

    Returns:
        Whether something of ours lies there.

    Raises:
        ItemError: `name_taken`.
        OSError: the store cannot be read.
    """
    if row["replaces"] == SIDECAR:
        return True
    if not store.exists(path):
        return False
    if store.sha256(path)[0] not in (sha256, row["replaces"]) and not _has_sidecar(store, row):
        raise name_taken(path)
    return True


def lies_there(store: Store, row: Row) -> bool:
    """Whether a result of several files lies at the row's output path, as its list says: then all of them are ours.

    Raises:
        OSError: the store cannot be read.
    """
    seen = PAGES_SIDECAR if row["output_path"].endswith(PAGE_LIST) else SIDECAR
    return row["replaces"] == seen or _has_sidecar(store, row) or _is_recorded(store, row, row["output_path"])


def publish_member(store: Store, path: str, data: bytes, *, ours: bool) -> None:
    """Publish one file of a result of several.

    Args:
        store: the output store.
        path: of the file.
        data: its content.
        ours: whether such a result of ours lies there, from `lies_there`.

    Raises:
        ItemError: `name_taken`.
        OSError: it cannot be written.
    """
    if ours:
        store.publish(path, data)
    elif not publish_new(store, path, data):
        raise name_taken(path)


def name_taken(path: str) -> ItemError:
    """The error of a name at which a stranger's file lies."""
    return ItemError(
        "name_taken",
        f"{path}: a file without a sidecar of ours lies there in the output, and is never overwritten; the next run gives the "
        "result another name, unless you move that file away",
    )


def _has_sidecar(store: Store, row: Row) -> bool:
    """Whether the sidecar of the item's own result has come to lie there, as when a task is tried again."""
    try:
        found = read_sidecar(store.read(sidecar_path(row["output_path"])))
    except FileNotFoundError:
        return False
    return found is not None and found["item_id"] == row["item_id"]


def _is_recorded(store: Store, row: Row, path: str) -> bool:
    """Whether a file has the bytes that the manifest records of the item's result."""
    return bool(row["replaces"]) and store.exists(path) and store.sha256(path)[0] == row["replaces"]

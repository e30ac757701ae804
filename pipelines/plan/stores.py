"""Checks of both stores before any work: no output may touch the sources, and no setting may hold a secret."""

from __future__ import annotations

import re

from faithdiff_model.redaction import redact_url
from pipelines.media.kinds import kind_of
from pipelines.settings import Settings
from pipelines.store.layout import PRIVATE, sidecar_path
from pipelines.store.ownership import holds_records
from pipelines.store.store import StoreError
from pipelines.store.stores import Stores, check_disjoint, stores_of

__all__ = ["check_roles", "open_stores", "refuse_secrets"]


def refuse_secrets(settings: Settings) -> None:
    """Refuse a setting whose URL holds credentials or a signature: settings are kept in Prefect's records.

    Raises:
        StoreError: names the setting, without the secret. Source and output are refused by `Store`.
    """
    for name in ("base", "vae", "faithdiff", "captioner", "catalogue"):
        url = getattr(settings, name)
        if re.search(r"://[^/]*@", url) or (url.startswith(("http://", "https://")) and "?" in url):
            raise StoreError(
                f"{name} {redact_url(url)}: its URL holds credentials or a query, which would end up in records and logs; use "
                "fsspec's configuration or the environment, or download the file and give its path"
            )


def check_roles(stores: Stores) -> None:
    """Refuse stores that look swapped, before anything is written: two or three requests.

    Raises:
        StoreError: the source is an output of ours, or the output holds pictures or films and no record of a run.
    """
    source, output = stores.source, stores.output
    if holds_records(source):
        raise StoreError(
            f"source {redact_url(source.url)}: holds {PRIVATE}/, as the output of a run does; are source and output swapped? "
            "Give --into-existing if results are to be restored once more"
        )
    if holds_records(output):
        return
    first = next((entry.path for entry in output.list() if kind_of(entry.path)), None)
    if first is not None and not output.exists(
        sidecar_path(first)
    ):  # else records were lost, and the plan looks closer
        raise StoreError(
            f"output {redact_url(output.url)}: holds {first}, and no run has been here; are source and output swapped? Choose "
            "a folder of its own, or give --into-existing if results are meant to lie among other files"
        )


def open_stores(settings: Settings) -> Stores:
    """Source and output store, checked: each by itself, and against each other.

    Raises:
        StoreError: either cannot be used.
    """
    if not settings.source or not settings.output:
        raise StoreError("source and output are both needed: faitharchive restore SOURCE OUTPUT")
    refuse_secrets(settings)
    stores = stores_of(settings)
    source = stores.source
    check_disjoint(source, stores.output)
    source.check_exists("source")
    if source.fs.isfile(source.root):
        raise StoreError(f"source {redact_url(settings.source)}: is a file; give its folder, and its name by --only")
    if not settings.into_existing:
        check_roles(stores)
    return stores

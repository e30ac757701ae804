"""`faitharchive export`: the archive's results in the form that another system takes in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console.exit_codes import ALL_DONE, SOME_FAILED, STOPPED
from jobs.console.exported import ExportProgress, print_exported
from jobs.console.messages import hint, print_error
from jobs.console.terminal import ERR, OUT
from pipelines.export.credentials import Signer
from pipelines.export.entry import Profile
from pipelines.export.export import ExportOptions, ExportResult, export
from pipelines.export.profiles import ProfileName, profile_of
from pipelines.settings import Settings
from pipelines.store.store import StoreError

__all__ = ["export_command"]


def export_command(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    destination: Annotated[
        str, typer.Argument(metavar="DEST", help="Folder or URL of the export.", show_default=False)
    ],
    profile: Annotated[ProfileName, typer.Option(help="Form of the export.", show_default=False)],
    only: Annotated[str, typer.Option(help="Only sources that match this glob, such as '1924/*.tif'.")] = "",
    source: Annotated[
        str, typer.Option(help="Folder or URL of the scans, where they were moved since they were read.")
    ] = "",
    base_url: Annotated[str, typer.Option(help="Address under which DEST/iiif will be served; for iiif alone.")] = "",
    accepted: Annotated[bool, typer.Option("--accepted", help="Only results that were accepted in a review.")] = False,
    c2pa_cert: Annotated[
        Path | None,
        typer.Option(help="PEM file of the archive's certificate and those above it: signs a C2PA manifest of each."),
    ] = None,
    c2pa_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    steal_lease: Annotated[bool, typer.Option(help="Take DEST over from another export, which then stops.")] = False,
    limit: Annotated[int, typer.Option(help="Failures to show.", min=0)] = 50,
) -> None:
    """Copy scans and results to DEST in the form of a profile, checking every file on the way.

    bag: a BagIt bag an item, with PREMIS. archivematica: a transfer with normalized access copies. islandora: a task for
    Islandora Workbench. hyrax: an import for Bulkrax. opex: folders for Preservica. iiif: manifests and image tiles for any
    web server. csv: the files and one table.

    Sources and results are only read. The same command goes on where the last one stopped, adds what was restored since, and
    writes nothing twice. A file whose bytes are not those that were recorded is not exported, and what was rejected in a review
    never is.

    Exit codes: 0 all done, 1 some items failed, 2 could not run, 3 stopped before the end (DEST full or down).
    """
    form = profile_of(profile, base_url)
    signer = _signer(form, c2pa_cert, c2pa_key)
    settings = Settings()
    options = ExportOptions(
        output=output, destination=destination, only=only, source=source, base_url=base_url,
        retry_seconds=settings.retry_seconds, lease_seconds=settings.lease_seconds, steal=steal_lease, accepted=accepted,
    )  # fmt: skip
    try:
        done = _with_progress(options, form, signer)
    except StoreError:
        raise
    except OSError as error:
        print_error(f"destination {destination}: {' '.join(str(error).split())}")
        hint("what was finished is kept; run the same command again to go on")
        raise typer.Exit(STOPPED) from error
    print_exported(done, OUT, limit)
    raise typer.Exit(SOME_FAILED if done.failed else ALL_DONE)


def _signer(profile: Profile, certificates: Path | None, key: Path | None) -> Signer | None:
    if certificates is None and key is None:
        return None
    if certificates is None or key is None:
        raise ValueError("--c2pa-cert and --c2pa-key: give both, the certificate chain and its private key, or neither")
    if not profile.holds_credentials:
        raise ValueError(
            f"--c2pa-cert: profile {profile.name} has no place for C2PA manifests; use bag, archivematica, opex or csv"
        )
    return Signer(certificates, key)


def _with_progress(options: ExportOptions, profile: Profile, signer: Signer | None) -> ExportResult:
    bars: list[ExportProgress] = []

    def begin(count: int) -> None:
        bars.append(ExportProgress(count, ERR))
        bars[0].__enter__()

    def count(good: bool) -> None:
        bars[0].item(good)

    try:
        return export(options, profile, signer=signer, on_count=begin, on_item=count)
    finally:
        for bar in bars:
            bar.__exit__(None, None, None)

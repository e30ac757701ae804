"""The map of an output store: the name of every folder and file of ours that lies beside the results."""

from __future__ import annotations

__all__ = [
    "BESIDE", "CAPTIONS", "CLAIM", "COMPACTIONS", "COMPARISON_SUFFIX", "DAMAGE_SUFFIX", "EXTRAS", "FRAMES_SUFFIX",
    "FRAME_LIST", "LEASES", "MANIFEST", "PAGED", "PAGE_FOLDER", "PAGE_LIST", "PARTIAL", "PARTS", "PLANS", "PRIVATE", "PROGRESS",
    "REBUILDS", "REPORTS", "REVIEWS", "RUNS", "SET_ASIDE", "SIDECAR_SUFFIX", "STARTED", "TRUST_SUFFIX", "VERIFICATIONS",
    "damage_path", "lease_path", "page_path", "parts_folder", "plan_folder", "planned_output", "progress_path", "shard_folder",
    "shard_run", "sidecar_path", "trust_path", "whole_run", "xmp_path",
]  # fmt: skip

PRIVATE = "_faitharchive"  # our own folder; nothing else in a store that we write to begins so
MANIFEST = f"{PRIVATE}/manifest"  # Parquet files, a folder a run
RUNS = f"{PRIVATE}/runs"  # summaries of runs that came to their end
STARTED = f"{PRIVATE}/started"  # which runs began
LEASES = f"{PRIVATE}/lease"  # which run holds the store
PROGRESS = f"{PRIVATE}/progress"  # how far runs are
PLANS = f"{PRIVATE}/plans"  # what a run in shards has to do, a folder a run, as long as it is on
PARTS = f"{PRIVATE}/parts"  # tiles and segments until they are joined
REPORTS = f"{PRIVATE}/reports"
REVIEWS = f"{PRIVATE}/reviews"  # what people decided about results: Parquet files, never rewritten
CAPTIONS = f"{PRIVATE}/captions"  # captions that were made, by what was seen; to be used again
VERIFICATIONS = f"{PRIVATE}/verifications"
COMPACTIONS = f"{PRIVATE}/compactions"
REBUILDS = f"{PRIVATE}/rebuilds"
CLAIM = f"{PRIVATE}/output.json"  # says which store the results were first written to
SET_ASIDE = f"{PRIVATE}/set-aside"  # manifest files that a rebuild replaced

SHARD = "-shard-"  # in the names of a run's shards and of their drivers
PARTIAL = ".faitharchive-partial-"  # begins the name of a local file that is not whole yet
SIDECAR_SUFFIX = ".restoration.json"
DAMAGE_SUFFIX = ".damage.png"  # of the mask of a photograph's damage
# Of the masks of several pages. No result has this ending: those of TIFF are called `.tif`.
PAGE_MASKS_SUFFIX = ".damage.tiff"
TRUST_SUFFIX = ".trust.png"  # of the map of how far a photograph's result may be off
PAGE_FOLDER = ".pages"  # of the folder of pages that are files of their own
PAGE_LIST = ".pages.sha256"  # of the list of them, which stands for the item
PAGED = ("all", "split")  # the settings with which every page is restored
# Endings of what lies beside a result and belongs to it.
BESIDE = (SIDECAR_SUFFIX, DAMAGE_SUFFIX, TRUST_SUFFIX, PAGE_MASKS_SUFFIX, PAGE_FOLDER, PAGE_LIST)
XMP_SUFFIX = ".xmp"  # of what a restored sequence says of its making; no result has this ending
FRAME_LIST = ".sha256"  # ending of the list of a restored sequence's frames; they lie in a folder beside it
FRAMES_SUFFIX = ".frames"  # of that folder
COMPARISON_SUFFIX = ".comparison.mp4"  # of a film's source and result side by side
# Endings of all that lies beside a result and belongs to it, but for its sidecar and the frames of a sequence.
EXTRAS = (
    DAMAGE_SUFFIX, TRUST_SUFFIX, PAGE_MASKS_SUFFIX, XMP_SUFFIX, COMPARISON_SUFFIX, ".ffv1.mkv", ".prores.mov", ".h264.mp4",
)  # fmt: skip


def sidecar_path(output_path: str) -> str:
    """Where the sidecar of a restored file is."""
    return output_path + SIDECAR_SUFFIX


def damage_path(output_path: str, pages: str | None = None) -> str:
    """Where the mask of a restored file's damage is, if any was found; of several pages one file holds the masks of all.

    Args:
        output_path: of the result.
        pages: the row's column of that name.
    """
    return output_path + (PAGE_MASKS_SUFFIX if pages in PAGED else DAMAGE_SUFFIX)


def trust_path(output_path: str) -> str:
    """Where the map of a result's trust is, if one was made."""
    return output_path + TRUST_SUFFIX


def page_path(planned: str, number: int) -> str:
    """Where a page lies that is a file of its own: `letter.tif.pages/letter.p0001.tif`.

    Args:
        planned: the path that was planned for the item's result.
        number: of the page, from 0.
    """
    name = planned.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    return f"{planned}{PAGE_FOLDER}/{stem}.p{number + 1:04d}{dot}{extension}"


def planned_output(output_path: str) -> str:
    """The path that was planned for an item's result, of which a list of pages stands in for a file."""
    return output_path.removesuffix(PAGE_LIST)


def xmp_path(output_path: str) -> str:
    """Where a restored sequence says how it was made, as XMP."""
    return output_path + XMP_SUFFIX


def parts_folder(key: str) -> str:
    """Where an item's parts are. `key`: its `rows.parts_key`."""
    return f"{PARTS}/{key[:2]}/{key}"


def lease_path(number: int, folder: str = LEASES) -> str:
    """Where lease `number` is: of the whole output, or of what has leases in a folder of its own."""
    return f"{folder}/{number:08d}.json"


def plan_folder(run_id: str) -> str:
    """Where the plan of a run in shards is."""
    return f"{PLANS}/{run_id}"


def shard_folder(run_id: str, shard: int) -> str:
    """Where the drivers of a shard, which are numbered from 1, take their leases and say how they ended."""
    return f"{plan_folder(run_id)}/shard-{shard:04d}"


def whole_run(run_id: str) -> str:
    """The run that planned: of a shard's driver, which has a manifest folder of its own, the run that its shard is of."""
    return run_id.partition(SHARD)[0]


def shard_run(run_id: str, shard: int) -> str:
    """The name of a run's shard; its drivers add the number of their lease."""
    return f"{run_id}{SHARD}{shard:04d}"


def progress_path(run_id: str) -> str:
    """Where a run's progress is."""
    return f"{PROGRESS}/{run_id}.json"

"""Files in the output that are not ours: no result takes the name of one, and an output of many is refused.

A file there is ours if a sidecar lies beside it or beside the result that it belongs to. One without may also be what a run had
published when it died, before its sidecar: that is told apart where it is written again, by its bytes (`manifest.ownership`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faithdiff_model.redaction import redact_url
from pipelines.manifest.current import only_newest
from pipelines.manifest.naming import folded
from pipelines.manifest.reader import read_manifest_file
from pipelines.manifest.runs import may_have_leftovers
from pipelines.media.kinds import kind_of
from pipelines.plan.tables import RECORDED, STRANGERS, PlanDatabase, planned_sql
from pipelines.rows import RESTORED
from pipelines.store.layout import EXTRAS, FRAME_LIST, FRAMES_SUFFIX, PAGE_FOLDER, PAGE_LIST, planned_output
from pipelines.store.ownership import is_claimed
from pipelines.store.store import Store, StoreError

__all__ = ["find_strangers", "names_in_use", "recorded_digests"]

_OWNERS = "select path from sidecars"
# Folders of a result's files, and the ending of the list that stands for them, in place of the folder's.
_FOLDERS = {FRAMES_SUFFIX: FRAME_LIST, PAGE_FOLDER: PAGE_LIST}


def find_strangers(database: PlanDatabase, output: Store, manifest_files: Sequence[str], *, refuse: bool) -> bool:
    """Make `loose`, the files without a sidecar, and `strangers`, the names that none of our results may take because of them.

    Args:
        database: with `files` and `sidecars`.
        output: the output store.
        manifest_files: of the output, in order.
        refuse: whether an output that no run has claimed is refused if it is mostly not ours.

    Returns:
        Whether a run has claimed it.

    Raises:
        StoreError: says how many pictures are not ours, and names one.
    """
    belongs = [f"(ends_with(path, '{end}') and left(path, length(path) - {len(end)}) in ({_OWNERS}))" for end in EXTRAS]
    for folder, listed in _FOLDERS.items():
        owner = f"regexp_replace(path, '\\{folder}/[^/]*$', '{listed}')"
        belongs.append(f"(contains(path, '{folder}/') and {owner} in ({_OWNERS}))")
    database.execute(
        "create table loose as select path from files anti join sidecars using (path) "
        f"where not ({' or '.join(belongs)})"
    )
    database.create(STRANGERS)
    with database.batch_insert(STRANGERS) as strangers:
        for table in database.batches("select path from loose"):
            for path in table["path"].to_pylist():
                for name in _in_the_way(path):
                    strangers.add(folded(name))
    claimed = is_claimed(output)
    if refuse and not claimed:
        _check_not_strange(database, output, manifest_files)
    return claimed


def _in_the_way(path: str) -> Iterator[str]:
    """Names of results that would overwrite a file, themselves or by what lies beside them."""
    yield path
    for end in EXTRAS:
        if path.endswith(end):
            yield path.removesuffix(end)
    folder = path.rpartition("/")[0]
    if folder.endswith(FRAMES_SUFFIX):
        yield folder.removesuffix(FRAMES_SUFFIX) + FRAME_LIST
    if folder.endswith(PAGE_FOLDER):
        yield folder.removesuffix(PAGE_FOLDER)
    yield planned_output(path)


def _check_not_strange(database: PlanDatabase, output: Store, manifest_files: Sequence[str]) -> None:
    """Refuse an output whose pictures and films are mostly not ours: source and output may have been swapped.

    An output of the time before claims is known by its manifest, which names the place of each result.
    """
    found = [
        path
        for table in database.batches("select path from loose order by path")
        for path in table["path"].to_pylist()
        if kind_of(path)
    ]
    ours = database.count("select count(*) from files semi join sidecars using (path)")
    if len(found) > ours and not (manifest_files and _is_recorded_here(output, manifest_files[-1])):
        raise StoreError(
            f"output {redact_url(output.url)}: holds {len(found)} pictures or films that FaithArchive did not make, such as "
            f"{found[0]}; are source and output swapped? Nothing of them would be overwritten: choose another folder, or give "
            "--into-existing if results are meant to lie among them"
        )


def _is_recorded_here(output: Store, manifest_file: str) -> bool:
    root = output.uri("") + "/"
    places = read_manifest_file(output, manifest_file, ("output_uri",))["output_uri"].to_pylist()
    return any(place is not None and place.startswith(root) for place in places)


def names_in_use(database: PlanDatabase, output: Store, *, claimed: bool) -> None:
    """Make `avoid` (item_id): the items that get another name where a stranger's file has theirs.

    Those are the items to which a run has found it taken, and, where no run can have left a file behind, those that are new.
    The others keep the name: if what lies there is not theirs, they fail as `name_taken`, once.

    Args:
        database: with `strangers`, `records` and `sources`.
        output: the output store.
        claimed: from `find_strangers`.
    """
    newest = f"select * from records semi join strangers_met using (item_id) {only_newest()}"
    database.execute("create table strangers_met as select item_id from sources semi join strangers using (key)")
    database.execute(f"create table avoid as select item_id from ({newest}) where error_code = 'name_taken'")
    new = "select item_id from strangers_met anti join records using (item_id)"
    if database.count(f"select count(*) from ({new})") and not may_have_leftovers(output, claimed=claimed):
        database.execute(f"insert into avoid {new}")


def recorded_digests(database: PlanDatabase, output: Store, manifest_files: Sequence[str]) -> None:
    """Fill `recorded`: what the manifest says of results without a sidecar that are to be made again.

    Args:
        database: with all tables of the plan.
        output: the output store.
        manifest_files: in the order of `records.file`.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    database.create(RECORDED)
    query = (
        "select s.path, r.file, r.position from named s "
        f"join (select path, {planned_sql('path')} as planned from loose) l on l.planned = s.output "
        f"join records r on r.item_id = s.item_id and r.output_path = l.path where r.status = '{RESTORED}' "
        "qualify row_number() over (partition by s.path order by r.run_id desc, r.file desc, r.position desc) = 1"
    )
    database.execute(f"create table to_look_up as {query}")
    with database.batch_insert(RECORDED) as recorded:
        for file in database.numbers("select distinct file from to_look_up order by file"):
            digests = read_manifest_file(output, manifest_files[file], ("output_sha256",))["output_sha256"]
            for table in database.batches(f"select path, position from to_look_up where file = {file}"):
                for path, position in zip(table["path"].to_pylist(), table["position"].to_pylist(), strict=True):
                    recorded.add(path, digests[position].as_py())

"""The export itself: it goes on where it died, checks what it copies, and touches nothing of anybody's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo
from exports import exported, restored_archive, tree
from tiff_pages import tiff_pages

from pipelines.export.item import NotExportedError, package_name
from pipelines.export.package import Package
from pipelines.export.profiles import PROFILES
from pipelines.manifest.reader import current_rows
from pipelines.settings import Settings
from pipelines.store.layout import damage_path, sidecar_path
from pipelines.store.lease import LeaseError, hold_lease
from pipelines.store.store import Store, StoreError

FEW = ("a.png", "1924/b.tif", "c.png")
DIES = """
import os, signal, sys
sys.path[:0] = [{root!r}, {support!r}]
from pipelines.export.package import Package
import pipelines.export.ledger as ledger
left = {after}
def dying(call):
    def inner(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return inner
Package.copy, Package.write, Package.write_text = dying(Package.copy), dying(Package.write), dying(Package.write_text)
ledger.Ledger.add = dying(ledger.Ledger.add)
from exports import exported
from pipelines.settings import Settings
exported(Settings(source={source!r}, output={output!r}), {destination!r}, {profile!r}, lease_seconds=0.3)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return restored_archive(tmp_path, FEW)


def killed(settings: Settings, destination: Path, profile: str, after: int) -> int:
    """An export that dies by SIGKILL at its `after`-th step; its exit code."""
    root = Path(__file__).parents[3]
    code = DIES.format(
        root=str(root), support=str(root / "tests" / "support"), after=after, source=settings.source, output=settings.output,
        destination=str(destination), profile=profile,
    )  # fmt: skip
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=200).returncode


def steady(files: dict[str, bytes]) -> dict[str, bytes]:
    """What does not hold the moment of the export."""
    changing = ("premis.xml", "manifest-sha256.txt", "bag-info.txt")
    return {path: data for path, data in files.items() if not path.endswith(changing)}


@pytest.mark.parametrize("after", [0, 9, 20])
def test_a_killed_export_is_finished(settings: Settings, tmp_path: Path, after: int) -> None:
    before = {name: tree(tmp_path / name) for name in ("scans", "restored")}
    assert killed(settings, tmp_path / "export", "bag", after) == -signal.SIGKILL
    done = exported(settings, tmp_path / "export", "bag", steal=True)
    assert done.exported + done.already == len(FEW)
    assert not list((tmp_path / "export" / "bags").rglob(".faitharchive-partial-*"))
    for folder in (tmp_path / "export" / "bags").iterdir():
        bagit.Bag(str(folder)).validate()
    whole = exported(settings, tmp_path / "fresh", "bag")
    assert whole.exported == len(FEW)
    assert steady(tree(tmp_path / "export")) == steady(tree(tmp_path / "fresh"))
    assert before == {name: tree(tmp_path / name) for name in ("scans", "restored")}


def test_a_killed_table_names_every_item_once(settings: Settings, tmp_path: Path) -> None:
    assert killed(settings, tmp_path / "export", "csv", 11) == -signal.SIGKILL
    exported(settings, tmp_path / "export", "csv", steal=True)
    exported(settings, tmp_path / "fresh", "csv")
    assert tree(tmp_path / "export") == tree(tmp_path / "fresh")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_call_writes_nothing_again(settings: Settings, tmp_path: Path, profile: str) -> None:
    first = exported(settings, tmp_path / "export", profile)  # type: ignore[arg-type]
    files = tree(tmp_path / "export")
    again = exported(settings, tmp_path / "export", profile)  # type: ignore[arg-type]
    assert (first.exported, again.exported, again.already) == (len(FEW), 0, len(FEW))
    assert tree(tmp_path / "export") == files


def test_what_was_restored_since_is_added(settings: Settings, tmp_path: Path) -> None:
    exported(settings, tmp_path / "export", "csv", only="1924/*")
    save_photo(tmp_path / "scans" / "d.png", picture(20, 24, seed=9))
    restore_without_model(settings, damage=True)
    done = exported(settings, tmp_path / "export", "csv")
    assert (done.exported, done.already) == (3, 1)
    lines = (tmp_path / "export" / "csv" / "index.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["source_path", "1924/b.tif", "a.png", "c.png", "d.png"]


def rot(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "scan rotten": (lambda f: rot(f / "scans" / "a.png"), "a.png: its bytes are not those that were recorded"),
    "scan gone": (lambda f: (f / "scans" / "a.png").unlink(), "a.png: cannot be read"),
    "result rotten": (lambda f: rot(f / "restored" / "a.png"), "a.png: its bytes are not those that were recorded"),
    "mask rotten": (lambda f: rot(f / "restored" / damage_path("a.png")), "a.png.damage.png: its bytes are not those"),
    "mask gone": (lambda f: (f / "restored" / damage_path("a.png")).unlink(), "a.png.damage.png: cannot be read"),
    "sidecar gone": (
        lambda f: (f / "restored" / sidecar_path("a.png")).unlink(),
        "a.png.restoration.json: cannot be read",
    ),
    "sidecar halved": (
        lambda f: os.truncate(f / "restored" / sidecar_path("a.png"), 99),
        "a.png.restoration.json: it is not whole JSON",
    ),
    "another's sidecar": (
        lambda f: (f / "restored" / sidecar_path("a.png")).write_bytes(
            (f / "restored" / sidecar_path("c.png")).read_bytes()
        ),
        "a.png.restoration.json: it is the sidecar of another result",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_not_exported(settings: Settings, tmp_path: Path, name: str) -> None:
    damage, reason = DAMAGE[name]
    damage(tmp_path)
    done = exported(settings, tmp_path / "export", "bag")
    assert (done.exported, done.failed) == (len(FEW) - 1, 1)
    assert done.first_failed[0].startswith(reason)
    (row,) = [row for row in current_rows(Store(settings.output)).values() if row["source_path"] == "a.png"]
    assert not (tmp_path / "export" / "bags" / package_name(row) / "bagit.txt").exists()


def test_a_stranger_s_files_stay(settings: Settings, tmp_path: Path) -> None:
    theirs = tmp_path / "export" / "csv" / "scans" / "a.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    with pytest.raises(StoreError, match=r"csv/scans/a\.png is there, and no export has begun in it"):
        exported(settings, tmp_path / "export", "csv")
    assert theirs.read_bytes() == b"theirs"


def test_a_file_that_came_later_stays_too(settings: Settings, tmp_path: Path) -> None:
    exported(settings, tmp_path / "export", "csv", only="c.png")
    theirs = tmp_path / "export" / "csv" / "scans" / "a.png"
    theirs.write_bytes(b"theirs")
    done = exported(settings, tmp_path / "export", "csv")
    assert (done.exported, done.already, done.failed) == (1, 1, 1)
    assert "another file is there" in done.first_failed[0]
    assert theirs.read_bytes() == b"theirs"


def test_another_archive_is_refused(settings: Settings, tmp_path: Path) -> None:
    exported(settings, tmp_path / "export", "csv")
    other = restored_archive(tmp_path / "other", ("x.png",))
    with pytest.raises(StoreError, match="holds another export"):
        exported(other, tmp_path / "export", "csv")
    assert exported(other, tmp_path / "export", "bag").exported == 1  # another profile has a place of its own


@pytest.mark.parametrize("inside", ["scans", "scans/export", "restored", "restored/export", "."])
def test_the_archive_is_never_written_to(settings: Settings, tmp_path: Path, inside: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match=r"never written to|choose a separate destination"):
        exported(settings, tmp_path / inside, "bag")
    assert sorted(tmp_path.rglob("*")) == before


def test_scans_that_moved_are_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "scans").rename(tmp_path / "elsewhere")
    lost = exported(settings, tmp_path / "export", "csv")
    assert (lost.exported, lost.failed) == (0, len(FEW))
    found = exported(settings, tmp_path / "export", "csv", source=str(tmp_path / "elsewhere"))
    assert (found.exported, found.failed) == (len(FEW), 0)


def test_nothing_to_export(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no restored item to export"):
        exported(settings, tmp_path / "export", "csv", only="nothing*")
    assert not (tmp_path / "export").exists()


def test_from_s3_to_s3(s3_server: str, tmp_path: Path) -> None:
    bucket = f"export-{uuid.uuid4().hex[:8]}"
    here = restored_archive(tmp_path, FEW)
    settings = here.model_copy(update={"source": f"s3://{bucket}/scans", "output": f"s3://{bucket}/out [1] #%?"})
    source = Store(settings.source)
    source.fs.mkdir(bucket)
    for path, data in tree(tmp_path / "scans").items():
        source.publish(path, data)
    restore_without_model(settings, damage=True)
    destination = f"s3://{bucket}/export #%?"
    done = exported(settings, destination, "bag", retry_seconds=5.0)
    assert (done.exported, done.failed) == (len(FEW), 0)
    assert exported(settings, destination, "bag").already == len(FEW)
    for path, data in tree(Store(destination)).items():
        local = tmp_path / "fetched" / path
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(data)
    bags = sorted((tmp_path / "fetched" / "bags").iterdir())
    assert len(bags) == len(FEW)
    for folder in bags:
        bagit.Bag(str(folder)).validate()
    source.publish("a.png", b"altered")
    other = exported(settings, f"s3://{bucket}/second", "bag")
    assert (other.exported, other.failed) == (len(FEW) - 1, 1)


def test_copying_takes_little_memory(tmp_path: Path) -> None:
    from pipelines.export.item import ItemFile

    size = 64 << 20
    (tmp_path / "from").mkdir()
    with (tmp_path / "from" / "a.tif").open("wb") as file:
        file.truncate(size)
    store = Store(str(tmp_path / "from"))
    sha256, _ = store.sha256("a.tif")
    file = ItemFile(role="scan", name="a.tif", sha256=sha256, store=store, path="a.tif")
    package = Package(Store(str(tmp_path / "to")), "x")
    tracemalloc.start()
    try:
        assert package.copy(file, "a.tif").size == size
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()
    with pytest.raises(NotExportedError, match="another file is there"):
        package.copy(ItemFile(role="scan", name="a.tif", sha256="0" * 64, store=store, path="a.tif"), "a.tif")


def test_two_exports_at_once_are_refused(settings: Settings, tmp_path: Path) -> None:
    with (
        hold_lease(Store(str(tmp_path / "export")), run_id="another", seconds=60),
        pytest.raises(LeaseError, match="another"),
    ):
        exported(settings, tmp_path / "export", "csv")


def test_what_is_several_files_is_left_out_by_name(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path, pages="split")
    save_photo(tmp_path / "scans" / "c.png")
    pages = tiff_pages([(picture(20, 24, seed=number), {}) for number in range(2)])
    (tmp_path / "scans" / "letter.tif").write_bytes(pages)
    restore_without_model(settings)
    done = exported(settings, tmp_path / "export", "bag")
    assert (done.exported, done.left_out, done.failed) == (1, 1, 0)
    assert done.first_left_out[0].startswith("letter.tif: its pages are files of their own")

"""Names in a plan: which are refused and how that is told, which output each source gets, and that millions get the same."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from archive_steps import archive_settings, full_row, restore_without_model, save_photo
from fsspec.implementations.memory import MemoryFile
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.manifest.naming import assign_outputs, folders_of, item_id
from pipelines.manifest.reader import current_rows
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import FAILED, RESTORED, Row
from pipelines.setting_types import Formats
from pipelines.settings import Settings
from pipelines.store.store import Store


class Bucket:
    """Source and output in memory, under any keys at all."""

    def __init__(self, keys: list[str], **changes: str) -> None:
        self.name = uuid.uuid4().hex
        for key in keys:
            MemoryFile(fsspec.filesystem("memory"), f"/{self.name}/scans/{key}", b"x").commit()
        self.settings = Settings(
            source=f"memory://{self.name}/scans",
            output=f"memory://{self.name}/restored",
            preset="tiny",
            steps=1,
            **changes,
        )

    def forget(self) -> None:
        held = fsspec.filesystem("memory").store
        for key in [key for key in held if key.startswith(f"/{self.name}/")]:
            del held[key]


def failed(plan: Plan) -> dict[str, Row]:
    return {row["source_path"]: row for row in plan.final_rows if row["status"] == FAILED}


def outputs(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: row["output_path"] for row in plan.pending}


@pytest.mark.parametrize(
    ("key", "shown", "says"),
    [
        (
            "a/../b.png",
            "a/../b.png",
            "a part of its name is empty, '.' or '..', which no file can be called; rename it",
        ),
        ("../up.png", "../up.png", "a part of its name is empty"),
        ("./a.png", "./a.png", "a part of its name is empty"),
        ("nul\0.png", "nul\\x00.png", "holds the character NUL; rename it"),
        ("\udce9.png", "\\xe9.png", "is not valid UTF-8; rename it"),
        ("д" * 128 + "/a.png", "д" * 128 + "/a.png", "folder that it is in is longer than 255 bytes; shorten it"),
        ("d/" * 600 + "a.png", "d/" * 600 + "a.png", "its path of 1205 bytes is longer than the"),
    ],
)
def test_names_that_no_store_should_have_fail_alone(key: str, shown: str, says: str) -> None:
    bucket = Bucket([key, "a/b.png", "good.png"])
    plan = make_plan(bucket.settings)
    assert outputs(plan) == {"a/b.png": "a/b.png", "good.png": "good.png"}
    (row,) = failed(plan).values()
    assert (row["source_path"], row["error_code"], row["error_stage"]) == (shown, "bad_name", "plan")
    assert row["item_id"] == item_id(key)
    assert row["source_uri"] == f"memory:///{bucket.name}/scans/{shown}"
    assert row["error_reason"].startswith(shown)
    assert says in row["error_reason"]
    writer = ManifestWriter(Store(bucket.settings.output), "1")
    writer.add({**row, "run_id": "1"})
    writer.flush()
    assert make_plan(bucket.settings).counts() == {"new": 2}
    bucket.forget()


def test_empty_parts_of_keys_fail_alone(s3_server: str) -> None:
    """`a//b.png` and `a/b.png` are two objects of S3, and would be one file."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    server = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # past HTTP: a client would tidy up what another has put there
    server.create_bucket("empty-parts", "us-east-1")
    for key in ("a//b.png", "a/b.png", "/top.png"):
        server.put_object("empty-parts", f"scans/{key}", b"x")
    settings = Settings(source="s3://empty-parts/scans", output="s3://empty-parts/restored", preset="tiny", steps=1)
    plan = make_plan(settings)
    assert outputs(plan) == {"a/b.png": "a/b.png"}
    assert {path: row["error_code"] for path, row in failed(plan).items()} == {
        "a//b.png": "bad_name",
        "/top.png": "bad_name",
    }
    assert len({row["item_id"] for row in plan.final_rows}) == 2


def test_long_names_of_an_object_store_that_fit_get_outputs_that_do() -> None:
    bucket = Bucket(["x" * 400 + ".png"])
    (output,) = outputs(make_plan(bucket.settings)).values()
    assert len(output) + len(".restoration.json") == 255
    assert output.endswith(f"~{item_id('x' * 400 + '.png')[:8]}.png")
    bucket.forget()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """One photograph."""
    save_photo(tmp_path / "scans" / "good.png")
    return archive_settings(tmp_path)


def test_links_out_of_the_source_are_not_followed_but_told(settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    save_photo(elsewhere / "secret.png")
    source = Path(settings.source)
    (source / "file.png").symlink_to(elsewhere / "secret.png")
    (source / "folder").symlink_to(elsewhere)
    (source / "inside.png").symlink_to("good.png")
    plan = make_plan(settings)
    assert outputs(plan) == {"good.png": "good.png", "inside.png": "inside.png"}
    rows = failed(plan)
    assert {path: row["error_code"] for path, row in rows.items()} == {"file.png": "outside", "folder": "outside"}
    text = "is a link to something outside the source tree; copy {} into it or give its real folder as the source"
    assert rows["file.png"]["error_reason"] == f"file.png: {text.format('the file')}"
    assert rows["folder"]["error_reason"] == f"folder: {text.format('its files')}"
    restore_without_model(settings, plan)
    assert not any("secret" in str(path) for path in Path(settings.output).rglob("*"))


def test_a_folder_that_comes_to_be_named_like_a_result(settings: Settings) -> None:
    """`a.jpg` became `a.png`; then a folder `a.png` turns up, which cannot be beside it."""
    save_photo(Path(settings.source) / "a.jpg")
    restore_without_model(settings)
    save_photo(Path(settings.source) / "a.png" / "x.png")
    save_photo(Path(settings.source) / "a.png" / "deep" / "x.jpg")
    rows = {row["source_path"]: row for row in restore_without_model(settings)}
    mark = f"a.png~{item_id('a.png')[:8]}"
    assert {path: row["output_path"] for path, row in rows.items()} == {
        "a.png/x.png": f"{mark}/x.png",
        "a.png/deep/x.jpg": f"{mark}/deep/x.png",
    }
    assert {row["status"] for row in rows.values()} == {RESTORED}
    assert (Path(settings.output) / "a.png").is_file()
    assert make_plan(settings).done == 4


def test_a_result_whose_source_is_gone_keeps_its_name(settings: Settings) -> None:
    restore_without_model(settings)
    (Path(settings.source) / "good.png").rename(Path(settings.source) / "good.jpg")
    assert outputs(make_plan(settings)) == {"good.jpg": "good.jpg.png"}


@pytest.mark.parametrize("output", ["../good.png", "/etc/good.png", "_faitharchive/good.png", "x\0.png", "a//b.png"])
def test_outputs_that_a_manifest_should_not_name_are_not_used(settings: Settings, output: str) -> None:
    (row,) = restore_without_model(settings, record=False)
    Path(settings.output, "good.png.restoration.json").unlink()
    writer = ManifestWriter(Store(settings.output), "1")
    writer.add({**row, "run_id": "1", "output_path": output})
    writer.flush()
    plan = make_plan(settings)
    assert (outputs(plan), plan.counts()) == ({"good.png": "good.png"}, {"result missing": 1})


PARTS = ("a", "A", "a.png", "A.PNG", "b", "é", "e\u0301", "a.png.png", "a.png.restoration.json", "a.jpg")
NAMES = (
    "a.png",
    "A.png",
    "a.jpg",
    "a.png.jpg",
    "a.png.png",
    "a.tif",
    "é.png",
    "e\u0301.jpg",
    "b.png",
    "x" * 252 + ".jpg",
)
SOURCES = st.builds(
    lambda folders, name: "/".join([*folders, name]),
    st.lists(st.sampled_from(PARTS), max_size=2),
    st.sampled_from(NAMES),
)
FORMATS = st.sampled_from(["auto", "png", "jpeg"])


@pytest.fixture
def buckets() -> Iterator[list[Bucket]]:
    made: list[Bucket] = []
    yield made
    for bucket in made:
        bucket.forget()


@hypothesis_settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(SOURCES, max_size=12), st.sets(SOURCES, max_size=12), FORMATS)
@example({"a.jpg"}, {"a.png/x.png", "A.png"}, "auto")
@example({"a.jpg", "a.png.jpg"}, {"A.PNG/a.png.restoration.json/a.png", "A.PNG/a.jpg", "A.PNG/A.png"}, "auto")
@example({"a.jpg", "a.png"}, {"a.jpg.png", "a.png.png"}, "png")
def test_the_database_gives_the_names_of_the_rule(
    buckets: list[Bucket], first: set[str], later: set[str], format: str
) -> None:
    """The rule alone over all sources, and the plan that applies it to the few that could meet."""
    folders = {folder for path in first | later for folder in folders_of(path)}
    # Stores in memory do not list a file and a folder of one name.
    first, later = (first | {"z.png"}) - folders, later - folders
    bucket = Bucket(sorted(first | later), format=format)
    buckets.append(bucket)
    owned = assign_outputs(first, Formats(format), {})
    writer = ManifestWriter(Store(bucket.settings.output), "1")
    for path, output in owned.items():
        moment = datetime(2025, 1, 1, tzinfo=UTC)
        writer.add(
            full_row(item_id=item_id(path), source_path=path, output_path=output, run_id="1", finished_at=moment)
        )
    writer.flush()
    plan = make_plan(bucket.settings)
    assert [row["source_path"] for row in plan.pending] == sorted(first | later)
    assert outputs(plan) == assign_outputs(first | later, Formats(format), owned)


def test_a_name_that_is_not_utf8_keeps_its_bytes_apart(settings: Settings) -> None:
    for raw in (b"caf\xe9.png", b"caf\\xe9.png"):
        save_photo(Path(settings.source) / os.fsdecode(raw))
    restore_without_model(settings)
    rows = current_rows(Store(settings.output)).values()
    assert sorted((row["source_path"], row["status"]) for row in rows) == [
        ("caf\\xe9.png", FAILED),
        ("caf\\xe9.png", RESTORED),
        ("good.png", RESTORED),
    ]

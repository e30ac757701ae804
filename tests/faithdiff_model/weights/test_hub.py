"""Repositories of the hub, served on this machine: which commit is meant, and that only what is read is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fake_hub import FakeHub, running_hub

from faithdiff_model.weights.download import WeightsError, resolve_file, resolve_folder
from faithdiff_model.weights.hub import HubLocation, hub_origin, parse_hub
from faithdiff_model.weights.selection import pick_first, pick_text, pick_vae, tensor_files

COMMIT = "36161f73a33efabe8fee5c22115ab1be69b48d11"
TEXT = (
    "model_index.json", "README.md", "picture.png", "tokenizer/vocab.json", "tokenizer/merges.txt",
    "tokenizer_2/vocab.json", "tokenizer_2/merges.txt", "text_encoder/config.json", "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors", "text_encoder/pytorch_model.bin", "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors", "text_encoder_2/model.fp16.safetensors", "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.fp16.safetensors", "RealVisXL.safetensors",
)  # fmt: skip


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with running_hub(tmp_path / "cache", monkeypatch) as running:
        yield running


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("o/n", HubLocation("o/n")),
        (f"o/n@{COMMIT}", HubLocation("o/n", COMMIT)),
        ("o/n@v1.0", HubLocation("o/n", "v1.0")),
        ("o/n@refs/pr/3", HubLocation("o/n", "refs/pr/3")),
        ("o/n@main/sub/w.bin", HubLocation("o/n", "main", "sub/w.bin")),
        ("o/n@refs/pr/3/sub", HubLocation("o/n", "refs/pr/3", "sub")),
        ("hf://o/n/sub", HubLocation("o/n", "", "sub")),
        ("models/sdxl/vae", None),  # a path that is not there
        ("./n", None),
        ("/o/n", None),
        ("s3://o/n", None),
        ("o/n@", None),
        ("name", None),
    ],
)
def test_what_names_a_repository(text: str, expected: HubLocation | None) -> None:
    assert parse_hub(text) == expected
    if expected and "://" not in text:
        assert str(expected) == text
        assert expected.is_commit is (COMMIT in text)


def test_a_folder_here_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lay(tmp_path, "o/n@main/w.safetensors"))
    assert parse_hub("o/n@main") is None
    assert resolve_file("o/n@main", ["w.safetensors"]).read_text() == "o/n@main/w.safetensors"


@pytest.mark.parametrize(("half", "copy"), [(True, "model.fp16.safetensors"), (False, "model.safetensors")])
def test_of_two_copies_one_is_fetched_and_nothing_that_is_not_read(
    hub: FakeHub, tmp_path: Path, half: bool, copy: str
) -> None:
    hub.commit("o/n", lay(tmp_path / "repo", *TEXT))
    resolve_folder("o/n", partial(pick_text, half=half))
    assert hub.downloads() == {
        *(f"o/n/{name}" for name in TEXT if name.startswith("tokenizer")),
        *(f"o/n/text_encoder{n}/{name}" for n in ("", "_2") for name in ("config.json", copy)),
    }
    folder = resolve_folder("o/n", partial(pick_vae, half=half))
    weights = f"vae/diffusion_pytorch_model{'.fp16' if half else ''}.safetensors"
    assert hub.downloads() == {"o/n/vae/config.json", f"o/n/{weights}"}
    assert (folder / weights).read_text() == weights


def test_a_revision_is_what_it_says(hub: FakeHub, tmp_path: Path) -> None:
    first = hub.commit("o/n", lay(tmp_path / "1", "w.bin", "sub/w.bin"))
    tagged = hub.commit("o/n", lay(tmp_path / "2", "w.bin", "w.safetensors"), branch="v2")
    names = ("w.safetensors", "w.bin")
    found = {rev: resolve_file(f"o/n{rev}", names) for rev in ("", "@main", "@v2", f"@{first}", "@main/sub")}
    assert [hub_origin(path) for path in found.values()] == [
        f"o/n@{commit}" for commit in (first, first, tagged, first, first)
    ]
    assert found["@v2"].name == "w.safetensors"
    assert found["@main/sub"].read_text() == "sub/w.bin"
    assert resolve_file("o/n@v2/w.bin", names).name == "w.bin"
    assert resolve_file("hf://o/n/sub/w.bin", names).read_text() == "sub/w.bin"


def test_a_commit_that_is_here_is_not_asked_for_again(hub: FakeHub, tmp_path: Path) -> None:
    commit = hub.commit("o/n", lay(tmp_path / "1", "w.bin", "v.bin"))
    resolve_file(f"o/n@{commit}", ["w.bin"])
    hub.asked.clear()
    assert resolve_file(f"o/n@{commit}", ["w.bin"]).read_text() == "w.bin"
    assert not hub.asked
    assert resolve_file(f"o/n@{commit}", ["v.bin"]).read_text() == "v.bin"  # of the same commit, not here yet
    assert hub.downloads() == {"o/n/v.bin"}


def test_without_the_hub_a_branch_is_what_it_was(hub: FakeHub, tmp_path: Path) -> None:
    commit = hub.commit("o/n", lay(tmp_path / "1", "w.bin"))
    resolve_file("o/n", ["w.bin"])
    hub.up = False
    assert hub_origin(resolve_file("o/n", ["w.bin"])) == f"o/n@{commit}"
    with pytest.raises(WeightsError, match=r"weights o/n: neither a local folder nor to be had from the hub"):
        resolve_file("o/n", ["v.bin"])


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("o/n@v9", r"weights o/n@v9: the repository has no revision v9; give one that it has, such as o/n@main"),
        ("o/other", r"weights o/other: neither a local folder nor to be had from the hub \(RepositoryNotFound"),
        ("o/n", r"weights o/n: the repository has no w.safetensors or w.bin; check the id"),
        ("o/n@main/sub", r"weights o/n@main/sub: the repository has no w.safetensors or w.bin; check the id"),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_one_line(
    hub: FakeHub, tmp_path: Path, location: str, words: str
) -> None:
    hub.commit("o/n", lay(tmp_path / "1", "README.md"))
    with pytest.raises(WeightsError, match=words) as caught:
        resolve_file(location, ["w.safetensors", "w.bin"])
    assert "\n" not in str(caught.value)


def test_a_url_is_copied_as_far_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAITHARCHIVE_CACHE", str(tmp_path / "cache"))
    lay(tmp_path / "model", *TEXT)
    folder = resolve_folder(f"file://{tmp_path / 'model'}", partial(pick_text, half=True))
    assert not (folder / "unet").exists()
    assert [path.name for path in (folder / "text_encoder").iterdir() if "model" in path.name] == [
        "model.fp16.safetensors"
    ]
    assert resolve_file(f"file://{tmp_path / 'model'}/README.md", []).read_text() == "README.md"


@pytest.mark.parametrize(
    ("names", "half", "expected"),
    [
        (["m.safetensors", "m.fp16.safetensors"], True, ["m.fp16.safetensors"]),
        (["m.safetensors", "m.fp16.safetensors"], False, ["m.safetensors"]),
        (["m.fp16.safetensors"], False, ["m.fp16.safetensors"]),
        (["m.safetensors"], True, ["m.safetensors"]),
        (["m.bin", "x/m.safetensors", "mm.safetensors"], True, []),
        (
            ["m.safetensors.index.json", "m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors", "m.bin"],
            True,
            ["m.safetensors.index.json", "m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"],
        ),
        (["m.safetensors.index.json", "m-00001-of-00002.safetensors"], True, []),  # a download that was broken off
        (
            ["m.safetensors.index.fp16.json", "m.fp16-00001-of-00001.safetensors", "m-00001-of-00001.safetensors"],
            True,
            ["m.safetensors.index.fp16.json", "m.fp16-00001-of-00001.safetensors"],
        ),
    ],
)
def test_one_copy_of_the_tensors_is_read(names: list[str], half: bool, expected: list[str]) -> None:
    assert tensor_files(names, "m", half=half) == expected


def test_the_first_name_that_is_there_is_taken() -> None:
    assert pick_first(["a", "b"])(["c", "b", "a"]).files == ["a"]
    assert pick_first(["a", "b"])(["c"]).lacking == ["a or b"]

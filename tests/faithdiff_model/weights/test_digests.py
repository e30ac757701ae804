"""What names a model: our own file by its bytes as ever, published ones by the numbers that are computed with."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from published_model import TEXT, VAE, WEIGHTS, add_preset, change_config, change_tensors, publish, round_tensors, spec
from safetensors.torch import load_file, save_file

from faithdiff_model.build import build_restorer
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import PRESETS, SHIPPED
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights import digests
from faithdiff_model.weights.digests import config_part, parts_digest, tensors_part
from faithdiff_model.weights.files import captioner_digest, model_digest

# Of the nano that ships. Another nano is another model: then this is changed with it, and with nothing else.
NANO = "d70f1a419b1eab051dbcca38470bff27ea8220191aa8a490871deb3b05fd1e4f"
FIRST = TEXT.replace("_2", "")
TINY = "8e6fe672ed0bfe0294b19efd42aee260f86a485bde3eefe726639b9646b9dc6e"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copy(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the published model, to be changed."""
    add_preset(monkeypatch)
    return Path(shutil.copytree(original, tmp_path / "copy"))


def test_what_archives_were_restored_with_has_the_name_that_it_had() -> None:
    assert model_digest(ModelSpec(preset="nano")) == NANO
    assert model_digest(ModelSpec(preset="tiny")) == TINY


@pytest.mark.parametrize("detail", [0.0, 0.5])
def test_our_own_network_is_named_by_the_bytes_of_its_files(tmp_path: Path, detail: float) -> None:
    """The rule of every archive that was restored with one, as it stands here without any of our code."""
    shutil.copyfile(SHIPPED / "nano" / WEIGHTS, tmp_path / WEIGHTS)
    (tmp_path / "FaithDiff-detail.safetensors").write_bytes(b"other bytes")
    total = hashlib.sha256((PRESETS["nano"].digest() + (f" detail {detail}" if detail else "")).encode())
    files = {"faithdiff": WEIGHTS} | ({"detail": "FaithDiff-detail.safetensors"} if detail else {})
    for name, file in sorted(files.items()):
        total.update(f"{name}\0{hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()}\n".encode())
    assert model_digest(ModelSpec(preset="nano", faithdiff=str(tmp_path / WEIGHTS), detail=detail)) == total.hexdigest()


def halve(at: Path) -> None:
    """Every part in its float16 copy alone, as some publish them."""
    for file in (VAE, TEXT, FIRST):
        half = at / file.replace(".safetensors", ".fp16.safetensors")
        round_tensors(at / file, half)
        (at / file).unlink()
    round_tensors(at / WEIGHTS, at / WEIGHTS)


@pytest.mark.parametrize(
    ("dtype", "same"), [("auto", True), ("float16", True), ("bfloat16", False), ("float32", False)]
)
def test_both_copies_have_one_name_where_they_are_rounded_alike(
    original: Path, copy: Path, dtype: str, same: bool
) -> None:
    halve(copy)
    assert (model_digest(spec(copy, dtype=dtype)) == model_digest(spec(original, dtype=dtype))) is same


def test_copies_of_one_name_restore_to_the_same_bits(original: Path, copy: Path) -> None:
    halve(copy)
    scan = np.random.default_rng(0).random((40, 48, 3), np.float32)
    models = [build_restorer(spec(at), RestoreOptions(steps=2)) for at in (original, copy)]
    assert models[0].digest == models[1].digest
    results = [model.restore([scan], ["a barn"], [3])[0] for model in models]
    assert np.array_equal(*results)
    finer = build_restorer(spec(original, dtype="float32"), RestoreOptions(steps=2))
    assert finer.digest != models[0].digest
    assert not np.array_equal(finer.restore([scan], ["a barn"], [3])[0], results[0])


def test_a_copy_that_holds_no_more_than_float16_has_one_name_everywhere(copy: Path) -> None:
    halve(copy)
    before = [model_digest(spec(copy, dtype=dtype)) for dtype in ("auto", "bfloat16", "float32")]
    for file in (VAE, TEXT, FIRST, WEIGHTS):
        half = copy / (file if file == WEIGHTS else file.replace(".safetensors", ".fp16.safetensors"))
        round_tensors(half, copy / file, torch.float32)
    assert [model_digest(spec(copy, dtype=dtype)) for dtype in ("auto", "bfloat16", "float32")] == before
    assert len(set(before)) == 3


def shards(at: Path) -> None:
    tensors = load_file(at / TEXT)
    for number, names in enumerate((sorted(tensors)[:10], sorted(tensors)[10:]), start=1):
        file = (at / TEXT).with_name(f"model-0000{number}-of-00002.safetensors")
        save_file({name: tensors[name] for name in names}, file)
    (at / TEXT).with_name("model.safetensors.index.json").write_text("{}")
    (at / TEXT).unlink()


def pack(at: Path) -> None:
    tensors = {f"module.{name}": tensor for name, tensor in load_file(at / WEIGHTS).items()}
    torch.save({"state_dict": tensors, "epoch": 3}, at / "FaithDiff.bin")
    (at / WEIGHTS).unlink()


@pytest.mark.parametrize(
    "change",
    [
        shards,
        pack,
        lambda at: change_tensors(at / TEXT, lambda t: t.update({"embeddings.position_ids": torch.arange(77)})),
        lambda at: change_tensors(at / FIRST, lambda t: t.update({f"text_model.{k}": t.pop(k) for k in list(t)})),
        lambda at: change_config(at / "vae/config.json", _name_or_path="elsewhere", _diffusers_version="0.1"),
        lambda at: change_config(at / "base/text_encoder/config.json", dtype=None, torch_dtype="float16"),
        lambda at: (at / "base/README.md").write_text("new"),
        lambda at: (at / "base/text_encoder/pytorch_model.bin").write_text("not read"),
        lambda at: (at / "vae/diffusion_pytorch_model.bin").write_text("not read"),
    ],
)
def test_what_changes_no_number_changes_no_name(original: Path, copy: Path, change: Callable[[Path], object]) -> None:
    change(copy)
    places = {"faithdiff": str(copy)}
    assert model_digest(spec(copy, **places)) == model_digest(spec(original))


def first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(tensors)[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda at: change_tensors(at / TEXT, lambda t: t[first(t)].view(-1)[-1:].add_(1)),
        lambda at: change_tensors(at / VAE, lambda t: t[first(t)].view(-1)[:1].add_(1)),
        lambda at: change_tensors(at / WEIGHTS, lambda t: t.update({f"{first(t)}_": t.pop(first(t))})),
        lambda at: change_tensors(at / WEIGHTS, lambda t: t.update({first(t): t[first(t)][None]})),
        lambda at: change_config(at / "base/text_encoder/config.json", layer_norm_eps=0.1),
        lambda at: (at / "base/tokenizer/tokenizer_config.json").write_text("{}"),
    ],
)
def test_what_changes_results_changes_the_name(original: Path, copy: Path, change: Callable[[Path], object]) -> None:
    change(copy)
    assert model_digest(spec(copy)) != model_digest(spec(original))


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_hashing_keeps_little_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """160 MB of numbers; what a file is mapped into is the system's to take back, and is not counted."""
    file = tmp_path / f"w{suffix}"
    tensors = {str(number): torch.full((10 << 20,), float(number)) for number in range(4)}
    save_file(tensors, file) if suffix == ".safetensors" else torch.save(tensors, file)
    del tensors
    part, seen, done = tensors_part("w", [file], "float16"), [], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(_own_memory())

    before, watching = _own_memory(), threading.Thread(target=watch)
    watching.start()
    monkeypatch.setenv("FAITHARCHIVE_CACHE", str(tmp_path))
    parts_digest("", [part])
    done.set()
    watching.join()
    assert len(seen) > 10
    assert max(seen) - before < 40 << 20


def _own_memory() -> int:
    """Bytes of this process that are no file's."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) << 10


def test_hashing_is_remembered_by_what_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FAITHARCHIVE_CACHE", str(tmp_path / "cache"))
    caplog.set_level("INFO", logger=digests.__name__)
    save_file({"a": torch.tensor([1.0001])}, tmp_path / "w.safetensors")
    (tmp_path / "c.json").write_text("{}")
    found = set()
    for dtype in ("float16", "float32"):
        parts = [tensors_part("w", [tmp_path / "w.safetensors"], dtype), config_part("c", tmp_path / "c.json")]
        found |= {parts_digest("", parts) for _ in range(2)}
    assert len(found) == 2
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "hashed c.json", "hashed w.safetensors", "hashed w.safetensors",
    ]  # fmt: skip


def test_of_a_captioner_what_is_not_read_does_not_count(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "processor_config.json"):
        (tmp_path / name).write_text(name)
    before = captioner_digest(str(tmp_path))
    (tmp_path / "README.md").write_text("new")
    (tmp_path / "pytorch_model.bin").write_text("new")
    assert captioner_digest(str(tmp_path)) == before
    (tmp_path / "tokenizer.json").write_text("other")
    assert captioner_digest(str(tmp_path)) != before

"""Loading: every published name, strictly, and only safe files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import golden
import pytest
import torch
from torch import Tensor

from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.presets import PRESETS
from faithdiff_model.weights.checkpoint import load_published, read_tensors, save_published
from faithdiff_model.weights.checkpoint_keys import to_ours, to_published
from faithdiff_model.weights.download import WeightsError


def test_all_published_names_and_shapes_of_the_full_network() -> None:
    published = json.loads((golden.DATA / "released_checkpoint_keys.json").read_text())
    with torch.device("meta"):
        ours = assemble_unet(PRESETS["sdxl"]).state_dict()
    assert len(published) == 1814
    assert {to_published(name): list(value.shape) for name, value in ours.items()} == published
    assert {to_ours(name) for name in published} == set(ours)
    assert sum(value.numel() for value in ours.values()) == pytest.approx(2.61e9, rel=0.005)


def test_names_map_back() -> None:
    for name in json.loads((golden.DATA / "released_checkpoint_keys.json").read_text()):
        assert to_published(to_ours(name)) == name


@pytest.fixture
def tiny_state() -> dict[str, Tensor]:
    return golden.published_state(assemble_unet(PRESETS["tiny"]))


def test_save_and_load_keep_every_tensor(tiny_state: dict[str, Tensor], tmp_path: Path) -> None:
    unet = assemble_unet(PRESETS["tiny"])
    load_published(unet, tiny_state, source="x", dtype=torch.float32)
    save_published(unet, tmp_path / "w.safetensors")
    again = read_tensors(tmp_path / "w.safetensors")
    assert set(again) == set(tiny_state)
    assert all(torch.equal(again[name], tiny_state[name]) for name in again)


@pytest.mark.parametrize("wrap", [False, True])
def test_torch_files(tiny_state: dict[str, Tensor], tmp_path: Path, wrap: bool) -> None:
    torch.save({"state_dict": tiny_state} if wrap else tiny_state, tmp_path / "w.bin")
    assert set(read_tensors(tmp_path / "w.bin")) == set(tiny_state)


def test_missing_unknown_and_misshapen_tensors_are_named(tiny_state: dict[str, Tensor]) -> None:
    tiny_state["surplus.weight"] = torch.zeros(1)
    tiny_state["conv_in.bias"] = torch.zeros(3)
    del tiny_state["spatial_ch_projs.bias"]
    with pytest.raises(WeightsError) as caught:
        load_published(assemble_unet(PRESETS["tiny"]), tiny_state, source="some.bin", dtype=torch.float32)
    text = str(caught.value)
    assert text.count("\n") == 0
    for part in (
        "some.bin", "1 missing (spatial_ch_projs.bias)", "1 unknown (surplus.weight)",
        "conv_in.bias is [3], expected [16]",
    ):  # fmt: skip
        assert part in text


class _Attack:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("pwned"),)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": _Attack()}, tmp_path / "evil.bin")
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(_Attack()))
    for name in ("evil.bin", "plain.bin"):
        with pytest.raises(WeightsError, match=name):
            read_tensors(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.safetensors", b"nonsense"), ("a.bin", b"nonsense"), ("a.safetensors", b""), ("a.bin", b"")],
)
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        read_tensors(tmp_path / name)


def test_missing_file(tmp_path: Path) -> None:
    for name in ("no.bin", "no.safetensors"):
        with pytest.raises(WeightsError, match=name):
            read_tensors(tmp_path / name)


def test_a_file_that_is_no_table_of_tensors(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.bin")
    with pytest.raises(WeightsError, match="not a table"):
        read_tensors(tmp_path / "list.bin")

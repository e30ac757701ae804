"""Weights files as they are published: what is around the tensors is taken off and named, what is wrong stops."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.presets import PRESETS
from faithdiff_model.weights.checkpoint import load_published, read_tensors
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.wrappings import check_loaded, inner_names, is_spare

COUNTERS: dict[str, Any] = {"epoch": 3, "global_step": 1000, "optimizer_states": []}


@pytest.fixture
def tiny_state() -> dict[str, Tensor]:
    return golden.published_state(assemble_unet(PRESETS["tiny"]))


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("wrap", "named"),
    [
        (
            lambda state: {"state_dict": prefixed(state, "module."), **COUNTERS},
            ["level state_dict", "epoch", "module."],
        ),
        (lambda state: {"module": state}, ["level module"]),
        (lambda state: {"state_dict": {"unet": state}}, ["level state_dict", "level unet"]),
        (lambda state: prefixed(state, "module.unet."), ["module.unet."]),
        (lambda state: prefixed(state, "unet._orig_mod."), ["unet._orig_mod."]),
        (lambda state: {**state, "epoch": 3}, ["epoch"]),
    ],
)
def test_what_is_around_the_tensors_is_taken_off_and_named(
    tiny_state: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture, wrap: Any, named: list[str]
) -> None:
    file = tmp_path / "w.bin"
    torch.save(wrap(tiny_state), file)
    found = read_tensors(file)
    assert set(found) == set(tiny_state)
    assert all(torch.equal(found[name], tiny_state[name]) for name in found)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    for part in (str(file), *named):
        assert part in warnings[0]


def test_prefixes_in_safetensors_are_taken_off(tiny_state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(prefixed(tiny_state, "module.unet."), tmp_path / "w.safetensors")
    assert set(read_tensors(tmp_path / "w.safetensors")) == set(tiny_state)


def test_plain_files_load_without_a_word(
    tiny_state: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(tiny_state, tmp_path / "w.bin")
    load_published(
        assemble_unet(PRESETS["tiny"]), read_tensors(tmp_path / "w.bin"), source="w.bin", dtype=torch.float32
    )
    assert not caplog.records


def test_tensors_that_cannot_matter_are_left_out_and_named(
    tiny_state: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    extra = {"text.position_ids": torch.arange(4), "model_ema.num_updates": torch.tensor(7), "betas": torch.ones(9)}
    unet = assemble_unet(PRESETS["tiny"])
    load_published(unet, {**tiny_state, **extra}, source="some.bin", dtype=torch.float32)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("weights some.bin: 3 tensors are left out")
    assert all(name in warning for name in extra)
    again = assemble_unet(PRESETS["tiny"])
    load_published(again, tiny_state, source="some.bin", dtype=torch.float32)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in unet.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("module.conv_in.bias"), r"1 missing \(conv_in.bias\)"),
        (
            lambda state: state.update({"module.conv_in.bias": torch.zeros(3)}),
            r"conv_in.bias is \[3\], expected \[16\]",
        ),
        (lambda state: state.update({"module.head.weight": torch.zeros(3)}), r"1 unknown \(head.weight\)"),
        (lambda state: state.update({"vae.head.weight": torch.zeros(3)}), r"\d+ unknown \(module\."),
    ],
)
def test_what_is_wrong_inside_stops(tiny_state: dict[str, Tensor], tmp_path: Path, change: Any, words: str) -> None:
    state = prefixed(tiny_state, "module.")
    change(state)
    torch.save(state, tmp_path / "w.bin")
    unet = assemble_unet(PRESETS["tiny"])
    with pytest.raises(WeightsError, match=words) as caught:
        load_published(unet, read_tensors(tmp_path / "w.bin"), source="w.bin", dtype=torch.float32)
    assert "\n" not in str(caught.value)


def test_no_published_name_is_one_that_cannot_matter_or_a_prefix() -> None:
    published = json.loads((golden.DATA / "released_checkpoint_keys.json").read_text())
    assert [name for name in published if is_spare(name)] == []
    assert inner_names(published) == {name: name for name in published}


def test_a_part_that_a_library_filled_with_random_numbers_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    def told(**keys: Any) -> dict[str, Any]:
        return {"missing_keys": set(), "unexpected_keys": set(), "mismatched_keys": set()} | keys

    check_loaded(told(unexpected_keys={"logit_scale"}, missing_keys={"embeddings.position_ids"}), "te")
    assert "te: 1 tensors are left out" in caplog.text
    assert "logit_scale" in caplog.text
    with pytest.raises(ValueError, match=r"^1 missing \(a.weight\), 1 misshapen \(b is \[2\], expected \[3\]\)"):
        check_loaded(told(missing_keys=["a.weight"], mismatched_keys=[("b", (2,), (3,))]), "te")

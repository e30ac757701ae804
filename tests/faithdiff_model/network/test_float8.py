"""Float8 arithmetic: refused where there is none, in one line; which layers take part, and how far off it is with torchao."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch
from torch import nn

from faithdiff_model.build import build_restorer
from faithdiff_model.network.float8 import _takes_part, check_float8, compute_in_float8
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.spec import ModelSpec


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"preset": "nano"}, "preset nano has no layers for float8 arithmetic: leave it out, or choose sdxl"),
        ({"preset": "sdxl"}, "float8 arithmetic and dtype auto: it goes with bfloat16; choose dtype bfloat16"),
        ({"preset": "sdxl", "dtype": "bfloat16", "float8_storage": True}, "choose one of the two"),
    ],
)
def test_what_it_cannot_be_used_with_is_told(spec: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ModelSpec(**spec, float8_arithmetic=True)


def test_a_device_without_it_is_refused_before_anything_is_loaded() -> None:
    spec = ModelSpec(preset="tiny", dtype="bfloat16", device="cpu", float8_arithmetic=True)
    with pytest.raises(ValueError, match=r"cpu does not multiply in float8.*leave --float8-arithmetic out"):
        build_restorer(spec, RestoreOptions())


@pytest.mark.parametrize(("capability", "refused"), [((8, 6), True), ((8, 9), False), ((9, 0), False)])
def test_gpus_have_it_from_ada_on(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], refused: bool) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "a GPU")
    load = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "torchao":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    told = "a GPU does not multiply in float8" if refused else r'needs torchao: pip install "faitharchive\[float8\]"'
    with pytest.raises(ValueError, match=told):
        check_float8(torch.device("cuda"))


def test_transformer_layers_of_the_published_network_take_part() -> None:
    with torch.device("meta"):
        core = assemble_unet(SDXL).core
    layers = {name: layer for name, layer in core.named_modules() if isinstance(layer, nn.Linear)}
    chosen = {name for name, layer in layers.items() if _takes_part(layer, name)}
    left_out = sorted({name.split(".")[-1] if "emb" in name else name for name in set(layers) - chosen})
    assert left_out == ["linear_1", "linear_2", "time_emb_proj"]
    share = sum(layers[name].weight.numel() for name in chosen) / sum(p.numel() for p in core.parameters())
    assert share == pytest.approx(0.86, abs=0.01)


@torch.no_grad()
def test_on_a_cpu_that_stands_for_a_gpu_it_is_off_by_what_float8_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchao asks for a GPU and computes without one, too, as slowly as that is."""
    pytest.importorskip("torchao", reason="the extra float8 is not installed here")
    monkeypatch.setattr("torchao.quantization.quant_api._check_hardware_support", lambda _granularity: None)
    torch.manual_seed(0)
    core = assemble_unet(TINY).core.eval().to(torch.bfloat16)
    given: dict[str, Any] = {
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(2, 77, 48, dtype=torch.bfloat16),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(2, 24, dtype=torch.bfloat16),
            "time_ids": torch.zeros(2, 6, dtype=torch.bfloat16),
        },
    }
    sample = torch.randn(2, 16, 16, 16, dtype=torch.bfloat16)
    exact = core(sample, **given)[0]
    compute_in_float8(core)  # type: ignore[arg-type]
    error = (core(sample, **given)[0] - exact).float().pow(2).mean().sqrt() / exact.float().pow(2).mean().sqrt()
    print(f"relative error {error:.4f}")
    assert 0 < error < 0.05
